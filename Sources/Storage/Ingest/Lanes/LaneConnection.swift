internal import EventLoop

// A lane's own connection: made when it is needed, again when it was lost, with growing pauses.

/// Keeps one direct connection for a lane's transactions.
final class LaneConnection {
  private let dsn: PostgresDSN
  private let role: PostgresRole
  private let loop: EventLoop
  private let log: (String) -> Void
  private var connection: PostgresConnection?
  /// What has been failing since it last worked; nil while all goes well.
  private(set) var trouble: String?
  /// Changes with every new connection.
  private(set) var generation = 0
  /// Whose log the connection writes: what a position needs to become a token.
  private var cluster: (systemIdentifier: UInt64, timeline: UInt32) = (0, 0)

  init(_ dsn: PostgresDSN, role: String, loop: EventLoop, log: @escaping (String) -> Void) {
    self.dsn = dsn
    // An ack promises what is on the disk.
    self.role = .direct(role, requiresSynchronousCommit: true)
    self.loop = loop
    self.log = log
  }

  /// The connection if it is there, or a new one.
  ///
  /// - Throws: `PostgresError` when none can be made now.
  func ready() async throws(PostgresError) -> PostgresConnection {
    if let connection, connection.isUsable { return connection }
    connection?.close()
    connection = nil
    let made = try await PostgresConnection.connect(
      to: dsn,
      role: role,
      on: loop,
      deadline: loop.now + .seconds(5)
    )
    do throws(PostgresError) {
      try await identify(made)
    } catch {
      made.close()
      throw error
    }
    connection = made
    generation += 1
    return made
  }

  /// A position of this connection's log as a token for readers.
  func token(at position: PostgresLSN) -> FreshnessToken {
    FreshnessToken(
      systemIdentifier: cluster.systemIdentifier,
      timeline: cluster.timeline,
      lsn: position
    )
  }

  /// Learns cluster and timeline; a standby is refused, for after a failover another server is the
  /// primary.
  private func identify(_ connection: PostgresConnection) async throws(PostgresError) {
    let answers = try await ServerProver(asksStandby: false)
      .run([], on: connection, deadline: loop.now + .seconds(5))
    guard answers.proof.isAsExpected else {
      throw .connectFailed(
        PostgresConnectFailure(kind: .wrongServerState, sqlstate: nil, message: "a standby")
      )
    }
    cluster = (answers.token.systemIdentifier, answers.token.timeline)
  }

  /// Logs the first of a row of faults, and the end of the row.
  func report(_ error: PostgresError?, doing what: String) {
    if let error {
      let isFirst = trouble == nil
      trouble = "\(what) failed: \(error.operatorText)"
      if isFirst {
        log("\(role.name): \(what) failed, trying again until it works: \(error.operatorText)")
      }
    } else if trouble != nil {
      trouble = nil
      log("\(role.name): \(what) works again")
    }
  }

  func close() {
    connection?.close()
    connection = nil
  }
}

extension PostgresError {
  /// What happened, with the server's own sentence, for the log of an operator.
  public var operatorText: String {
    guard case .server(let error) = self else { return description }
    return [description, error.message, error.detail ?? "", error.hint ?? ""]
      .filter { !$0.isEmpty }.joined(separator: "; ")
  }

  /// What a failed transaction is to be answered with.
  enum Remedy: Equatable {
    /// Some producers lost their place: the detail of SLG01.
    case takeOutLosers([GroupStatement.Loser])
    /// PostgreSQL does not want some of the data: find out which.
    case bisect
    /// Try the same again, after a pause.
    case retry
  }

  var remedy: Remedy {
    guard case .server(let error) = self else { return .retry }
    if error.sqlstate.code == GroupStatement.lostState {
      // Without its list nobody can be taken out: trying again asks anew.
      return GroupStatement.losers(error.detail ?? "").map { .takeOutLosers($0) } ?? .retry
    }
    // 22 data exception, 23 constraint, 54 program limit, P0 raised by an operator's trigger.
    return ["22", "23", "54", "P0"].contains(error.sqlstate.family) ? .bisect : .retry
  }
}
