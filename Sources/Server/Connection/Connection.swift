internal import EventLoop
internal import Logging
internal import Storage
internal import Wire

// One client connection: bytes in, decisions by `ServerStreams`, bytes out once per turn.

/// Names a connection of a worker for ever, also when its descriptor is used again.
struct ConnectionID: Hashable, Sendable {
  let number: UInt64
}

/// A client connection, owned by its worker's table until it is closed.
///
/// Whatever is called on it may close it: code that goes on afterwards looks at `isClosed` first.
final class Connection: ReadinessHandler, FlushHandler {
  let id: ConnectionID
  let context: WorkerContext

  private var socket: Socket
  private var registration: Registration?
  private var decoder = FrameDecoder()
  private var streams = ServerStreams()
  private var output = ByteQueue()
  private var sessions: [UInt32: any StreamHandler] = [:]
  private var deadlines: [UInt32: TimerID] = [:]
  /// Calls that are given up with the connection.
  private var reads: [UInt32: LoopTask] = [:]

  private var isFlushScheduled = false
  private var closesAfterFlush = false
  private var isInputEnded = false
  private var lastOutputProgress: MonotonicTime
  private var frameStart: MonotonicTime
  private var heldBytes = 0
  /// Of the last durable write of this connection: its later reads see that much.
  private var durableToken: FreshnessToken?

  // MARK: Life

  /// Puts an accepted socket into the worker's table and begins to read.
  ///
  /// - Throws: `SystemError` when the loop cannot watch the socket, which is then closed.
  static func start(_ socket: consuming Socket, _ context: WorkerContext) throws(SystemError) {
    let number = socket.number
    let connection = Connection(socket, context)
    connection.registration = try context.loop.add(
      descriptor: number,
      interest: .readable,
      handler: connection
    )
    context.connections[connection.id] = connection
    context.figures[.connectionsOpen] += 1
  }

  private init(_ socket: consuming Socket, _ context: WorkerContext) {
    id = context.nextConnectionID()
    self.context = context
    self.socket = socket
    lastOutputProgress = context.loop.now
    frameStart = context.loop.now
  }

  /// Whether the connection is gone; its socket is closed with its last reference.
  var isClosed: Bool { registration == nil }

  /// Ends everything at once; what was accepted is still written, but nobody is told.
  func close() {
    guard let registration else { return }
    self.registration = nil
    context.loop.remove(registration)
    context.connections[id] = nil
    context.figures[.connectionsOpen] -= 1
    context.figures[.partialFrameBytes] -= Int64(heldBytes)
    heldBytes = 0
    for timer in deadlines.values { context.loop.cancel(timer) }
    deadlines.removeAll()
    giveUpReads()
    _ = streams.endAll()
    let ended = sessions
    sessions.removeAll()
    for session in ended.values { session.connectionClosed() }
  }

  /// Closes for a fault of the client, and counts it.
  private func close(_ reason: String) {
    guard !isClosed else { return }
    context.figures[.connectionsClosedForCause] += 1
    context.log.info("closing connection \(id.number): \(reason)")
    close()
  }

  /// Closes as soon as nothing is open and everything is sent: the end of a drain.
  func closeWhenIdle() {
    closesAfterFlush = true
    scheduleFlush()
  }

  /// Tells every stream that the gateway is about to stop.
  func drain() {
    for session in sessions.values { session.drain() }
    closeWhenIdle()
  }

  // MARK: Input

  func ready(_ readiness: Readiness) {
    if readiness.contains(.writable) { flush() }
    guard !isClosed else { return }
    // After its own end of input only a broken connection is still reported.
    if isInputEnded, !readiness.isDisjoint(with: [.hangup, .error]) { return close() }
    if readiness.isSuperset(of: .readable) || !readiness.isDisjoint(with: [.hangup, .error]) {
      read()
    }
  }

  private func read() {
    var taken = 0
    while taken < ServerLimits.readBytesPerTurn {
      let outcome: ReadOutcome
      do throws(SystemError) {
        outcome = try context.readBuffer.fill { buffer throws(SystemError) in
          try socket.read(into: &buffer)
        }
      } catch {
        return close()
      }
      guard case .bytes(let count) = outcome else {
        if outcome == .endOfStream { inputEnded() }
        return
      }
      taken += count
      context.figures[.bytesReceived] += Int64(count)
      context.readBuffer.withBytes(count) { receive($0) }
      // A short read has emptied the socket; epoll tells when more comes.
      guard !isClosed, wantsInput, count == context.readBuffer.byteCount else { break }
    }
    if !isClosed { updateInterest() }
  }

  /// The client has shut down its side: what it waits for is finished, everything else ends.
  ///
  /// A client that was killed looks the same, so its reads are given up after a while.
  private func inputEnded() {
    isInputEnded = true
    if !reads.isEmpty {
      _ = context.loop.schedule(at: context.loop.now + ServerLimits.halfClosedReadTimeMax) {
        [weak self] in self?.giveUpReads()
      }
    }
    for (id, session) in sessions where !session.finishesByItself {
      sessions[id] = nil
      session.connectionClosed()
    }
    guard !sessions.isEmpty || streams.unaryCallsInFlight > 0 || !output.isEmpty else {
      return close()
    }
    closeWhenIdle()
    updateInterest()
  }

  private func receive(_ bytes: RawSpan) {
    var beginsFrame = !decoder.isMidFrame
    do throws(FrameError) {
      try decoder.receive(bytes) { header, body in
        context.figures[.framesReceived] += 1
        beginsFrame = true
        handle(header, body)
        return isClosed ? .stop : .continue
      }
    } catch {
      return close("\(error)")
    }
    guard !isClosed else { return }
    if beginsFrame { frameStart = context.loop.now }
    let change = decoder.heldBytes - heldBytes
    heldBytes += change
    context.figures[.partialFrameBytes] += Int64(change)
    // The slowest frames go, not whoever sent something last: a few clients that never finish
    // theirs would shut everybody else out.
    while context.figures[.partialFrameBytes] > Int64(ServerLimits.partialFrameBytesMax),
      let slowest = context.connections.values.filter({ $0.heldBytes > 0 }).min(
        by: { $0.frameStart < $1.frameStart }
      )
    {
      slowest.close("too much memory in unfinished frames")
    }
  }

  private func handle(_ header: FrameHeader, _ body: RawSpan) {
    let action = streams.receive(header, body) { service, method in
      context.methods.find(service: service, method: method)
    }
    switch action {
    case .ignore: break
    case .close(let reason): close("\(reason)")
    case .refuse(let streamID, let status): write(status, streamID)
    case .fail(let token, let status):
      write(status, token.id)
      abandon(token)
    case .dispatchUnary(let token, let method, let envelope):
      dispatch(token, method, envelope, body)
    case .openStream(let token, let method, _, let envelope, let remoteClosed):
      open(token, method, envelope, body, remoteClosed: remoteClosed)
    case .deliver(let token, let remoteClosed):
      sessions[token.id]?.receive(body)
      if remoteClosed { sessions[token.id]?.halfClose() }
    case .halfClose(let token):
      sessions[token.id]?.halfClose()
    }
  }

  private func abandon(_ token: StreamToken) {
    cancelDeadline(token)
    reads.removeValue(forKey: token.id)?.cancel()
    sessions.removeValue(forKey: token.id)?.connectionClosed()
  }

  // MARK: Calls

  private func dispatch(
    _ token: StreamToken,
    _ method: Method,
    _ envelope: RequestEnvelope,
    _ body: RawSpan
  ) {
    context.figures[.unaryCalls] += 1
    let timeout = envelope.timeoutNanoseconds
    guard timeout >= 0 else { return respond(token, .deadlineExceeded) }
    if context.isDraining, !method.worksWhileDraining { return respond(token, .draining) }
    var deadline = context.loop.now + ServerLimits.unaryTimeMax
    if timeout > 0 {
      // Rule 9: relative, from receipt, on the monotonic clock.
      deadline = min(deadline, context.loop.now + .nanoseconds(timeout))
      deadlines[token.id] = context.loop.schedule(at: deadline) { [weak self] in
        self?.deadlines[token.id] = nil
        self?.respond(token, .deadlineExceeded)
      }
    }
    let request = UnaryRequest(
      method: method,
      payload: body.extracting(envelope.payload).copied(),
      caller: context.authenticate(envelope, body),
      deadline: deadline,
      connection: id,
      stream: token,
      sessionToken: durableToken
    )
    let call = Call(context: context, request: request)
    guard call.begin() else { return respond(token, .tooManyRequestBytes) }
    guard !Dispatch.answerWithoutTask(call, token) else { return }
    let task = context.worker.run(request, token)
    if method.endsWithCaller { reads[token.id] = task }
  }

  /// Cancels reads whose caller is gone, also in the database; each still writes its ending.
  private func giveUpReads() {
    for task in reads.values { task.cancel() }
    reads.removeAll()
  }

  /// Ends a unary call with an error; a late one is dropped.
  func respond(_ token: StreamToken, _ status: Status) {
    guard !isClosed, streams.end(token) else { return }
    forget(token)
    context.figures[.unaryErrors] += 1
    write(status, token.id)
  }

  /// Ends a unary call with its answer; a late one is dropped.
  func respond(_ token: StreamToken, _ message: some WireMessage) {
    guard !isClosed, streams.end(token) else { return }
    forget(token)
    do throws(MessageError) {
      try output.appendResponse(streamID: token.id, message, arena: context.arena)
    } catch {
      context.figures[.unaryErrors] += 1
      return write(error.status, token.id)
    }
    outputGrew()
  }

  /// Its id may be used again.
  private func forget(_ token: StreamToken) {
    if !reads.isEmpty { reads[token.id] = nil }
    cancelDeadline(token)
  }

  /// From now on the handler of a call says itself what has become of it at its deadline.
  func leaveDeadlineToHandler(_ token: StreamToken) {
    if streams.isOpen(token) { cancelDeadline(token) }
  }

  private func cancelDeadline(_ token: StreamToken) {
    guard !deadlines.isEmpty, let timer = deadlines.removeValue(forKey: token.id) else { return }
    context.loop.cancel(timer)
  }

  /// A write of this connection is durable: reads that come later on it have to see it.
  func noteDurable(_ token: FreshnessToken) {
    if durableToken.map({ token.replaces($0) }) ?? true { durableToken = token }
  }

  // MARK: Streams

  private func open(
    _ token: StreamToken,
    _ method: Method,
    _ envelope: RequestEnvelope,
    _ body: RawSpan,
    remoteClosed: Bool
  ) {
    if context.isDraining {
      _ = streams.end(token)
      return write(.draining, token.id)
    }
    let timeout = envelope.timeoutNanoseconds
    guard timeout >= 0 else {
      _ = streams.end(token)
      return write(.deadlineExceeded, token.id)
    }
    if timeout > 0 {
      let deadline = context.loop.now + .nanoseconds(timeout)
      deadlines[token.id] = context.loop.schedule(at: deadline) { [weak self] in
        self?.expire(token)
      }
    }
    let payload = body.extracting(envelope.payload)
    let stream = ServerStream(token: token, connection: self)
    let session = context.makeStreamHandler(method, stream)
    sessions[token.id] = session
    if payload.byteCount > 0 { session.receive(payload) }
    if remoteClosed { sessions[token.id]?.halfClose() }
  }

  /// Ends a stream whose caller does not wait any longer.
  private func expire(_ token: StreamToken) {
    deadlines[token.id] = nil
    let session = sessions[token.id]
    end(token, .deadlineExceeded)
    session?.connectionClosed()
  }

  /// Appends one message to a stream that is open; false when it is not any more.
  func send(_ token: StreamToken, _ message: some WireMessage) -> Bool {
    guard !isClosed, streams.isOpen(token) else { return false }
    do throws(MessageError) {
      try output.appendData(streamID: token.id, message, arena: context.arena)
    } catch {
      end(token, error.status)
      return false
    }
    outputGrew()
    return true
  }

  /// Ends a stream, well without a status and with an error otherwise.
  func end(_ token: StreamToken, _ status: Status?) {
    guard !isClosed, streams.end(token) else { return }
    cancelDeadline(token)
    sessions[token.id] = nil
    if let status {
      write(status, token.id)
    } else {
      output.appendDataEnd(streamID: token.id)
      outputGrew()
    }
  }

  // MARK: Output

  private func write(_ status: Status, _ streamID: UInt32) {
    output.appendResponse(streamID: streamID, status: status, arena: context.arena)
    outputGrew()
  }

  private func outputGrew() {
    guard output.count <= ServerLimits.outputHardBytes else {
      return close("the client does not read its answers")
    }
    scheduleFlush()
  }

  /// Asks for one flush before the loop sleeps, also on behalf of a session that has an Ack to
  /// write.
  func scheduleFlush() {
    guard !isFlushScheduled, !isClosed else { return }
    isFlushScheduled = true
    context.loop.flushBeforeSleep(self)
  }

  func flush() {
    isFlushScheduled = false
    guard !isClosed else { return }
    // Acks are made only when they can be sent: until then newer ones replace them.
    let holdsBack = !canAnswer
    if !holdsBack {
      for session in sessions.values { session.writePending() }
    }
    guard !isClosed else { return }
    do throws(SystemError) {
      while !output.isEmpty {
        let count = try socket.write(output.pending)
        guard count > 0 else { break }
        output.consume(count)
        context.figures[.bytesSent] += Int64(count)
        lastOutputProgress = context.loop.now
      }
    } catch {
      return close()
    }
    if output.isEmpty, closesAfterFlush, sessions.isEmpty, streams.unaryCallsInFlight == 0 {
      return close()
    }
    // Nothing else may ever wake this connection.
    if holdsBack, canAnswer { scheduleFlush() }
    updateInterest()
  }

  private var canAnswer: Bool { output.count < ServerLimits.outputSoftBytes }
  private var wantsInput: Bool { !isInputEnded && canAnswer }

  private func updateInterest() {
    guard let registration else { return }
    var interest: Interest = wantsInput ? .readable : []
    if output.isEmpty {
      lastOutputProgress = context.loop.now
    } else {
      interest.insert(.writable)
    }
    context.loop.setInterest(registration, interest)
  }

  // MARK: Janitor

  /// Closes what has taken too long; called every second.
  func checkAge(_ now: MonotonicTime) {
    if output.isEmpty { output.reset() }
    if !output.isEmpty, now - lastOutputProgress > .seconds(ServerLimits.outputStallSeconds) {
      return close("the client does not read its answers")
    }
    if decoder.isMidFrame, now - frameStart > .seconds(ServerLimits.slowFrameSeconds) {
      return close("a frame took too long to come")
    }
    for session in sessions.values { session.checkAge(now) }
  }
}
