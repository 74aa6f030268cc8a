internal import EventLoop
internal import Storage
internal import Wire

// What a stream of a connection and its handler owe each other.

/// Handles one stream; called on the worker's loop.
protocol StreamHandler: AnyObject {
  /// One message came; the bytes are borrowed for the call.
  func receive(_ body: RawSpan)
  /// The client will send nothing more.
  func halfClose()
  /// The connection is gone, or the client broke the stream: write nothing more.
  func connectionClosed()
  /// The gateway is about to stop.
  func drain()
  /// Whether the stream will end without hearing anything more from the client.
  var finishesByItself: Bool { get }
  /// There is room for output: write what was held back.
  func writePending()
  /// Called every second.
  func checkAge(_ now: MonotonicTime)
}

extension StreamHandler {
  var finishesByItself: Bool { false }
  func writePending() {}
  func checkAge(_ now: MonotonicTime) {}
}

/// The sending side of a stream, for its handler; it does not keep the connection alive.
struct ServerStream {
  let token: StreamToken
  private weak var connection: Connection?

  init(token: StreamToken, connection: Connection) {
    self.token = token
    self.connection = connection
  }

  /// Sends a message; false when the stream is not open any more.
  @discardableResult
  func send(_ message: some WireMessage) -> Bool {
    connection?.send(token, message) ?? false
  }

  /// Ends the stream, with an error if there is one; does nothing when it has ended.
  func end(_ status: Status? = nil) {
    connection?.end(token, status)
  }

  /// A write of this stream is durable: reads that come later on its connection have to see it.
  func noteDurable(_ token: FreshnessToken) {
    connection?.noteDurable(token)
  }

  /// Asks for `writePending()` before the loop sleeps.
  func wantsToWrite() {
    connection?.scheduleFlush()
  }
}
