internal import Glibc

// Owns one file descriptor and closes it exactly once.

/// A file descriptor that closes itself.
public struct Descriptor: ~Copyable, Sendable {
  /// The number, valid as long as this value lives.
  public let number: CInt

  /// Takes over a descriptor that nobody else will close.
  public init(owning number: CInt) {
    precondition(number >= 0, "a descriptor is not negative")
    self.number = number
  }

  /// Gives the descriptor to whoever takes the number over.
  consuming func release() -> CInt {
    let number = number
    discard self
    return number
  }

  deinit {
    // EINTR and EIO leave the descriptor closed on Linux, so there is nothing to repeat (close(2)).
    _ = close(number)
  }
}
