internal import EventLoop
internal import Glibc
internal import Testing

// Sockets with arrays in place of spans, and both ends of a connection.

/// A socket that can be kept in arrays and closures.
final class Endpoint {
  let socket: Socket
  var number: CInt { socket.number }

  init(_ socket: consuming Socket) { self.socket = socket }

  /// Sends what the system takes.
  func send(_ bytes: [UInt8]) throws(SystemError) -> Int {
    try unsafe socket.write(bytes.span.bytes)
  }

  /// Reads once; the bytes are empty unless there were some.
  func receive(countMax: Int = 4_096) throws(SystemError) -> (ReadOutcome, [UInt8]) {
    var buffer = [UInt8](repeating: 0, count: countMax)
    var span = buffer.mutableSpan
    var bytes = unsafe span.mutableBytes
    let outcome = try socket.read(into: &bytes)
    guard case .bytes(let count) = outcome else { return (outcome, []) }
    return (outcome, Array(buffer[..<count]))
  }

  /// Accepts what waits, and closes it at once.
  func acceptAndClose() throws(SystemError) -> Int {
    var count = 0
    while let socket = try socket.accept() {
      _ = consume socket
      count += 1
    }
    return count
  }

  static func listening(_ host: String = "127.0.0.1", _ port: UInt16 = 0) throws -> Endpoint {
    Endpoint(try Socket.listen(on: SocketAddress(host: host, port: port)))
  }

  /// Both ends of a fresh connection over the loopback device.
  static func pair() throws -> (client: Endpoint, server: Endpoint) {
    let listener = try listening()
    let address = SocketAddress(host: "127.0.0.1", port: try listener.socket.localPort())
    let client = Endpoint(try Socket.connect(to: address))
    try waitUntilReady(listener, .readable)
    try client.socket.finishConnecting()
    guard let server = try listener.socket.accept() else {
      throw SystemError(call: "accept4", code: EAGAIN)
    }
    return (client, Endpoint(server))
  }
}

/// Runs a loop of its own until the endpoint is ready.
@discardableResult
func waitUntilReady(_ endpoint: Endpoint, _ interest: Interest) throws -> Readiness {
  let loop = try EventLoop()
  let watcher = Watcher { _ in loop.stop() }
  let registration = try loop.add(
    descriptor: endpoint.number,
    interest: interest,
    handler: watcher
  )
  runBounded(loop)
  loop.remove(registration)
  return watcher.calls.last ?? []
}

/// One end of a connection on a loop: sends what it is given, gathers what comes.
final class Peer: ReadinessHandler {
  private let loop: EventLoop
  private let endpoint: Endpoint
  private var registration: Registration?
  private var output: [UInt8] = []
  private var finishes = false
  private(set) var received: [UInt8] = []
  var onEnd: () -> Void = {}

  init(_ loop: EventLoop, _ endpoint: Endpoint) throws(SystemError) {
    self.loop = loop
    self.endpoint = endpoint
    registration = try loop.add(
      descriptor: endpoint.number,
      interest: [.readable, .writable],
      handler: self
    )
  }

  /// Sends the bytes and the end of the stream.
  func finish(with bytes: [UInt8]) {
    output += bytes
    finishes = true
    if let registration { loop.setInterest(registration, [.readable, .writable]) }
  }

  func ready(_ readiness: Readiness) {
    do {
      if readiness.contains(.writable) { try write() }
      if readiness.contains(.readable) { try read() }
    } catch {
      Issue.record(error)
      loop.stop()
    }
  }

  private func write() throws(SystemError) {
    try endpoint.socket.finishConnecting()
    output.removeFirst(try endpoint.send(output))
    guard output.isEmpty, let registration else { return }
    if finishes { endpoint.socket.shutdownWriting() }
    loop.setInterest(registration, .readable)
  }

  private func read() throws(SystemError) {
    let (outcome, bytes) = try endpoint.receive(countMax: 2)
    received += bytes
    guard outcome == .endOfStream else { return }
    if finishes, output.isEmpty, let registration {
      loop.remove(registration)
      self.registration = nil
    }
    onEnd()
  }
}
