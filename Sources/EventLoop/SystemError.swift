internal import Glibc

// What a system call can refuse.

/// A system call that failed for a reason its caller has to know.
public struct SystemError: Error, Equatable, CustomStringConvertible {
  /// The call, as its manual page names it.
  public let call: String
  /// `errno` as it was right after the call; negative for the codes of getaddrinfo(3).
  public let code: CInt

  /// An error of `call` with the `errno` it left.
  public init(call: String, code: CInt) {
    self.call = call
    self.code = code
  }

  /// The call and the system's words for the code: "bind: Address already in use".
  ///
  /// The address is not in it; whoever chose the address adds it.
  public var description: String {
    let text = unsafe code < 0 ? gai_strerror(code) : UnsafePointer(strerror(code))
    guard let text = unsafe text else { return "\(call): error \(code)" }
    return unsafe "\(call): \(String(cString: text))"
  }

  /// The address is in use by another socket.
  public var isAddressInUse: Bool { code == EADDRINUSE }
  /// This process or the system has no descriptor left.
  public var isOutOfDescriptors: Bool { code == EMFILE || code == ENFILE }
  /// The other side closed or reset the connection.
  public var isDisconnect: Bool {
    code == ECONNRESET || code == EPIPE || code == ETIMEDOUT || code == ENOTCONN
      || code == ECONNREFUSED || code == EHOSTUNREACH || code == ENETUNREACH
  }
}

/// The one door to system calls.
///
/// `EINTR` never leaves it, would-block is `nil`, a bad descriptor of our own crashes.
enum SystemCall {
  /// Runs `body` until it is not interrupted.
  ///
  /// - Returns: the call's result, or nil when it would have blocked.
  /// - Throws: `SystemError` with any other `errno`.
  static func nonblocking(
    _ call: StaticString,
    _ body: () -> Int
  ) throws(SystemError) -> Int? {
    while true {
      let result = body()
      guard result < 0 else { return result }
      switch errno {
      case EINTR: continue
      case EAGAIN, EINPROGRESS: return nil
      case EBADF: preconditionFailure("\(call) on a descriptor that is not open")
      case let code: throw SystemError(call: "\(call)", code: code)
      }
    }
  }

  /// Like `nonblocking`, for calls that never block.
  @discardableResult
  static func plain(_ call: StaticString, _ body: () -> CInt) throws(SystemError) -> CInt {
    while true {
      let result = body()
      guard result < 0 else { return result }
      switch errno {
      case EINTR: continue
      case EBADF: preconditionFailure("\(call) on a descriptor that is not open")
      case let code: throw SystemError(call: "\(call)", code: code)
      }
    }
  }
}
