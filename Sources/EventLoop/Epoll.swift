internal import CLinux
internal import Glibc

// epoll without its union: descriptors in, tokens with readiness out.

/// What to be told about a descriptor, besides hangups and errors.
public struct Interest: OptionSet, Sendable {
  /// Bits of this set.
  public let rawValue: UInt8
  /// A set of the given bits.
  public init(rawValue: UInt8) { self.rawValue = rawValue }
  /// There is something to read, or the peer closed.
  public static let readable = Interest(rawValue: 1)
  /// Writing would not block.
  public static let writable = Interest(rawValue: 2)
}

/// What epoll said about a descriptor.
public struct Readiness: OptionSet, Sendable {
  /// Bits of this set.
  public let rawValue: UInt8
  /// A set of the given bits.
  public init(rawValue: UInt8) { self.rawValue = rawValue }
  /// There is something to read, or the peer closed its side.
  public static let readable = Readiness(rawValue: 1)
  /// Writing would not block.
  public static let writable = Readiness(rawValue: 2)
  /// Both sides are closed.
  public static let hangup = Readiness(rawValue: 4)
  /// The descriptor has an error pending.
  public static let error = Readiness(rawValue: 8)
}

/// An epoll instance (epoll(7)), level triggered, with room for one batch of events.
@safe
struct Epoll: ~Copyable {
  /// Events taken in one turn: 256 × 12 bytes; more sockets than that are served in the next turn.
  static let batchMax = 256

  private let descriptor: Descriptor
  private let events: UnsafeMutablePointer<epoll_event>

  init() throws(SystemError) {
    let number = try SystemCall.plain("epoll_create1") { epoll_create1(CInt(EPOLL_CLOEXEC)) }
    descriptor = Descriptor(owning: number)
    unsafe events = UnsafeMutablePointer<epoll_event>.allocate(capacity: Epoll.batchMax)
    unsafe events.initialize(repeating: epoll_event(), count: Epoll.batchMax)
  }

  deinit {
    unsafe events.deallocate()
  }

  func add(_ number: CInt, _ interest: Interest, token: UInt64) throws(SystemError) {
    try control(EPOLL_CTL_ADD, number, interest, token: token)
  }

  func modify(_ number: CInt, _ interest: Interest, token: UInt64) throws(SystemError) {
    try control(EPOLL_CTL_MOD, number, interest, token: token)
  }

  func remove(_ number: CInt) throws(SystemError) {
    try control(EPOLL_CTL_DEL, number, [], token: 0)
  }

  /// Waits for events.
  ///
  /// - Parameter timeoutMilliseconds: 0 does not wait, -1 waits for ever.
  /// - Returns: how many events `event(_:)` can be asked for.
  func wait(timeoutMilliseconds: CInt) -> Int {
    let count = unsafe epoll_wait(
      descriptor.number,
      events,
      CInt(Epoll.batchMax),
      timeoutMilliseconds
    )
    guard count < 0 else { return Int(count) }
    precondition(errno == EINTR, "epoll_wait fails only by being interrupted")
    return 0
  }

  /// Event `index` of the last wait.
  func event(_ index: Int) -> (token: UInt64, readiness: Readiness) {
    precondition(index >= 0 && index < Epoll.batchMax, "an event of this batch")
    let raw = unsafe events[index]
    var readiness: Readiness = []
    let bits = unsafe raw.events
    if bits & EPOLLIN.rawValue != 0 { readiness.insert(.readable) }
    if bits & EPOLLOUT.rawValue != 0 { readiness.insert(.writable) }
    if bits & EPOLLHUP.rawValue != 0 { readiness.insert(.hangup) }
    if bits & EPOLLERR.rawValue != 0 { readiness.insert(.error) }
    return unsafe (raw.data.u64, readiness)
  }

  private func control(
    _ operation: CInt,
    _ number: CInt,
    _ interest: Interest,
    token: UInt64
  ) throws(SystemError) {
    var event = unsafe epoll_event()
    var bits: UInt32 = 0
    if interest.contains(.readable) { bits |= EPOLLIN.rawValue }
    if interest.contains(.writable) { bits |= EPOLLOUT.rawValue }
    unsafe event.events = bits
    unsafe event.data.u64 = token
    try SystemCall.plain("epoll_ctl") { () -> CInt in
      unsafe epoll_ctl(descriptor.number, operation, number, &event)
    }
  }
}
