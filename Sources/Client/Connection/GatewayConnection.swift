internal import EventLoop
internal import Wire

// One connection to a gateway: calls and streams out, answers in.

/// Names a stream of a client connection.
struct ClientStreamID: Hashable, Sendable {
  let number: UInt32
}

/// Is told what comes on a stream; called on the client's loop.
protocol ClientStreamHandler: AnyObject {
  /// One message came; the bytes are borrowed for the call.
  func received(_ body: RawSpan)
  /// The stream is over: well with `.ok`, with an error, or with nil because the connection was
  /// lost.
  func ended(_ status: Status?)
}

/// A connection to one gateway, confined to the client's loop.
final class GatewayConnection: ReadinessHandler, FlushHandler {
  /// Output that may wait for the socket; more is a gateway that does not read.
  static let outputBytesMax = 64 << 20

  let arena: MessageArena
  private let loop: EventLoop
  private var socket: Socket
  private var registration: Registration?
  private var decoder = FrameDecoder()
  private var streams = ClientStreams()
  private var output = ByteQueue()
  private var handlers: [UInt32: any ClientStreamHandler] = [:]
  private var calls: [UInt32: PendingCall] = [:]
  private var connecting: CheckedContinuation<ClientError?, Never>?
  private var isFlushScheduled = false
  private let readBuffer: ReadBuffer

  private struct PendingCall {
    let continuation: CheckedContinuation<Result<[UInt8], ClientError>, Never>
    let timer: TimerID
  }

  // MARK: Life

  /// Connects.
  ///
  /// - Throws: `ClientError.cannotConnect` with the system's reason, or because the time is over.
  static func connect(
    to address: SocketAddress,
    loop: EventLoop,
    within limit: Duration
  ) async throws(ClientError) -> GatewayConnection {
    let connection: GatewayConnection
    do throws(SystemError) {
      connection = GatewayConnection(try Socket.connect(to: address), loop)
    } catch {
      throw .cannotConnect("\(address): \(error)")
    }
    let timer = loop.schedule(at: loop.now + limit) {
      connection.finishConnecting(.cannotConnect("\(address): no answer within \(limit)"))
    }
    defer { loop.cancel(timer) }
    // Watched only once there is somebody to resume: a caller whose task prefers another executor
    // gives the loop a turn before the continuation exists.
    let failure = await withCheckedContinuation { continuation in
      connection.connecting = continuation
      connection.watch()
    }
    guard let failure else { return connection }
    connection.close()
    if case .cannotConnect(let why) = failure, !why.hasPrefix("\(address)") {
      throw .cannotConnect("\(address): \(why)")
    }
    throw failure
  }

  private init(_ socket: consuming Socket, _ loop: EventLoop) {
    self.socket = socket
    self.loop = loop
    arena = MessageArena()
    readBuffer = ReadBuffer(byteCount: 64 << 10)
  }

  var isClosed: Bool { registration == nil }

  private func watch() {
    do throws(SystemError) {
      registration = try loop.add(
        descriptor: socket.number,
        interest: .writable,
        handler: self
      )
    } catch {
      finishConnecting(.cannotConnect("\(error)"))
    }
  }

  /// Closes at once; every call and stream ends with a lost connection.
  func close() {
    guard let registration else { return }
    self.registration = nil
    loop.remove(registration)
    finishConnecting(.disconnected)
    _ = streams.endAll()
    let calls = self.calls
    let handlers = self.handlers
    self.calls.removeAll()
    self.handlers.removeAll()
    for call in calls.values {
      loop.cancel(call.timer)
      call.continuation.resume(returning: .failure(.disconnected))
    }
    for handler in handlers.values { handler.ended(nil) }
  }

  // MARK: Calls

  /// Makes a unary call.
  ///
  /// - Throws: `ClientError`: the gateway's status, a lost connection, or no answer within `limit`.
  func call<Request: WireMessage, Response: WireMessage>(
    _ service: String,
    _ method: String,
    _ request: Request,
    within limit: Duration
  ) async throws(ClientError) -> Response {
    guard !isClosed else { throw .disconnected }
    guard let id = streams.open(.unary) else {
      throw .status(
        Status(
          .resourceExhausted,
          "too many calls in flight on this connection",
          reason: "TOO_MANY_CALLS",
          retryAfterMilliseconds: 100
        )
      )
    }
    let header = CallHeader(
      service: service,
      method: method,
      timeoutNanoseconds: limit.wholeMilliseconds.multipliedReportingOverflow(by: 1_000_000)
        .partialValue
    )
    // Sent only once there is somebody to resume, as in `connect`.
    let result = await withCheckedContinuation { continuation in
      begin(id, header, request, within: limit, continuation)
    }
    let payload = try result.get()
    do throws(MessageError) {
      return try Response(decoding: payload.rawSpan, arena: arena)
    } catch {
      throw .protocolViolation("the answer to \(method) cannot be read: \(error)")
    }
  }

  private func begin(
    _ id: UInt32,
    _ header: CallHeader,
    _ request: some WireMessage,
    within limit: Duration,
    _ continuation: CheckedContinuation<Result<[UInt8], ClientError>, Never>
  ) {
    guard !isClosed else { return continuation.resume(returning: .failure(.disconnected)) }
    do throws(MessageError) {
      try output.appendRequest(
        streamID: id,
        header,
        request,
        flags: .remoteClosed,
        arena: arena
      )
    } catch {
      _ = streams.abandon(id)
      return continuation.resume(returning: .failure(.status(error.status)))
    }
    // A little later than the gateway's own deadline, so that its answer comes first if there is
    // one.
    let timer = loop.schedule(at: loop.now + limit + .milliseconds(250)) { [weak self] in
      self?.finishCall(id, .failure(.timedOut))
    }
    calls[id] = PendingCall(continuation: continuation, timer: timer)
    scheduleFlush()
  }

  private func finishCall(_ id: UInt32, _ result: Result<[UInt8], ClientError>) {
    guard let call = calls.removeValue(forKey: id) else { return }
    _ = streams.abandon(id)
    loop.cancel(call.timer)
    call.continuation.resume(returning: result)
  }

  // MARK: Streams

  /// Opens a bidirectional stream; when that is impossible the handler is told at the next turn.
  func openStream(
    _ service: String,
    _ method: String,
    _ handler: any ClientStreamHandler
  ) -> ClientStreamID {
    guard !isClosed, let id = streams.open(.bidirectional) else {
      _ = loop.schedule(at: loop.now) { handler.ended(nil) }
      return ClientStreamID(number: 0)
    }
    handlers[id] = handler
    do throws(MessageError) {
      try output.appendRequest(
        streamID: id,
        CallHeader(service: service, method: method),
        nil as Ping?,
        flags: .remoteOpen,
        arena: arena
      )
    } catch {
      preconditionFailure("a request without payload fits a frame")
    }
    scheduleFlush()
    return ClientStreamID(number: id)
  }

  /// Sends one message on a stream; one that has ended takes nothing.
  func send(_ stream: ClientStreamID, _ message: some WireMessage) {
    guard !isClosed, streams.isOpen(stream.number) else { return }
    do throws(MessageError) {
      try output.appendData(streamID: stream.number, message, arena: arena)
    } catch {
      return close()
    }
    outputGrew()
  }

  /// Sends one batch on a stream, its columns copied once.
  func send(_ stream: ClientStreamID, _ batch: PendingBatch) {
    guard !isClosed, streams.isOpen(stream.number) else { return }
    do throws(MessageError) {
      try output.appendBatch(
        streamID: stream.number,
        firstSeq: batch.first,
        count: batch.count,
        crc32c: batch.checksum,
        columns: batch.columns.rawSpan
      )
    } catch {
      return close()
    }
    outputGrew()
  }

  /// Ends this side of a stream; the gateway's answers still come.
  func endStream(_ stream: ClientStreamID) {
    guard !isClosed, streams.isOpen(stream.number) else { return }
    output.appendDataEnd(streamID: stream.number)
    scheduleFlush()
  }

  // MARK: Input and output

  func ready(_ readiness: Readiness) {
    if connecting != nil {
      do throws(SystemError) {
        try socket.finishConnecting()
      } catch {
        return finishConnecting(.cannotConnect("\(error)"))
      }
      finishConnecting(nil)
    }
    if readiness.contains(.writable) { flush() }
    guard !isClosed, readiness != .writable else { return }
    read()
  }

  func flush() {
    isFlushScheduled = false
    guard let registration, connecting == nil else { return }
    do throws(SystemError) {
      while !output.isEmpty {
        let count = try socket.write(output.pending)
        guard count > 0 else { break }
        output.consume(count)
      }
    } catch {
      return close()
    }
    loop.setInterest(registration, output.isEmpty ? .readable : [.readable, .writable])
  }

  private func finishConnecting(_ failure: ClientError?) {
    guard let continuation = connecting else { return }
    connecting = nil
    continuation.resume(returning: failure)
  }

  private func read() {
    // Bounded per turn, so that timers and other connections have theirs.
    for _ in 0..<16 {
      let outcome: ReadOutcome
      do throws(SystemError) {
        outcome = try readBuffer.fill { buffer throws(SystemError) in
          try socket.read(into: &buffer)
        }
      } catch {
        return close()
      }
      guard case .bytes(let count) = outcome else {
        if outcome == .endOfStream { close() }
        return
      }
      do throws(FrameError) {
        try readBuffer.withBytes(count) { bytes throws(FrameError) in
          try decoder.receive(bytes) { header, body in
            handle(header, body)
            return isClosed ? .stop : .continue
          }
        }
      } catch {
        return close()
      }
      guard !isClosed, count == readBuffer.byteCount else { return }
    }
  }

  private func handle(_ header: FrameHeader, _ body: RawSpan) {
    switch streams.receive(header) {
    case .ignore: break
    case .close: close()
    case .respond(let id): respond(id, body)
    case .deliver(let id, let ended):
      handlers[id]?.received(body)
      if ended { end(id, .ok) }
    case .end(let id): end(id, .ok)
    case .fail(let id, let status):
      finishCall(id, .failure(.status(status)))
      end(id, status)
    }
  }

  private func respond(_ id: UInt32, _ body: RawSpan) {
    do throws(MessageError) {
      let envelope = try ResponseEnvelope(decoding: body, arena: arena)
      if envelope.status.code == .ok {
        finishCall(id, .success(body.extracting(envelope.payload).copied()))
      } else {
        finishCall(id, .failure(.status(envelope.status)))
      }
      end(id, envelope.status)
    } catch {
      finishCall(id, .failure(.protocolViolation("a response cannot be read: \(error)")))
      end(id, nil)
    }
  }

  private func end(_ id: UInt32, _ status: Status?) {
    handlers.removeValue(forKey: id)?.ended(status)
  }

  private func outputGrew() {
    guard output.count <= GatewayConnection.outputBytesMax else { return close() }
    scheduleFlush()
  }

  private func scheduleFlush() {
    guard !isFlushScheduled, connecting == nil else { return }
    isFlushScheduled = true
    loop.flushBeforeSleep(self)
  }
}

extension Array where Element == UInt8 {
  /// The bytes, borrowed from the array.
  var rawSpan: RawSpan {
    @_lifetime(borrow self)
    get {
      // Bytes of bytes: nothing is reinterpreted.
      unsafe span.bytes
    }
  }
}
