/// Bytes on their way to a socket or out of one: appended at the end, consumed at the front.
///
/// Owns one block of raw memory. An empty queue that was never used, or whose block grew past
/// `WireLimits.queueKeptBytesMax`, owns none.
@safe
public struct ByteQueue: ~Copyable {
  private var base: UnsafeMutableRawPointer?
  private var capacity = 0
  private var head = 0
  private var tail = 0

  /// An empty queue without memory.
  public init() {
    unsafe base = nil
  }

  deinit {
    unsafe base?.deallocate()
  }

  /// Bytes waiting.
  public var count: Int { tail - head }

  /// Whether nothing waits.
  public var isEmpty: Bool { tail == head }

  /// Bytes of memory that the queue owns now.
  public var ownedBytes: Int { capacity }

  /// The bytes waiting, borrowed from the queue.
  public var pending: RawSpan {
    @_lifetime(borrow self)
    get {
      guard let base = unsafe base else { return RawSpan() }
      let span = unsafe RawSpan(_unsafeStart: base + head, byteCount: tail - head)
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// Appends a copy of `bytes`.
  public mutating func append(_ bytes: RawSpan) {
    let count = bytes.byteCount
    guard count > 0 else { return }
    let target = unsafe reserve(count)
    unsafe bytes.withUnsafeBytes { source in
      guard let start = source.baseAddress else { return }
      unsafe target.copyMemory(from: start, byteCount: count)
    }
    tail += count
  }

  /// Appends one byte.
  public mutating func append(byte: UInt8) {
    unsafe reserve(1).storeBytes(of: byte, as: UInt8.self)
    tail += 1
  }

  /// Appends `count` bytes that `fill` writes in place; what it leaves out is zero.
  ///
  /// - Throws: what `fill` throws; nothing is appended then.
  public mutating func append<E: Error, Result>(
    count: Int,
    _ fill: (inout MutableRawSpan) throws(E) -> Result
  ) throws(E) -> Result {
    precondition(count >= 0, "a negative count")
    let target = unsafe reserve(count)
    unsafe target.initializeMemory(as: UInt8.self, repeating: 0, count: count)
    var span = unsafe MutableRawSpan(_unsafeStart: target, byteCount: count)
    let result = try fill(&span)
    tail += count
    return result
  }

  /// Forgets the first `count` bytes; gives a large block back when nothing is left.
  public mutating func consume(_ count: Int) {
    precondition(count >= 0 && count <= self.count, "more consumed than waiting")
    head += count
    guard head == tail else { return }
    head = 0
    tail = 0
    if capacity > WireLimits.queueKeptBytesMax { releaseMemory() }
  }

  /// Forgets the last `count` bytes: takes back what was appended and could not be finished.
  mutating func removeLast(_ count: Int) {
    precondition(count >= 0 && count <= self.count, "more removed than waiting")
    tail -= count
  }

  /// Forgets everything and gives the memory back.
  public mutating func reset() {
    head = 0
    tail = 0
    releaseMemory()
  }

  /// Overwrites bytes that wait, `offset` counted from the first one waiting.
  mutating func overwrite<E: Error>(
    at offset: Int,
    count: Int,
    _ fill: (inout MutableRawSpan) throws(E) -> Void
  ) throws(E) {
    precondition(offset >= 0 && count >= 0 && offset + count <= self.count, "outside the queue")
    guard let base = unsafe base else { return }
    var span = unsafe MutableRawSpan(_unsafeStart: base + head + offset, byteCount: count)
    try fill(&span)
  }

  /// Hands the uninitialised room for `count` bytes at the end to C; `write` must fill all of it.
  ///
  /// For this module's protobuf-c packing only.
  @unsafe
  mutating func appendUninitialized(
    count: Int,
    _ write: (UnsafeMutablePointer<UInt8>) -> Int
  ) {
    let target = unsafe reserve(count)
    let written = unsafe write(target.assumingMemoryBound(to: UInt8.self))
    precondition(written == count, "a message was packed to another size than announced")
    tail += count
  }

  /// Makes room for `count` bytes behind the last one and returns where it starts.
  ///
  /// Growth doubles, so the block stays within twice the bytes that were really appended.
  private mutating func reserve(_ count: Int) -> UnsafeMutableRawPointer {
    if let base = unsafe base, capacity - tail >= count { return unsafe base + tail }
    let needed = self.count + count
    if let base = unsafe base, capacity >= needed, head >= capacity / 2 {
      unsafe base.copyMemory(from: base + head, byteCount: self.count)
      tail -= head
      head = 0
      return unsafe base + tail
    }
    let newCapacity = max(needed, capacity * 2, 256)
    let block = UnsafeMutableRawPointer.allocate(byteCount: newCapacity, alignment: 16)
    if let base = unsafe base {
      unsafe block.copyMemory(from: base + head, byteCount: self.count)
      unsafe base.deallocate()
    }
    tail -= head
    head = 0
    unsafe base = block
    capacity = newCapacity
    return unsafe block + tail
  }

  private mutating func releaseMemory() {
    unsafe base?.deallocate()
    unsafe base = nil
    capacity = 0
  }
}
