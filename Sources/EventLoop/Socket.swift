internal import CLinux
internal import Glibc

// A TCP socket without its C types: listen, accept, connect, read, write.

/// Where a socket listens or connects: a host and a port.
public struct SocketAddress: Hashable, Sendable, CustomStringConvertible {
  /// Host name or numeric IPv4 or IPv6 address, without brackets.
  public let host: String
  /// TCP port; 0 lets the system choose one when listening.
  public let port: UInt16

  /// An address to listen on or to connect to; names are resolved by the call that uses it.
  public init(host: String, port: UInt16) {
    self.host = host
    self.port = port
  }

  /// Parses "127.0.0.1:7171", "[::1]:7171" or "localhost:7171"; nil when that is not what it is.
  public init?(_ text: String) {
    guard let colon = text.lastIndex(of: ":") else { return nil }
    let digits = text[text.index(after: colon)...]
    // UInt16 takes a sign.
    guard !digits.hasPrefix("+"), let port = UInt16(digits) else { return nil }
    var host = text[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = host.dropFirst().dropLast()
    } else if host.contains(":") {
      return nil
    }
    guard !host.isEmpty else { return nil }
    self.init(host: String(host), port: port)
  }

  /// Whether the address can only be reached from this machine.
  public var isLoopback: Bool {
    host == "localhost" || host == "::1"
      || (host.hasPrefix("127.") && !host.contains(where: \.isLetter))
  }

  /// "127.0.0.1:7171" or "[::1]:7171".
  public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// What a read brought.
public enum ReadOutcome: Equatable, Sendable {
  /// So many bytes, at least one.
  case bytes(Int)
  /// Nothing now; wait until readable.
  case wouldBlock
  /// The peer has closed its side.
  case endOfStream
}

/// A non-blocking TCP socket.
///
/// Everything that crosses it passes `read` and `write`: the seam for TLS.
public struct Socket: ~Copyable {
  /// Pending connections the kernel holds while the loop is busy; the system caps it at somaxconn.
  public static let backlogMax: CInt = 4_096
  /// Unacknowledged data older than this ends a connection (rule 13 of the wire).
  public static let userTimeoutMilliseconds: CInt = 30_000

  private static let openFlags = CInt(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)

  private let descriptor: Descriptor

  private init(_ descriptor: consuming Descriptor) {
    self.descriptor = descriptor
  }

  /// The descriptor's number, for `EventLoop.add`; valid as long as the socket lives.
  public var number: CInt { descriptor.number }

  // MARK: Handing over

  /// Takes over what another one's `release` gave.
  public init(released number: CInt) { descriptor = Descriptor(owning: number) }

  /// Gives the open socket to another loop: whoever gets the number has to make a socket of it.
  public consuming func release() -> CInt { descriptor.release() }

  // MARK: Making

  /// A listening socket that shares its port with the other workers (SO_REUSEPORT, socket(7)).
  ///
  /// - Throws: `SystemError` when the address is not one of this machine's, in use, or not allowed.
  public static func listen(on address: SocketAddress) throws(SystemError) -> Socket {
    try unsafe withResolved(address, passive: true) {
      (family, pointer, length) throws(SystemError) in
      let socket = try open(family)
      try socket.setOption(SOL_SOCKET, SO_REUSEADDR, 1)
      try socket.setOption(SOL_SOCKET, SO_REUSEPORT, 1)
      try SystemCall.plain("bind") { () -> CInt in unsafe bind(socket.number, pointer, length) }
      try SystemCall.plain("listen") { Glibc.listen(socket.number, backlogMax) }
      return socket
    }
  }

  /// Makes sure that nobody else listens on an address: sharing a port hides a second program
  /// otherwise.
  ///
  /// - Throws: `SystemError`, `isAddressInUse` when somebody does.
  public static func checkFree(_ address: SocketAddress) throws(SystemError) {
    _ = try unsafe withResolved(address, passive: true) {
      (family, pointer, length) throws(SystemError) in
      let socket = try open(family)
      try socket.setOption(SOL_SOCKET, SO_REUSEADDR, 1)
      try SystemCall.plain("bind") { () -> CInt in unsafe bind(socket.number, pointer, length) }
      return socket
    }
  }

  /// A socket whose connection is under way: wait until writable, then ask `finishConnecting`.
  ///
  /// A host name is resolved here, which may block on a name server: clients only.
  ///
  /// - Throws: `SystemError` when it is refused at once or the name is not known.
  public static func connect(to address: SocketAddress) throws(SystemError) -> Socket {
    try unsafe withResolved(address, passive: false) {
      (family, pointer, length) throws(SystemError) in
      let socket = try open(family)
      try socket.setStreamOptions()
      _ = try SystemCall.nonblocking("connect") { () -> Int in
        unsafe Int(Glibc.connect(socket.number, pointer, length))
      }
      return socket
    }
  }

  /// How the connection attempt ended.
  ///
  /// - Throws: `SystemError` with the reason when it failed.
  public func finishConnecting() throws(SystemError) {
    var code: CInt = 0
    var length = socklen_t(MemoryLayout<CInt>.size)
    try SystemCall.plain("getsockopt") { () -> CInt in
      unsafe getsockopt(number, SOL_SOCKET, SO_ERROR, &code, &length)
    }
    guard code == 0 else { throw SystemError(call: "connect", code: code) }
  }

  /// The next waiting connection, nil when there is none.
  ///
  /// - Throws: `SystemError` when no descriptor or memory is left; connections that died while
  ///   waiting are skipped.
  public func accept() throws(SystemError) -> Socket? {
    while true {
      do throws(SystemError) {
        let number = try SystemCall.nonblocking("accept4") { () -> Int in
          Int(accept4(descriptor.number, nil, nil, Socket.openFlags))
        }
        guard let number else { return nil }
        let socket = Socket(Descriptor(owning: CInt(number)))
        try socket.setStreamOptions()
        return socket
      } catch {
        // Each takes one connection off the queue, so this ends.
        guard error.isDisconnect || error.code == ECONNABORTED || error.code == EPROTO else {
          throw error
        }
      }
    }
  }

  /// The port the socket is bound to.
  public func localPort() throws(SystemError) -> UInt16 {
    var address = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    try SystemCall.plain("getsockname") { () -> CInt in
      unsafe withUnsafeMutablePointer(to: &address) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
          unsafe getsockname(number, pointer, &length)
        }
      }
    }
    // sin_port and sin6_port lie at the same place, in network order.
    return unsafe withUnsafeBytes(of: &address) { bytes in
      unsafe UInt16(bytes[2]) << 8 | UInt16(bytes[3])
    }
  }

  // MARK: Using

  /// Reads what is there, at most the size of the buffer, which is not empty.
  ///
  /// - Throws: `SystemError` when the connection was reset or timed out.
  public func read(into buffer: inout MutableRawSpan) throws(SystemError) -> ReadOutcome {
    precondition(buffer.byteCount > 0, "reading nothing looks like the end of the stream")
    let count = try SystemCall.nonblocking("recv") { () -> Int in
      unsafe buffer.withUnsafeMutableBytes { bytes in
        unsafe recv(descriptor.number, bytes.baseAddress, bytes.count, 0)
      }
    }
    guard let count else { return .wouldBlock }
    return count == 0 ? .endOfStream : .bytes(count)
  }

  /// Writes as much as the kernel takes.
  ///
  /// - Returns: how many bytes it took; 0 when it would block.
  /// - Throws: `SystemError` when the connection was reset or timed out.
  public func write(_ bytes: RawSpan) throws(SystemError) -> Int {
    let count = try SystemCall.nonblocking("send") { () -> Int in
      unsafe bytes.withUnsafeBytes { bytes in
        unsafe send(descriptor.number, bytes.baseAddress, bytes.count, CInt(MSG_NOSIGNAL))
      }
    }
    return count ?? 0
  }

  /// Says that nothing more will be written; reading goes on.
  public func shutdownWriting() {
    // ENOTCONN: the peer is gone, which the next read tells.
    _ = shutdown(number, CInt(SHUT_WR))
  }

  // MARK: Private

  private static func open(_ family: CInt) throws(SystemError) -> Socket {
    let number = try SystemCall.plain("socket") {
      socket(family, CInt(SOCK_STREAM.rawValue) | openFlags, 0)
    }
    return Socket(Descriptor(owning: number))
  }

  /// Rule 13: no delay for small frames, and dead peers are noticed.
  private func setStreamOptions() throws(SystemError) {
    try setOption(CInt(IPPROTO_TCP), TCP_NODELAY, 1)
    try setOption(SOL_SOCKET, SO_KEEPALIVE, 1)
    try setOption(CInt(IPPROTO_TCP), TCP_USER_TIMEOUT, Socket.userTimeoutMilliseconds)
  }

  private func setOption(_ level: CInt, _ option: CInt, _ value: CInt) throws(SystemError) {
    var value = value
    try SystemCall.plain("setsockopt") { () -> CInt in
      unsafe setsockopt(number, level, option, &value, socklen_t(MemoryLayout<CInt>.size))
    }
  }

  /// Hands the addresses that `address` stands for to `body` until one is not refused at once.
  ///
  /// The order is the one of getaddrinfo(3), whose own failures have negative codes.
  private static func withResolved(
    _ address: SocketAddress,
    passive: Bool,
    _ body: (CInt, UnsafePointer<sockaddr>, socklen_t) throws(SystemError) -> Socket
  ) throws(SystemError) -> Socket {
    var hints = unsafe addrinfo()
    unsafe hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
    unsafe hints.ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : 0)
    var list: UnsafeMutablePointer<addrinfo>?
    let code = unsafe getaddrinfo(address.host, "\(address.port)", &hints, &list)
    guard code == 0, var entry = unsafe list else {
      throw SystemError(call: "getaddrinfo", code: code == EAI_SYSTEM ? errno : code)
    }
    defer { unsafe freeaddrinfo(list) }
    while true {
      let info = unsafe entry.pointee
      do throws(SystemError) {
        return try unsafe body(info.ai_family, UnsafePointer(info.ai_addr), info.ai_addrlen)
      } catch {
        guard let next = unsafe info.ai_next else { throw error }
        unsafe entry = next
      }
    }
  }
}
