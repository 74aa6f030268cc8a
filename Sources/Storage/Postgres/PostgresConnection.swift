public import EventLoop

// One PostgreSQL connection on the loop: operations that wait without blocking.

/// A connection that runs one operation at a time, on the thread of its loop.
///
/// Not Sendable. Call it from tasks that prefer the loop as executor, and never two operations at once.
/// After an operation threw, the connection is either usable and in no failed transaction (a ROLLBACK was
/// sent when it was needed), or `isUsable` is false. `close` must be called: the loop holds on to an
/// open connection. Cancelling the task of an operation sends a cancel request, like its deadline does.
public final class PostgresConnection: ReadinessHandler {
  /// How long the server may take to confirm a cancel or a ROLLBACK before the connection is closed.
  public static let grace: Duration = .seconds(2)
  /// Statements a connection has the server keep parsed, over its life; further ones are sent unnamed.
  public static let preparedMax = 64
  /// Bytes of one CopyData message: with its head of five bytes whole pages of libpq's buffer.
  static let copyMessageBytes = 64 * 1024 - 5

  /// Why an operation is given up.
  private enum Reason { case deadline, cancelled, closed }

  private enum Phase: Equatable {
    case running
    case givingUp(Reason)
    case cleaningUp
  }

  private struct Operation {
    var phase = Phase.running
    /// Deadline, then the end of the grace.
    var limit: MonotonicTime
    /// Whether the server may have got all it needs to commit.
    var isOutcomeUnknown = false
    var isCopying = false
  }

  /// What the one waiting task waits for.
  private enum Awaiting { case nothing, result, flush, copyFlush, cancelEnd }
  private enum Wake { case progress, cancelled }

  private struct PreparedKey: Hashable {
    var sql: String
    var types: [UInt32]
  }

  /// The role it was made for.
  public let role: PostgresRole
  private let loop: EventLoop
  private let session: LibpqSession
  private let cancelKey: CancelKey?
  private let cell = WaitCell<Wake>()
  private var watch: SocketWatch?
  private var awaiting = Awaiting.nothing
  private var operation: Operation?
  private var cancelRequest: CancelRequest?
  private var timer: (id: TimerID, at: MonotonicTime)?
  private var prepared: [PreparedKey: String] = [:]
  /// Names given so far; never given twice, since forgotten ones still exist on the server.
  private var preparedCount = 0
  /// Its name in the pool while it is lent.
  var lease: PoolState.ConnectionID?
  /// Called when the connection is lost while nobody uses it.
  var onBroken: (() -> Void)?

  private init(
    _ session: LibpqSession,
    role: PostgresRole,
    cancelKey: CancelKey?,
    on loop: EventLoop
  ) {
    self.session = session
    self.role = role
    self.cancelKey = cancelKey
    self.loop = loop
  }

  /// A connection over a session that is ready for queries.
  static func adopting(
    _ session: LibpqSession,
    role: PostgresRole,
    cancelKey: CancelKey?,
    on loop: EventLoop
  ) -> Connector.Outcome {
    let connection = PostgresConnection(session, role: role, cancelKey: cancelKey, on: loop)
    connection.watch = SocketWatch(session.socket, .readable, on: loop, handler: connection)
    guard connection.watch != nil else {
      session.close()
      let failure = PostgresConnectFailure(kind: .outOfResources, sqlstate: nil, message: "")
      return .failure(.connectFailed(failure))
    }
    return .success(connection)
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
  public var isUsable: Bool { !session.isBad }
  /// Whether no transaction is open.
  public var isIdle: Bool { session.transaction == .idle }
  /// The server's version as in server_version_num, 150020 for 15.20.
  public var serverVersion: Int { session.serverVersion }
  /// The process id of the backend, or what a pooler tells instead.
  public var backendID: Int32 { session.backendID }
  /// What the server said beside the answers of the last operation, at most 16.
  ///
  /// A WARNING at COMMIT can
  /// mean that it was not replicated synchronously.
  public var notices: [PostgresNotice] { session.notices }
  /// Whether a running statement can be cancelled at all.
  public var canCancel: Bool { cancelKey != nil }

  // MARK: Operations

  /// Runs one statement with bound parameters.
  ///
  /// - Throws: `.server`, `.disconnected`, `.timedOut`, `.cancelled`, `.closed`, `.protocolViolation`.
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
    try begin(deadline)
    var answers = Answers()
    let isSent =
      if let name = key.flatMap({ prepared[$0] }) {
        session.send(statement, prepared: name)
      } else {
        session.send(statement)
      }
    await exchange(isSent, &answers)
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
  /// Without BEGIN they are one
  /// transaction.
  ///
  /// - Throws: the first error, with its place in `statementIndex`; else as `query`.
  public func script(
    _ sql: String,
    deadline: MonotonicTime
  ) async throws(PostgresError) -> [PostgresResult] {
    try begin(deadline)
    var answers = Answers()
    await exchange(session.send(script: sql), &answers)
    return try await conclude(answers)
  }

  /// Sends statements together and gives each its own answer.
  ///
  /// Without BEGIN they are one transaction:
  /// after an error the rest is `.pipelineAborted` and everything is rolled back.
  ///
  /// - Throws: `.disconnected`, `.timedOut`, `.cancelled`, `.closed`, `.protocolViolation` when there are
  ///   not answers for all. A statement given up by deadline or cancel has it as its own failure.
  public func pipeline(
    _ statements: [PostgresStatement],
    deadline: MonotonicTime
  ) async throws(PostgresError) -> [Result<PostgresResult, PostgresError>] {
    guard !statements.isEmpty else { return [] }
    try begin(deadline)
    // Parts are executed as they arrive, and large pipelines leave while they are written.
    operation?.isOutcomeUnknown = true
    var pipeline = Pipeline()
    if !enqueue(statements, &pipeline) { tearDown() }
    await wait(.flush)
    await receive(&pipeline)
    if let loss = await cleanUp(after: pipeline.firstError) { throw loss }
    return pipeline.results
  }

  /// Runs a script that holds exactly one COPY … FROM STDIN, whose data `body` writes.
  ///
  /// When `body` throws, the COPY is aborted, the transaction is rolled back and its error is thrown.
  ///
  /// - Returns: the answers of all statements in order, that of the COPY among them.
  /// - Throws: as `script`; until `body` has returned, a lost connection leaves no doubt: not committed.
  public func copyIn(
    _ script: String,
    deadline: MonotonicTime,
    _ body: (PostgresCopy) async throws(PostgresError) -> Void
  ) async throws(PostgresError) -> [PostgresResult] {
    try begin(deadline)
    var answers = Answers()
    answers.expectsCopy = true
    await exchange(session.send(script: script), &answers)
    guard answers.isCopyStarted else {
      _ = try await conclude(answers)
      throw .protocolViolation("a script without COPY FROM STDIN")
    }
    operation?.isCopying = true
    var abort: PostgresError?
    do throws(PostgresError) {
      try await body(PostgresCopy(self))
    } catch {
      abort = error
    }
    operation?.isCopying = false
    let isGivenUp = operation?.phase != .running
    await endCopy(abort: abort != nil || isGivenUp ? "given up by the client" : nil, &answers)
    guard let abort, !isGivenUp, isUsable else { return try await conclude(answers) }
    _ = await cleanUp(after: answers.error)
    throw abort
  }

  /// Gives the running operation up as its deadline would; it throws `.cancelled`.
  ///
  /// Without one nothing
  /// happens.
  public func cancel() { giveUp(.cancelled) }

  /// Closes the socket; a running operation throws `.closed`.
  ///
  /// May be called again.
  public func close() {
    if operation != nil { operation?.phase = .givingUp(.closed) }
    tearDown()
  }

  // MARK: COPY

  /// Sends COPY data, at most one message ahead of what the socket takes.
  func putCopy(_ bytes: RawSpan) async throws(PostgresError) {
    guard let current = operation, current.isCopying else {
      preconditionFailure("COPY data outside of its COPY")
    }
    var offset = 0
    while offset < bytes.byteCount {
      guard operation?.phase == .running, isUsable else { throw lossInCopy() }
      let end = min(offset + PostgresConnection.copyMessageBytes, bytes.byteCount)
      switch session.putCopy(bytes.extracting(offset..<end)) {
      case .taken: offset = end
      case .full: break
      case .failed: throw lossInCopy()
      }
      // Also takes in what the server says meanwhile, so that neither side waits for the other.
      if session.flush() == .again { await wait(.copyFlush) }
    }
  }

  private func lossInCopy() -> PostgresError {
    switch operation?.phase {
    case .givingUp(.deadline): .timedOut(outcomeUnknown: false)
    case .givingUp(.cancelled): .cancelled(outcomeUnknown: false)
    case .givingUp(.closed): .closed
    case .running, .cleaningUp, nil: .disconnected(outcomeUnknown: false, sqlstate: nil)
    }
  }

  private func endCopy(abort: String?, _ answers: inout Answers) async {
    if abort == nil { operation?.isOutcomeUnknown = true }
    while session.endCopy(abort: abort) == .full, isUsable { await wait(.flush) }
    await wait(.flush)
    await receive(&answers)
  }

  // MARK: Sending and receiving

  /// The answers of a query or script so far.
  private struct Answers {
    var results: [PostgresResult] = []
    var error: PostgresServerError?
    var violation: PostgresError?
    var expectsCopy = false
    var isCopyStarted = false
  }

  private func exchange(_ isSent: Bool, _ answers: inout Answers) async {
    guard isSent else { return tearDown() }
    await wait(.flush)
    // A COPY still waits for its data, so whatever stands behind it cannot happen yet.
    operation?.isOutcomeUnknown = !answers.expectsCopy
    await receive(&answers)
  }

  /// Takes answers until the query ends, its COPY begins or the connection is lost.
  private func receive(_ answers: inout Answers) async {
    while true {
      await wait(.result)
      guard let result = session.nextResult() else { return }
      switch result.status {
      case .copyIn where answers.expectsCopy && !answers.isCopyStarted:
        answers.isCopyStarted = true
        return
      case .copyIn:
        answers.violation = .protocolViolation("a COPY FROM STDIN nobody has data for")
        _ = session.endCopy(abort: "no data")
        await wait(.flush)
      case .copyOther:
        answers.violation = .protocolViolation("a COPY TO STDOUT nobody reads")
        return tearDown()
      case .error:
        if answers.error == nil {
          answers.error = result.serverError(statementIndex: answers.results.count)
        }
        guard isUsable else { return }
      case .command, .rows, .empty, .pipelineSync, .pipelineAborted:
        answers.results.append(result)
      }
    }
  }

  private func conclude(_ answers: Answers) async throws(PostgresError) -> [PostgresResult] {
    let isCommitted = answers.results.contains { $0.commandTag == "COMMIT" }
    // As it is now: the clean-up changes what `ownError` goes by.
    let error = answers.error.map { ownError($0, committed: isCommitted) }
    if let loss = await cleanUp(after: answers.error) { throw loss }
    if let error = answers.violation ?? error { throw error }
    return answers.results
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
    guard session.enterPipeline() else { return false }
    var names = prepared
    for statement in statements {
      guard let key = preparedKey(statement) else {
        pipeline.steps.append(.run)
        guard session.send(statement) else { return false }
        continue
      }
      if names[key] == nil, preparedCount < PostgresConnection.preparedMax {
        preparedCount += 1
        let name = "s\(preparedCount)"
        names[key] = name
        pipeline.steps.append(.prepare(key, name))
        guard session.sendPrepare(statement, as: name) else { return false }
      }
      pipeline.steps.append(.run)
      let isSent =
        if let name = names[key] {
          session.send(statement, prepared: name)
        } else {
          session.send(statement)
        }
      guard isSent else { return false }
    }
    return session.sync()
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
    await wait(.result)
    guard session.nextResult()?.status == .pipelineSync, session.exitPipeline() else {
      return tearDown()
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
      let own = ownError(error, committed: pipeline.isCommitted)
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
      await wait(.result)
      guard let result = session.nextResult() else { return first }
      if first == nil { first = result }
      switch result.status {
      case .copyIn, .copyOther:
        tearDown()
        return nil
      case .error where !isUsable: return first
      case .command, .rows, .empty, .pipelineSync, .pipelineAborted, .error: break
      }
    }
  }

  private func preparedKey(_ statement: PostgresStatement) -> PreparedKey? {
    guard role.isDirect, statement.isPrepared else { return nil }
    return PreparedKey(sql: statement.sql, types: statement.parameters.map(\.type.rawValue))
  }

  // MARK: Beginning and end of an operation

  private func begin(_ deadline: MonotonicTime) throws(PostgresError) {
    precondition(operation == nil, "one operation at a time")
    guard !session.isClosed else { throw .closed }
    guard isUsable else { throw .disconnected(outcomeUnknown: false, sqlstate: nil) }
    guard !Task.isCancelled else { throw .cancelled(outcomeUnknown: false) }
    guard deadline > loop.now else { throw .timedOut(outcomeUnknown: false) }
    session.notices.removeAll(keepingCapacity: true)
    operation = Operation(limit: deadline)
    armTimer(deadline)
  }

  /// Brings the connection back to where the next operation can start, or closes it.
  ///
  /// - Returns: what its loss means, when the connection was lost before all answers were there.
  private func cleanUp(after error: PostgresServerError?) async -> PostgresError? {
    guard let ended = operation else { preconditionFailure("an operation is under way") }
    let isLost = !isUsable
    if !isLost { await makeReusable() }
    operation = nil
    if !isUsable { tearDown() }
    if let error, error.staleStatement { prepared.removeAll() }
    return isLost ? loss(ended, error) : nil
  }

  /// Ends a transaction that was left open, also in a cancelled task; closes the connection when it fails.
  func rollBack() async {
    guard isUsable, !isIdle else { return }
    precondition(operation == nil, "one operation at a time")
    let limit = loop.now + PostgresConnection.grace
    operation = Operation(phase: .cleaningUp, limit: limit)
    armTimer(limit)
    await exchangeRollBack()
    operation = nil
    if !isIdle { tearDown() }
  }

  private func exchangeRollBack() async {
    var answers = Answers()
    await exchange(session.send(script: "ROLLBACK"), &answers)
    if answers.error != nil { tearDown() }
  }

  private func makeReusable() async {
    if cancelRequest != nil || session.transaction == .failed {
      // In here there is nothing to give up but the connection.
      let limit = loop.now + PostgresConnection.grace
      operation?.phase = .cleaningUp
      operation?.limit = limit
      armTimer(limit)
    }
    // Until the server has closed the cancel's socket the signal could hit the next statement.
    if cancelRequest != nil { await wait(.cancelEnd) }
    if session.transaction == .failed { await exchangeRollBack() }
    switch session.transaction {
    case .idle, .open: break
    case .active, .failed, .unknown: tearDown()
    }
  }

  /// What a lost connection means for the operation.
  private func loss(_ ended: Operation, _ error: PostgresServerError?) -> PostgresError {
    let unknown = ended.isOutcomeUnknown
    return switch ended.phase {
    case .givingUp(.deadline): .timedOut(outcomeUnknown: unknown)
    case .givingUp(.cancelled): .cancelled(outcomeUnknown: unknown)
    case .givingUp(.closed): .closed
    case .running, .cleaningUp: .disconnected(outcomeUnknown: unknown, sqlstate: error?.sqlstate)
    }
  }

  /// The server's error, or ours when the server only did what we asked for.
  private func ownError(_ error: PostgresServerError, committed: Bool) -> PostgresError {
    guard error.sqlstate == .queryCancelled else { return .server(error) }
    return switch operation?.phase {
    case .givingUp(.deadline): .timedOut(outcomeUnknown: committed)
    case .givingUp(.cancelled): .cancelled(outcomeUnknown: committed)
    case .givingUp(.closed): .closed
    case .running, .cleaningUp, nil: .server(error)
    }
  }

  private func giveUp(_ reason: Reason) {
    guard operation?.phase == .running else { return }
    let limit = loop.now + PostgresConnection.grace
    operation?.phase = .givingUp(reason)
    operation?.limit = limit
    if let cancelKey {
      cancelRequest = CancelRequest(cancelKey, on: loop) { [weak self] in
        self?.cancelRequest = nil
        self?.advance()
      }
    }
    armTimer(limit)
    advance()
  }

  /// Closes everything; a waiting task goes on and finds the connection unusable.
  private func tearDown() {
    watch = nil
    cancelRequest?.stop()
    cancelRequest = nil
    if let timer = timer.take() { loop.cancel(timer.id) }
    session.close()
    advance()
  }

  // MARK: Waiting

  /// Suspends until `what` has come, or the connection is lost.
  private func wait(_ what: Awaiting) async {
    while !hasCome(what) {
      awaiting = what
      let watchesWriting = what == .flush || what == .copyFlush
      if watchesWriting { watch?.setInterest([.readable, .writable]) }
      let isRunning = operation?.phase == .running
      let wake = await cell.wait(cancelled: isRunning ? .cancelled : nil)
      awaiting = .nothing
      if watchesWriting { watch?.setInterest(.readable) }
      if wake == .cancelled { giveUp(.cancelled) }
    }
  }

  private func hasCome(_ what: Awaiting) -> Bool {
    guard isUsable else { return true }
    return switch what {
    case .nothing: false
    case .result: !session.isBusy
    case .flush: session.flush() != .again
    case .copyFlush: operation?.phase != .running || session.flush() != .again
    case .cancelEnd: cancelRequest == nil
    }
  }

  /// Wakes the waiting task when what it waits for has come.
  private func advance() {
    if awaiting != .nothing, hasCome(awaiting) { cell.resume(.progress) }
  }

  /// The loop's call: takes in what came, whoever waits or not.
  public func ready(_ readiness: Readiness) {
    if readiness != .writable { _ = session.consumeInput() }
    // Lost: libpq has closed the socket, so there is nothing to watch any more.
    if !isUsable { watch = nil }
    advance()
    guard operation == nil else { return }
    // Parses what came unasked, so that notices do not pile up.
    _ = session.isBusy
    if !isUsable { onBroken?() }
  }

  // MARK: Time

  /// Makes sure the timer fires at `time` or before; one that fires early sets itself again, so that short
  /// operations seldom touch the timers.
  private func armTimer(_ time: MonotonicTime) {
    if let timer {
      guard timer.at > time else { return }
      loop.cancel(timer.id)
    }
    let id = loop.schedule(at: time) { [weak self] in self?.timerFired() }
    timer = (id, time)
  }

  private func timerFired() {
    timer = nil
    guard let operation else { return }
    guard operation.limit <= loop.now else { return armTimer(operation.limit) }
    switch operation.phase {
    case .running: giveUp(.deadline)
    case .givingUp, .cleaningUp: tearDown()
    }
  }
}

extension PostgresServerError {
  /// A kept statement does not fit the tables any more, or is gone: it has to be parsed again.
  fileprivate var staleStatement: Bool { sqlstate == "0A000" || sqlstate == "26000" }
}

/// The writing side of one running COPY; valid inside the body of `PostgresConnection.copyIn` only.
public struct PostgresCopy {
  private let connection: PostgresConnection

  init(_ connection: PostgresConnection) { self.connection = connection }

  /// Sends a piece of COPY data, of any size and split anywhere, header and trailer of the binary format
  /// included.
  ///
  /// Returns when the socket has taken it but for one message at most, so the pace is the server's.
  ///
  /// - Parameter bytes: read until this returns, then not any more.
  /// - Throws: `.timedOut`, `.cancelled`, `.disconnected`, `.closed`: let it out of the body. Errors in the
  ///   data are told at the end of the COPY.
  public func put(_ bytes: RawSpan) async throws(PostgresError) {
    try await connection.putCopy(bytes)
  }
}
