internal import CLinux
internal import Glibc

// Wakes a sleeping loop from another thread (eventfd(2)).

/// A counter that is readable from the first `signal()` until `clear()`.
struct WakeUp: ~Copyable {
  let descriptor: Descriptor

  init() throws(SystemError) {
    let number = try SystemCall.plain("eventfd") {
      eventfd(0, CInt(EFD_NONBLOCK) | CInt(EFD_CLOEXEC))
    }
    descriptor = Descriptor(owning: number)
  }

  /// Makes the descriptor readable; safe from every thread.
  func signal() {
    var one: UInt64 = 1
    // A full counter (EAGAIN) is readable already, which is all that is wanted.
    _ = unsafe write(descriptor.number, &one, 8)
  }

  func clear() {
    var count: UInt64 = 0
    // Empty (EAGAIN) is what is wanted.
    _ = unsafe read(descriptor.number, &count, 8)
  }
}
