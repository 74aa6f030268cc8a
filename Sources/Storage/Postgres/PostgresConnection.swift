public import EventLoop

// One PostgreSQL connection on the loop: operations that wait without blocking.

/// A connection that runs one operation at a time, on the thread of its loop.
///
/// Not Sendable. Call it from tasks that prefer the loop as executor, and never two operations at
/// once. After an operation threw, the connection is either usable and in no failed transaction (a
/// ROLLBACK was sent when it was needed), or `isUsable` is false. `close` must be called: the loop
/// holds on to an open connection. Cancelling the task of an operation sends a cancel request, like
/// its deadline does.
public final class PostgresConnection {
  /// Statements a connection has the server keep parsed, over its life; further ones are sent
  /// unnamed.
  public static let preparedMax = 64
  /// Bytes of one CopyData message: with its head of five bytes whole pages of libpq's buffer.
  static let copyMessageBytes = 64 * 1024 - 5

  private struct PreparedKey: Hashable {
    var sql: String
    var types: [UInt32]
  }

  /// The role it was made for.
  public let role: PostgresRole
  private let channel: PostgresChannel
  private var prepared: [PreparedKey: String] = [:]
  /// Names given so far; never given twice, since forgotten ones still exist on the server.
  private var preparedCount = 0
  /// Its name in the pool while it is lent.
  var lease: PoolState.ConnectionID?

  /// Whether what the server is told to keep is there the next time.
  let isOwnSession: Bool

  init(_ channel: PostgresChannel, role: PostgresRole, isOwnSession: Bool) {
    self.channel = channel
    self.role = role
    self.isOwnSession = isOwnSession
  }

  /// Connects; host names are looked up off the loop.
  ///
  /// - Throws: `.connectFailed` with its kind, `.server` when the role's `setup` failed.
  public static func connect(
    to dsn: PostgresDSN,
    role: PostgresRole,
    on loop: EventLoop,
    deadline: MonotonicTime
  ) async throws(PostgresError) -> PostgresConnection {
    let cell = WaitCell<Bool>()
    var outcome: Connector.Outcome?
    let connector = Connector(dsn, role: role, on: loop) { result in
      outcome = result
      cell.resume(true)
    }
    guard await cell.wait(cancelled: false, { connector.start(deadline: deadline) }) else {
      connector.stop()
      if case .success(let connection) = outcome { connection.close() }
      throw .cancelled(outcomeUnknown: false)
    }
    guard let outcome else { preconditionFailure("the connector resumes with an outcome") }
    return try outcome.get()
  }

  // MARK: State

  /// Whether another operation can be tried.
  public var isUsable: Bool { channel.isUsable }
  /// Whether no transaction is open.
  public var isIdle: Bool { channel.session.transaction == .idle }
  /// The server's version as in server_version_num, 150020 for 15.20.
  public var serverVersion: Int { channel.session.serverVersion }
  /// The process id of the backend, or what a pooler tells instead.
  public var backendID: Int32 { channel.session.backendID }
  /// What the server said beside the answers of the last operation, at most 16.
  ///
  /// A WARNING at COMMIT can mean that it was not replicated synchronously.
  public var notices: [PostgresNotice] { channel.session.notices }
  /// Whether a running statement can be cancelled at all.
  public var canCancel: Bool { channel.cancelKey != nil }

  /// Whether nobody has given the running operation up; a COPY body that waits for data can ask.
  public var isRunning: Bool { channel.operation?.phase == .running && isUsable }

  // MARK: Operations

  /// Runs one statement with bound parameters.
  ///
  /// - Throws: `.server`, `.disconnected`, `.timedOut`, `.cancelled`, `.closed`,
  ///   `.protocolViolation`.
  public func query(
    _ statement: PostgresStatement,
    deadline: MonotonicTime
  ) async throws(PostgresError) -> PostgresResult {
    let key = preparedKey(statement)
    if let key, prepared[key] == nil, preparedCount < PostgresConnection.preparedMax {
      // The first time: parse under a name and run in one round trip.
      let results = try await pipeline([statement], deadline: deadline)
      return try results[0].get()
    }
    try channel.begin(deadline)
    var answers = PostgresChannel.Answers()
    let isSent =
      if let name = key.flatMap({ prepared[$0] }) {
        channel.session.send(statement, prepared: name)
      } else {
        channel.session.send(statement)
      }
    await channel.exchange(isSent, &answers)
    let results = try await conclude(answers)
    guard let result = results.last else { throw .protocolViolation("no answer to a statement") }
    return result
  }

  /// Runs one statement with bound parameters; values come back in binary unless told otherwise.
  ///
  /// - Throws: as the other form.
  public func query(
    _ sql: String,
    _ parameters: [PostgresParameter] = [],
    resultFormat: PostgresFormat = .binary,
    deadline: MonotonicTime
  ) async throws(PostgresError) -> PostgresResult {
    try await query(
      PostgresStatement(sql, parameters, resultFormat: resultFormat),
      deadline: deadline
    )
  }

  /// Runs any number of statements by the simple protocol, values as text.
  ///
  /// Without BEGIN they are one transaction.
  ///
  /// - Throws: the first error, with its place in `statementIndex`; else as `query`.
  public func script(
    _ sql: String,
    deadline: MonotonicTime
  ) async throws(PostgresError) -> [PostgresResult] {
    try channel.begin(deadline)
    var answers = PostgresChannel.Answers()
    await channel.exchange(channel.session.send(script: sql), &answers)
    return try await conclude(answers)
  }

  /// Sends statements together and gives each its own answer.
  ///
  /// Without BEGIN they are one transaction: after an error the rest is `.pipelineAborted` and
  /// everything is rolled back.
  ///
  /// - Throws: `.disconnected`, `.timedOut`, `.cancelled`, `.closed`, `.protocolViolation` when
  ///   there are not answers for all. A statement given up by deadline or cancel has it as its own
  ///   failure.
  public func pipeline(
    _ statements: [PostgresStatement],
    deadline: MonotonicTime
  ) async throws(PostgresError) -> [Result<PostgresResult, PostgresError>] {
    guard !statements.isEmpty else { return [] }
    try channel.begin(deadline)
    // Parts are executed as they arrive, and large pipelines leave while they are written.
    channel.expectUnknownOutcome()
    var pipeline = Pipeline()
    if !enqueue(statements, &pipeline) { channel.tearDown() }
    await channel.wait(.flush)
    await receive(&pipeline)
    if let loss = await cleanUp(after: pipeline.firstError) { throw loss }
    return pipeline.results
  }

  /// Runs a script that holds exactly one COPY … FROM STDIN, whose data `body` writes.
  ///
  /// When `body` throws, the COPY is aborted, the transaction is rolled back and its error is
  /// thrown.
  ///
  /// - Returns: the answers of all statements in order, that of the COPY among them.
  /// - Throws: as `script`; until `body` has returned, a lost connection leaves no doubt: not
  ///   committed.
  public func copyIn(
    _ script: String,
    deadline: MonotonicTime,
    _ body: (PostgresCopy) async throws(PostgresError) -> Void
  ) async throws(PostgresError) -> [PostgresResult] {
    try channel.begin(deadline)
    var answers = PostgresChannel.Answers()
    answers.expectsCopy = true
    await channel.exchange(channel.session.send(script: script), &answers)
    guard answers.isCopyStarted else {
      _ = try await conclude(answers)
      throw .protocolViolation("a script without COPY FROM STDIN")
    }
    var abort: PostgresError?
    do throws(PostgresError) {
      try await body(PostgresCopy(self))
    } catch {
      abort = error
    }
    let isGivenUp = channel.operation?.phase != .running
    await channel.endCopy(abort: abort != nil || isGivenUp ? "given up by the client" : nil)
    await channel.receive(&answers)
    guard let abort, !isGivenUp, isUsable else { return try await conclude(answers) }
    _ = await channel.cleanUp(after: answers.error)
    throw abort
  }

  /// Gives the running operation up as its deadline would; it throws `.cancelled`.
  ///
  /// Without one nothing happens.
  public func cancel() { channel.giveUp(.cancelled) }

  /// Closes the socket; a running operation throws `.closed`.
  ///
  /// May be called again.
  public func close() { channel.close() }

  /// Ends a transaction that was left open, also in a cancelled task; closes the connection when it
  /// fails.
  func rollBack() async { await channel.rollBack() }

  /// Called when the connection is lost while nobody uses it.
  var onBroken: (() -> Void)? {
    get { channel.onBroken }
    set { channel.onBroken = newValue }
  }

  // MARK: COPY

  /// Sends COPY data, at most one message ahead of what the socket takes.
  func putCopy(_ bytes: RawSpan) async throws(PostgresError) {
    guard let operation = channel.operation, operation.isCopying else {
      preconditionFailure("COPY data outside of its COPY")
    }
    var offset = 0
    guard isRunning else { throw channel.lossInCopy }
    while offset < bytes.byteCount {
      let end = min(offset + PostgresConnection.copyMessageBytes, bytes.byteCount)
      switch channel.session.putCopy(bytes.extracting(offset..<end)) {
      case .taken: offset = end
      case .full: break
      case .failed: throw channel.lossInCopy
      }
      // Also takes in what the server says meanwhile, so that neither side waits for the other.
      if channel.session.flush() == .again { await channel.wait(.copyFlush) }
      guard isRunning else { throw channel.lossInCopy }
    }
  }

  private func conclude(
    _ answers: PostgresChannel.Answers
  ) async throws(PostgresError) -> [PostgresResult] {
    let isCommitted = answers.results.contains { $0.commandTag == "COMMIT" }
    // As it is now: the clean-up changes what `ownError` goes by.
    let error = answers.error.map { channel.ownError($0, committed: isCommitted) }
    if let loss = await cleanUp(after: answers.error) { throw loss }
    if let error = answers.violation ?? error { throw error }
    return answers.results
  }

  private func cleanUp(after error: PostgresServerError?) async -> PostgresError? {
    if let error, error.meansStaleStatement { prepared.removeAll() }
    return await channel.cleanUp(after: error)
  }

  // MARK: Pipelines

  /// A pipeline's way: what was sent, and what came back for each statement.
  private struct Pipeline {
    enum Step {
      case prepare(PreparedKey, String)
      case run
    }

    var steps: [Step] = []
    var results: [Result<PostgresResult, PostgresError>] = []
    var firstError: PostgresServerError?
    var isCommitted = false
  }

  private func enqueue(_ statements: [PostgresStatement], _ pipeline: inout Pipeline) -> Bool {
    guard channel.session.enterPipeline() else { return false }
    var names = prepared
    for statement in statements {
      guard let key = preparedKey(statement) else {
        pipeline.steps.append(.run)
        guard channel.session.send(statement) else { return false }
        continue
      }
      if names[key] == nil, preparedCount < PostgresConnection.preparedMax {
        preparedCount += 1
        let name = "s\(preparedCount)"
        names[key] = name
        pipeline.steps.append(.prepare(key, name))
        guard channel.session.sendPrepare(statement, as: name) else { return false }
      }
      pipeline.steps.append(.run)
      let isSent =
        if let name = names[key] {
          channel.session.send(statement, prepared: name)
        } else {
          channel.session.send(statement)
        }
      guard isSent else { return false }
    }
    return channel.session.sync()
  }

  private func receive(_ pipeline: inout Pipeline) async {
    for step in pipeline.steps {
      guard let result = await receiveStep() else { return }
      switch (step, result.status) {
      case (.prepare(let key, let name), .command): prepared[key] = name
      case (.prepare, .pipelineAborted): break
      case (.prepare, _): note(result, &pipeline)
      case (.run, .pipelineAborted): append(.failure(.pipelineAborted), &pipeline)
      case (.run, .error):
        note(result, &pipeline)
        append(.failure(.pipelineAborted), &pipeline)
      case (.run, _):
        if result.commandTag == "COMMIT" { pipeline.isCommitted = true }
        append(.success(result), &pipeline)
      }
      guard isUsable else { return }
    }
    await channel.wait(.result)
    guard channel.session.nextResult()?.status == .pipelineSync, channel.session.exitPipeline()
    else {
      return channel.tearDown()
    }
  }

  private func append(
    _ result: Result<PostgresResult, PostgresError>,
    _ pipeline: inout Pipeline
  ) {
    // The error itself stands at the statement that caused it, also when parsing it failed.
    if case .failure = result, let error = pipeline.firstError,
      error.statementIndex == pipeline.results.count
    {
      let own = channel.ownError(error, committed: pipeline.isCommitted)
      return pipeline.results.append(.failure(own))
    }
    pipeline.results.append(result)
  }

  private func note(_ result: PostgresResult, _ pipeline: inout Pipeline) {
    guard pipeline.firstError == nil else { return }
    pipeline.firstError = result.serverError(statementIndex: pipeline.results.count)
  }

  /// The answer of one step, after its end was seen; nil when the connection is lost.
  private func receiveStep() async -> PostgresResult? {
    var first: PostgresResult?
    while true {
      await channel.wait(.result)
      guard let result = channel.session.nextResult() else { return first }
      if first == nil { first = result }
      switch result.status {
      case .copyIn, .copyOther:
        channel.tearDown()
        return nil
      case .error where !isUsable: return first
      case .command, .rows, .empty, .pipelineSync, .pipelineAborted, .error: break
      }
    }
  }

  private func preparedKey(_ statement: PostgresStatement) -> PreparedKey? {
    guard isOwnSession, statement.isPrepared else { return nil }
    return PreparedKey(sql: statement.sql, types: statement.parameters.map(\.type.rawValue))
  }
}

extension PostgresConnection: CustomReflectable {
  /// Shows nothing: from here everything on the loop can be reached, which a failing test would
  /// print.
  public var customMirror: Mirror { Mirror(self, children: []) }
}

extension PostgresServerError {
  /// A kept statement does not fit the tables any more, or is gone: it has to be parsed again.
  fileprivate var meansStaleStatement: Bool { sqlstate == "0A000" || sqlstate == "26000" }
}

/// The writing side of one running COPY; valid inside the body of `PostgresConnection.copyIn` only.
public struct PostgresCopy {
  private let connection: PostgresConnection

  init(_ connection: PostgresConnection) { self.connection = connection }

  /// Sends a piece of COPY data, of any size and split anywhere, header and trailer of the binary
  /// format included.
  ///
  /// Returns when the socket has taken it but for one message at most, so the pace is the server's.
  ///
  /// - Parameter bytes: read until this returns, then not any more.
  /// - Throws: `.timedOut`, `.cancelled`, `.disconnected`, `.closed`: let it out of the body.
  ///   Errors in the data are told at the end of the COPY.
  public func put(_ bytes: RawSpan) async throws(PostgresError) {
    try await connection.putCopy(bytes)
  }
}
