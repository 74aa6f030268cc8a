internal import EventLoop

// Drives one libpq session on the loop: waits, gives up at deadlines, cleans up, closes.

/// What all operations of a connection share, whatever they send.
///
/// One operation at a time.
///
/// The one waiting task is kept in `cell`; the socket's events, the timer, a cancel request's end
/// and `tearDown` wake it, and it then looks at the state again. Confined to the loop's thread.
final class PostgresChannel: ReadinessHandler {
  /// How long the server may take to confirm a cancel or a ROLLBACK before the connection is
  /// closed.
  static let grace: Duration = .seconds(2)
  /// When a cancel request without effect is repeated: a server that had not begun with the
  /// statement ignores the first.
  static let cancelInterval: Duration = .milliseconds(200)

  /// Why an operation is given up.
  enum Reason { case deadline, cancelled, closed }

  enum Phase: Equatable {
    case running
    case givingUp(Reason)
    case cleaningUp
  }

  struct Operation {
    var phase = Phase.running
    /// Deadline, then the next cancel request or the end of the grace.
    var limit: MonotonicTime
    /// When the connection is closed without an answer, once given up.
    var graceEnd = MonotonicTime(nanoseconds: .max)
    /// Whether the server may have got all it needs to commit.
    var isOutcomeUnknown = false
    var isCopying = false
  }

  /// What the one waiting task waits for.
  enum Awaiting { case nothing, result, flush, copyFlush, cancelEnd }
  private enum Wake { case progress, cancelled }

  /// The answers of a query or script so far.
  struct Answers {
    var results: [PostgresResult] = []
    var error: PostgresServerError?
    var violation: PostgresError?
    var expectsCopy = false
    var isCopyStarted = false
  }

  let session: LibpqSession
  let cancelKey: CancelKey?
  private let loop: EventLoop
  private let cell = WaitCell<Wake>()
  private var watch: SocketWatch?
  private var awaiting = Awaiting.nothing
  private(set) var operation: Operation?
  private var cancelRequest: CancelRequest?
  private var timer: (id: TimerID, at: MonotonicTime)?
  /// Called when the connection is lost while nobody uses it.
  var onBroken: (() -> Void)?

  /// Takes over a session that is ready for queries; nil when this process is out of descriptors.
  init?(_ session: LibpqSession, cancelKey: CancelKey?, on loop: EventLoop) {
    self.session = session
    self.cancelKey = cancelKey
    self.loop = loop
    watch = SocketWatch(session.socket, .readable, on: loop, handler: self)
    guard watch != nil else {
      session.close()
      return nil
    }
  }

  var isUsable: Bool { !session.isBad }

  // MARK: Sending and receiving

  /// Finishes sending what was queued and takes the answers.
  func exchange(_ isSent: Bool, _ answers: inout Answers) async {
    guard isSent else { return tearDown() }
    await wait(.flush)
    // A COPY still waits for its data, so whatever stands behind it cannot happen yet.
    operation?.isOutcomeUnknown = !answers.expectsCopy
    await receive(&answers)
  }

  /// Ends a COPY; the answers follow.
  func endCopy(abort: String?) async {
    if abort == nil { operation?.isOutcomeUnknown = true }
    operation?.isCopying = false
    while true {
      switch session.endCopy(abort: abort) {
      case .taken: return await wait(.flush)
      case .full: await wait(.flush)
      case .failed: return tearDown()
      }
    }
  }

  /// Takes answers until the query ends, its COPY begins or the connection is lost.
  func receive(_ answers: inout Answers) async {
    while true {
      await wait(.result)
      guard let result = session.nextResult() else { return }
      switch result.status {
      case .copyIn where answers.expectsCopy && !answers.isCopyStarted:
        answers.isCopyStarted = true
        operation?.isCopying = true
        return
      case .copyIn:
        answers.violation = .protocolViolation("a COPY FROM STDIN nobody has data for")
        await endCopy(abort: "no data")
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

  // MARK: Beginning and end of an operation

  /// Starts an operation; `cleanUp` ends it.
  ///
  /// - Throws: `.closed`, `.disconnected`, `.cancelled`, `.timedOut` when there is no point in
  ///   starting.
  func begin(_ deadline: MonotonicTime) throws(PostgresError) {
    precondition(operation == nil, "one operation at a time")
    assert(loop.isOnLoopThread, "connections are used on their loop's thread only")
    guard !session.isClosed else { throw .closed }
    guard isUsable else { throw .disconnected(outcomeUnknown: false, sqlstate: nil) }
    guard !Task.isCancelled else { throw .cancelled(outcomeUnknown: false) }
    guard deadline > loop.now else { throw .timedOut(outcomeUnknown: false) }
    session.notices.removeAll(keepingCapacity: true)
    operation = Operation(limit: deadline)
    armTimer(deadline)
  }

  /// From now on a lost connection leaves open what the server has done.
  func expectUnknownOutcome() { operation?.isOutcomeUnknown = true }

  /// Brings the connection back to where the next operation can start, or closes it.
  ///
  /// - Returns: what its loss means, when the connection was lost before all answers were there.
  func cleanUp(after error: PostgresServerError?) async -> PostgresError? {
    guard let ended = operation else { preconditionFailure("an operation is under way") }
    let isLost = !isUsable
    if !isLost { await makeReusable() }
    operation = nil
    if !isUsable { tearDown() }
    return isLost ? loss(ended, error) : nil
  }

  /// Ends a transaction that was left open, also in a cancelled task; closes the connection when it
  /// fails.
  func rollBack() async {
    guard isUsable, session.transaction != .idle else { return }
    precondition(operation == nil, "one operation at a time")
    let limit = loop.now + PostgresChannel.grace
    operation = Operation(phase: .cleaningUp, limit: limit)
    armTimer(limit)
    await exchangeRollBack()
    operation = nil
    if session.transaction != .idle { tearDown() }
  }

  private func exchangeRollBack() async {
    var answers = Answers()
    await exchange(session.send(script: "ROLLBACK"), &answers)
    if answers.error != nil { tearDown() }
  }

  private func makeReusable() async {
    if cancelRequest != nil || session.transaction == .failed {
      // In here there is nothing to give up but the connection.
      let limit = loop.now + PostgresChannel.grace
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

  /// Why COPY data cannot be sent any more; it is not committed then.
  var lossInCopy: PostgresError {
    guard var ended = operation else { preconditionFailure("an operation is under way") }
    ended.isOutcomeUnknown = false
    return loss(ended, nil)
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
  func ownError(_ error: PostgresServerError, committed: Bool) -> PostgresError {
    guard error.sqlstate == .queryCancelled else { return .server(error) }
    return switch operation?.phase {
    case .givingUp(.deadline): .timedOut(outcomeUnknown: committed)
    case .givingUp(.cancelled): .cancelled(outcomeUnknown: committed)
    case .givingUp(.closed): .closed
    case .running, .cleaningUp, nil: .server(error)
    }
  }

  /// Asks the server to stop, and sets the time after which it is not waited for any more.
  func giveUp(_ reason: Reason) {
    guard operation?.phase == .running else { return }
    operation?.phase = .givingUp(reason)
    operation?.graceEnd = loop.now + PostgresChannel.grace
    requestCancel()
    advance()
  }

  private func requestCancel() {
    if cancelRequest == nil, let cancelKey {
      cancelRequest = CancelRequest(cancelKey, on: loop) { [weak self] in
        self?.cancelRequest = nil
        self?.advance()
      }
    }
    let limit = loop.now + PostgresChannel.cancelInterval
    operation?.limit = limit
    armTimer(limit)
  }

  /// Closes everything; a waiting task goes on and finds the connection unusable.
  func tearDown() {
    watch = nil
    cancelRequest?.stop()
    cancelRequest = nil
    if let timer = timer.take() { loop.cancel(timer.id) }
    session.close()
    advance()
  }

  /// Closes at once; a running operation ends with `.closed`.
  func close() {
    operation?.phase = .givingUp(.closed)
    tearDown()
  }

  // MARK: Waiting

  /// Suspends until `what` has come, or the connection is lost.
  func wait(_ what: Awaiting) async {
    while !hasCome(what) {
      awaiting = what
      let watchesWriting = what == .flush || what == .copyFlush
      if watchesWriting { watch?.setInterest([.readable, .writable]) }
      let isRunning = operation?.phase == .running
      // Events may come before the task is suspended (see `WaitCell.wait`): look once more then.
      let wake = await cell.wait(cancelled: isRunning ? .cancelled : nil) { advance() }
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
  func ready(_ readiness: Readiness) {
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

  /// Makes sure the timer fires at `time` or before; one that fires early sets itself again, so
  /// that short operations seldom touch the timers.
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
    case .givingUp where loop.now < operation.graceEnd: requestCancel()
    case .givingUp, .cleaningUp: tearDown()
    }
  }
}
