internal import EventLoop
internal import Glibc

// Asks a server to give up what a connection is doing, without blocking as PQcancel does.

/// What a cancel request must name (protocol message BackendKeyData), and where to send it.
struct CancelKey {
  var backendID: Int32
  var secret: Int32
  var address: SocketPeer
}

/// The address a socket is connected to, TCP or Unix.
@safe
struct SocketPeer {
  private var storage = sockaddr_storage()
  private var length = socklen_t(MemoryLayout<sockaddr_storage>.size)

  /// The peer of a connected socket; nil when it is not connected any more.
  init?(of socket: CInt) {
    let code = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        unsafe getpeername(socket, pointer, &length)
      }
    }
    guard code == 0 else { return nil }
  }

  /// A new socket with a connection attempt under way; nil when it was refused at once.
  func connect() -> Descriptor? {
    let flags = CInt(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
    let number = socket(CInt(storage.ss_family), flags, 0)
    guard number >= 0 else { return nil }
    let descriptor = Descriptor(owning: number)
    let code = unsafe withUnsafePointer(to: storage) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        unsafe Glibc.connect(number, pointer, length)
      }
    }
    // A Unix socket whose backlog is full says EAGAIN and will never become writable: give up.
    guard code == 0 || errno == EINPROGRESS else { return nil }
    return descriptor
  }
}

/// One CancelRequest on a socket of its own: connect, 16 bytes, wait until the server closes.
///
/// The server closes after it has sent the signal, so once `finished` was called a later statement
/// on the connection is not hit. Like libpq's own PQcancel before version 17 the packet goes in
/// plain text also to servers that otherwise want TLS; they accept that (protocol, "Canceling
/// Requests in Progress"). Confined to the loop's thread.
final class CancelRequest: ReadinessHandler {
  private let loop: EventLoop
  private let packet: [UInt8]
  private var descriptor: Descriptor?
  private var registration: Registration?
  private var isSent = false
  private let finished: () -> Void

  /// Starts the request; `finished` is called once, later, unless `stop` comes first.
  ///
  /// Nil when no connection could be started.
  init?(_ key: CancelKey, on loop: EventLoop, finished: @escaping () -> Void) {
    guard let descriptor = key.address.connect() else { return nil }
    self.loop = loop
    self.finished = finished
    packet = CancelRequest.packet(key)
    do throws(SystemError) {
      registration = try loop.add(
        descriptor: descriptor.number,
        interest: .writable,
        handler: self
      )
    } catch {
      return nil
    }
    self.descriptor = consume descriptor
  }

  func ready(_ readiness: Readiness) {
    isSent ? awaitEnd() : send()
  }

  /// Closes the socket without a call to `finished`.
  func stop() {
    if let registration = registration.take() { loop.remove(registration) }
    descriptor = nil
  }

  private func send() {
    guard let number = descriptor?.number, let registration else { return }
    let count = unsafe packet.withUnsafeBytes { bytes in
      unsafe Glibc.send(number, bytes.baseAddress, bytes.count, CInt(MSG_NOSIGNAL))
    }
    // Sixteen bytes go out whole or not at all; an error is the failed connect or a reset.
    guard count == packet.count else { return end() }
    isSent = true
    loop.setInterest(registration, .readable)
  }

  private func awaitEnd() {
    guard let number = descriptor?.number else { return }
    var byte: UInt8 = 0
    let count = unsafe recv(number, &byte, 1, 0)
    if count < 0, errno == EAGAIN || errno == EINTR { return }
    if count == 0 || count < 0 { end() }
  }

  private func end() {
    stop()
    finished()
  }

  private static func packet(_ key: CancelKey) -> [UInt8] {
    // Length, the request code 1234 * 65536 + 5678, process, secret; all in network order.
    let words: [Int32] = [16, 80_877_102, key.backendID, key.secret]
    return words.flatMap { word in
      let bits = UInt32(bitPattern: word)
      return [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: bits >> $0) }
    }
  }
}
