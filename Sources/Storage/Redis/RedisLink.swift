internal import EventLoop

// One socket to Redis with what belongs to it: bytes in, bytes out.

/// The I/O of one connection; decides nothing.
///
/// Confined to the loop's thread.
final class RedisLink {
  /// What a read brought.
  enum Input {
    case bytes
    case nothing
    /// Closed by the other side, or broken.
    case ended
  }

  let reader: RedisReader
  private let socket: Socket
  private let loop: EventLoop
  private var registration: Registration?
  private var output: [UInt8] = []
  /// Of `output`, what the socket has taken.
  private var written = 0

  /// Starts to connect; nil when that fails at once.
  ///
  /// `host` is numeric, as names would be looked up on the loop.
  init?(
    host: String,
    port: UInt16,
    replyBytesMax: Int,
    on loop: EventLoop,
    handler: any ReadinessHandler
  ) {
    do throws(SystemError) {
      let socket = try Socket.connect(to: SocketAddress(host: host, port: port))
      registration = try loop.add(
        descriptor: socket.number,
        interest: [.readable, .writable],
        handler: handler
      )
      self.socket = socket
    } catch {
      return nil
    }
    self.loop = loop
    reader = RedisReader(replyBytesMax: replyBytesMax)
  }

  /// Bytes that the socket has not taken yet.
  var outputBytes: Int { output.count - written }

  /// Whether the connection, whose socket is ready now, stands.
  func hasConnected() -> Bool {
    do throws(SystemError) {
      try socket.finishConnecting()
    } catch {
      return false
    }
    setInterest(.readable)
    return true
  }

  /// Adds a request to what is to be written.
  func append(_ request: some RedisRequest) { request.write(to: &output) }

  /// Writes what the socket takes, and waits for the rest; false when the connection is broken.
  func write() -> Bool {
    guard push() else { return false }
    let isDone = written == output.count
    if isDone {
      // A burst's memory is not kept for ever.
      output.removeAll(keepingCapacity: output.count <= 1 << 20)
      written = 0
    } else if written > output.count / 2 {
      output.removeFirst(written)
      written = 0
    }
    setInterest(isDone ? .readable : [.readable, .writable])
    return true
  }

  /// Writes until the socket takes no more.
  private func push() -> Bool {
    // Shares the memory: a field cannot lend its span for as long as a call takes.
    let bytes = output
    while written < bytes.count {
      do throws(SystemError) {
        let count = try socket.write(unsafe bytes.span.bytes.extracting(written..<bytes.count))
        guard count > 0 else { break }
        written += count
      } catch {
        return false
      }
    }
    return true
  }

  /// Reads once and hands the bytes to the reader.
  ///
  /// - Throws: `.protocolViolation`.
  func read(_ buffer: ReadBuffer) throws(RedisError) -> Input {
    let outcome: ReadOutcome
    do throws(SystemError) {
      outcome = try buffer.fill { (span) throws(SystemError) in try socket.read(into: &span) }
    } catch {
      return .ended
    }
    switch outcome {
    case .wouldBlock: return .nothing
    case .endOfStream: return .ended
    case .bytes(let count):
      try buffer.withBytes(count) { (bytes) throws(RedisError) in try reader.feed(bytes) }
      return .bytes
    }
  }

  /// Lets the loop forget the socket, which closes when the link is released.
  func close() {
    if let registration = registration.take() { loop.remove(registration) }
  }

  private func setInterest(_ interest: Interest) {
    if let registration { loop.setInterest(registration, interest) }
  }
}
