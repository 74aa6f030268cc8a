// Memory that sockets are read into, one for many connections.

/// A fixed block of bytes, shared by connections whose input is taken before the next one reads.
@safe
public final class ReadBuffer {
  private let storage: UnsafeMutableRawPointer
  /// Size of the block.
  public let byteCount: Int

  /// A block of zeroes.
  public init(byteCount: Int) {
    precondition(byteCount > 0, "a buffer has room")
    self.byteCount = byteCount
    unsafe storage = .allocate(byteCount: byteCount, alignment: 16)
    unsafe storage.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
  }

  deinit {
    unsafe storage.deallocate()
  }

  /// Lets `body` write into the block.
  ///
  /// - Throws: what `body` throws.
  public func fill<Result, E: Error>(
    _ body: (inout MutableRawSpan) throws(E) -> Result
  ) throws(E) -> Result {
    var span = unsafe MutableRawSpan(_unsafeStart: storage, byteCount: byteCount)
    return try body(&span)
  }

  /// Lends the first `count` bytes as they were filled last.
  ///
  /// - Throws: what `body` throws.
  public func withBytes<Result, E: Error>(
    _ count: Int,
    _ body: (RawSpan) throws(E) -> Result
  ) throws(E) -> Result {
    precondition((0...byteCount).contains(count), "only what the block holds")
    return try body(unsafe RawSpan(_unsafeStart: storage, byteCount: count))
  }
}
