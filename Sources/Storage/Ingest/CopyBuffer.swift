// Memory that rows are written into: grows, is reused, never shrinks by itself.

/// A growable run of bytes with unaligned big-endian stores.
@safe
public struct CopyBuffer: ~Copyable {
  private var base: UnsafeMutableRawPointer
  private var capacity: Int
  /// How many bytes are in it.
  public private(set) var count = 0

  /// An empty buffer with room for `capacity` bytes.
  public init(capacity: Int = 4096) {
    precondition(capacity > 0, "a buffer has room")
    unsafe base = .allocate(byteCount: capacity, alignment: 16)
    self.capacity = capacity
  }

  deinit { unsafe base.deallocate() }

  /// The bytes, until the buffer is next changed.
  public var bytes: RawSpan {
    @_lifetime(borrow self)
    borrowing get {
      let span = unsafe RawSpan(_unsafeStart: base, byteCount: count)
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// The bytes without a borrow, for writing them over suspensions: the buffer must not change
  /// meanwhile.
  @unsafe
  var unsafeBytes: UnsafeRawBufferPointer {
    unsafe UnsafeRawBufferPointer(start: base, count: count)
  }

  /// Forgets the bytes and keeps the memory.
  public mutating func removeAll() { count = 0 }

  /// Forgets all bytes behind the first `length`.
  public mutating func truncate(to length: Int) {
    precondition((0...count).contains(length), "only what is there can be kept")
    count = length
  }

  /// Gives memory back when more than `bytesMax` is held; the buffer must be empty.
  public mutating func shrink(to bytesMax: Int) {
    precondition(count == 0, "only an empty buffer shrinks")
    guard capacity > bytesMax, bytesMax > 0 else { return }
    unsafe base.deallocate()
    unsafe base = .allocate(byteCount: bytesMax, alignment: 16)
    capacity = bytesMax
  }

  /// Adds bytes.
  public mutating func append(_ bytes: Span<UInt8>) {
    let length = bytes.count
    guard length > 0 else { return }
    unsafe bytes.withUnsafeBytes { source in
      guard let start = source.baseAddress else { return }
      unsafe reserve(length).copyMemory(from: start, byteCount: length)
    }
    advance(length)
  }

  /// Room for `length` more bytes at the end; `advance` makes them part of the buffer.
  @unsafe @inline(__always)
  mutating func reserve(_ length: Int) -> UnsafeMutableRawPointer {
    if count &+ length > capacity { grow(length) }
    return unsafe base + count
  }

  @inline(__always)
  mutating func advance(_ length: Int) {
    assert(count + length <= capacity, "only reserved bytes are added")
    count &+= length
  }

  @inline(never)
  private mutating func grow(_ length: Int) {
    capacity = max(capacity * 2, count + length)
    let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
    unsafe larger.copyMemory(from: base, byteCount: count)
    unsafe base.deallocate()
    unsafe base = larger
  }
}
