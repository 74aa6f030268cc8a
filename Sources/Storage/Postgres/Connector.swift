internal import EventLoop

// Makes one connection: resolve, connect, authenticate, check. Driven by the loop, without a task.

/// One attempt to connect.
///
/// Confined to the loop's thread.
///
/// libpq still reads files while connecting (password, service and certificate files), as every
/// client does; a service file that names a host by name is looked up by libpq itself, blocking.
/// Source: libpq manual, PQconnectStartParams and PQconnectPoll.
final class Connector: ReadinessHandler {
  typealias Outcome = Result<PostgresConnection, PostgresError>

  private enum Phase {
    case resolving(HostResolver)
    case polling(LibpqSession, ProtocolTrace?)
    case checking(LibpqSession, CancelKey?)
    case ended
  }

  private let dsn: PostgresDSN
  private let role: PostgresRole
  private let loop: EventLoop
  private let finished: (Outcome) -> Void
  private var phase = Phase.ended
  private var watch: SocketWatch?
  private var timer: TimerID?
  private var lastCheck: PostgresResult?

  /// An attempt; `finished` is called once, perhaps already during `start`, unless `stop` comes
  /// first.
  init(
    _ dsn: PostgresDSN,
    role: PostgresRole,
    on loop: EventLoop,
    finished: @escaping (Outcome) -> Void
  ) {
    self.dsn = dsn.setting("application_name", to: "sluice/\(role.name)")
      .setting("client_encoding", to: "UTF8")
      // Asking for Kerberos tickets may block on the network.
      .setting("gssencmode", orDefault: "disable")
      // A link that is cut without a word is noticed, idle within 15 s. With data under way it
      // takes a minute: a server that stops reading for less looks the same.
      .setting("tcp_user_timeout", orDefault: "60000")
      .setting("keepalives_idle", orDefault: "5")
      .setting("keepalives_interval", orDefault: "5")
      .setting("keepalives_count", orDefault: "2")
    self.role = role
    self.loop = loop
    self.finished = finished
  }

  func start(deadline: MonotonicTime) {
    timer = loop.schedule(at: deadline) { [weak self] in
      self?.timer = nil
      self?.fail(.timedOut)
    }
    do throws(PostgresError) {
      try resolve()
    } catch {
      end(.failure(error))
    }
  }

  /// Gives the attempt up without a call to `finished`.
  func stop() {
    watch = nil
    if let timer = timer.take() { loop.cancel(timer) }
    switch phase {
    case .resolving(let resolver): resolver.stop()
    case .polling(let session, _):
      session.endTrace()
      session.close()
    case .checking(let session, _): session.close()
    case .ended: break
    }
    phase = .ended
  }

  func ready(_ readiness: Readiness) {
    do throws(PostgresError) {
      switch phase {
      case .polling(let session, let trace): try poll(session, trace)
      case .checking(let session, let key): try check(session, key)
      case .resolving, .ended: break
      }
    } catch {
      end(.failure(error))
    }
  }

  // MARK: Steps

  private func resolve() throws(PostgresError) {
    guard dsn.setting("hostaddr") == nil else { return try connect(dsn) }
    let endpoints = try HostResolver.endpoints(dsn)
    guard endpoints.contains(where: { $0.address == nil }) else {
      return try connect(HostResolver.applying(endpoints, to: dsn))
    }
    let resolver = try HostResolver(endpoints, on: loop) { [weak self] found in
      self?.resolved(found)
    }
    phase = .resolving(resolver)
  }

  private func resolved(_ endpoints: [HostResolver.Endpoint]) {
    guard !endpoints.isEmpty else { return fail(.unknownHost) }
    do throws(PostgresError) {
      try connect(HostResolver.applying(endpoints, to: dsn))
    } catch {
      end(.failure(error))
    }
  }

  private func connect(_ dsn: PostgresDSN) throws(PostgresError) {
    let session = try LibpqSession(dsn)
    let trace = ProtocolTrace(session)
    phase = .polling(session, trace)
    guard !session.isBad else { throw failure(session) }
    // The manual: behave as if the first poll had said that it wants to write.
    try watch(session, .writable)
  }

  private func poll(_ session: LibpqSession, _ trace: ProtocolTrace?) throws(PostgresError) {
    // Not watched during the call: libpq may close the socket and open another.
    watch = nil
    switch session.poll() {
    case .reading: try watch(session, .readable)
    case .writing: try watch(session, .writable)
    case .connected: try connected(session, trace)
    case .failed: throw failure(session)
    }
  }

  private func connected(
    _ session: LibpqSession,
    _ trace: ProtocolTrace?
  ) throws(PostgresError) {
    session.endTrace()
    let key = Connector.cancelKey(session, trace)
    guard session.becomeNonblocking() else { throw error(.outOfResources) }
    // Redshift has the older name.
    guard ["UTF8", "UNICODE"].contains(session.parameterStatus("client_encoding")) else {
      throw error(.wrongEncoding)
    }
    phase = .checking(session, key)
    guard session.send(script: checkScript) else { throw failure(session) }
    try check(session, key)
  }

  /// Reads the answers of the check script until they are complete.
  private func check(_ session: LibpqSession, _ key: CancelKey?) throws(PostgresError) {
    guard session.consumeInput(), session.flush() != .failed else { throw failure(session) }
    while !session.isBusy {
      guard let result = session.nextResult() else {
        if role.requiresSynchronousCommit, lastCheck?.text(row: 0, column: 1) == "off" {
          throw error(.synchronousCommitOff)
        }
        return succeed(session, key)
      }
      guard result.status != .error else {
        throw .server(result.serverError(statementIndex: 0))
      }
      lastCheck = result
    }
    if watch == nil { try watch(session, [.readable]) }
  }

  /// Whose session it is, and what the role requires; Redshift has no synchronous_commit.
  private var checkScript: String {
    let setup = role.isDirect ? role.setup.map { $0 + ";" } : nil
    let required = role.requiresSynchronousCommit ? ", current_setting('synchronous_commit')" : ""
    return (setup ?? "") + "SELECT pg_backend_pid()" + required
  }

  /// A pooler invents the process id that it tells at the start of a session, since each
  /// transaction may run in another one.
  private func isOwnSession(_ session: LibpqSession) -> Bool {
    role.isDirect || lastCheck?.text(row: 0, column: 0) == String(session.backendID)
  }

  private func watch(_ session: LibpqSession, _ interest: Interest) throws(PostgresError) {
    watch = SocketWatch(session.socket, interest, on: loop, handler: self)
    if watch == nil { throw error(.outOfResources) }
  }

  private static func cancelKey(_ session: LibpqSession, _ trace: ProtocolTrace?) -> CancelKey? {
    guard let secret = trace?.secret(ofBackend: session.backendID),
      let address = SocketPeer(of: session.socket)
    else { return nil }
    return CancelKey(backendID: session.backendID, secret: secret, address: address)
  }

  // MARK: The end

  private func succeed(_ session: LibpqSession, _ key: CancelKey?) {
    watch = nil
    if let timer = timer.take() { loop.cancel(timer) }
    phase = .ended
    guard let channel = PostgresChannel(session, cancelKey: key, on: loop) else {
      return finished(.failure(error(.outOfResources)))
    }
    finished(.success(PostgresConnection(channel, role: role, isOwnSession: isOwnSession(session))))
  }

  private func fail(_ kind: PostgresConnectFailure.Kind) { end(.failure(error(kind))) }

  private func end(_ outcome: Outcome) {
    stop()
    finished(outcome)
  }

  private func error(_ kind: PostgresConnectFailure.Kind) -> PostgresError {
    .connectFailed(.init(kind: kind, sqlstate: nil, message: ""))
  }

  /// What libpq's words mean; there is no other way to learn it.
  private func failure(_ session: LibpqSession) -> PostgresError {
    let message = session.errorMessage
    let sqlstate = Connector.sqlstate(message)
    let kind = sqlstate.map(Connector.kind(sqlstate:)) ?? Connector.kind(message: message)
    return .connectFailed(.init(kind: kind, sqlstate: sqlstate, message: message))
  }

  /// Finds the last "FATAL:  28P01: …" of a verbose message; severity may be in any language.
  static func sqlstate(_ message: String) -> SQLState? {
    var last: SQLState?
    for line in message.split(whereSeparator: \.isNewline) {
      for word in line.split(separator: " ") where word.utf8.count == 6 && word.last == ":" {
        let code = word.dropLast()
        guard code.utf8.allSatisfy({ 48...57 ~= $0 || 65...90 ~= $0 }) else { continue }
        guard code.contains(where: \.isNumber) else { continue }
        last = SQLState(String(code))
      }
    }
    return last
  }

  private static func kind(sqlstate: SQLState) -> PostgresConnectFailure.Kind {
    switch (sqlstate.family, sqlstate.code) {
    case ("28", _): .authentication
    case (_, "3D000"): .noSuchDatabase
    case (_, "53300"): .tooManyConnections
    case (_, "57P01"), (_, "57P02"), (_, "57P03"): .startingUp
    default: .other
    }
  }

  private static func kind(message: String) -> PostgresConnectFailure.Kind {
    let words: [(String, PostgresConnectFailure.Kind)] = [
      ("password", .authentication), ("authentication", .authentication),
      ("SSL", .tls), ("certificate", .tls),
      ("session is", .wrongServerState), ("server is", .wrongServerState),
      ("Connection refused", .unreachable), ("No such file", .unreachable),
      ("unreachable", .unreachable), ("No route", .unreachable),
      ("Connection timed out", .unreachable), ("Resource temporarily", .unreachable),
      ("closed the connection", .dropped), ("reset by peer", .dropped),
      ("invalid", .invalidSetting), ("not translate host name", .unknownHost),
    ]
    return words.first { message.contains($0.0) }?.1 ?? .other
  }
}
