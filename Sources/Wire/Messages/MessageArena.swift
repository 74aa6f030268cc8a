internal import CProto
internal import CProtobufC

/// Memory for one message at a time: protobuf-c unpacks into it, and everything is given back at
/// once.
///
/// Allocation moves a position forward; freeing does nothing; a scope remembers the position and
/// returns to it. Past `bytesMax` allocation fails, and protobuf-c's unpack with it. One arena per
/// thread: not Sendable.
@safe
public final class MessageArena {
  private let bytesMax: Int
  private let bytesKept: Int
  private var chunks: [Chunk] = []
  private var usedInLast = 0
  private var depth = 0

  /// Memory that the arena owns now.
  public private(set) var ownedBytes = 0

  /// Whether an allocation was refused in the outermost scope.
  private(set) var isExhausted = false

  /// What protobuf-c is given; its context is this object, which outlives every call that is handed
  /// the pointer.
  let allocator: UnsafeMutablePointer<ProtobufCAllocator>

  @safe
  private struct Chunk {
    let base: UnsafeMutableRawPointer
    let capacity: Int
  }

  private struct Mark {
    var chunkCount: Int
    var usedInLast: Int
  }

  /// Makes an arena without memory.
  ///
  /// - Parameters:
  ///   - bytesMax: what all allocations inside one outermost scope may need together.
  ///   - bytesKept: what is kept between scopes.
  public init(
    bytesMax: Int = WireLimits.arenaBytesMax,
    bytesKept: Int = WireLimits.arenaKeptBytesMax
  ) {
    self.bytesMax = bytesMax
    self.bytesKept = min(bytesKept, bytesMax)
    unsafe allocator = .allocate(capacity: 1)
    unsafe allocator.initialize(
      to: ProtobufCAllocator(
        alloc: { context, count in
          guard let context = unsafe context else { return nil }
          let arena = unsafe Unmanaged<MessageArena>.fromOpaque(context).takeUnretainedValue()
          return unsafe arena.allocate(count)
        },
        free: { _, _ in },
        allocator_data: nil
      )
    )
    unsafe allocator.pointee.allocator_data = Unmanaged.passUnretained(self).toOpaque()
  }

  deinit {
    for chunk in chunks { unsafe chunk.base.deallocate() }
    unsafe allocator.deallocate()
  }

  /// Runs `body` and gives back everything that was allocated inside.
  ///
  /// Scopes nest.
  func scope<Result: ~Copyable, E: Error>(_ body: () throws(E) -> Result) throws(E) -> Result {
    let mark = Mark(chunkCount: chunks.count, usedInLast: usedInLast)
    if depth == 0 { isExhausted = false }
    depth += 1
    defer {
      depth -= 1
      rewind(to: mark)
    }
    return try body()
  }

  /// Memory for `count` bytes, aligned to 16, not initialised; `nil` past the limit.
  @unsafe
  func allocate(_ count: Int) -> UnsafeMutableRawPointer? {
    precondition(depth > 0, "an allocation outside a scope would never be given back")
    guard count >= 0, count <= bytesMax else {
      isExhausted = true
      return nil
    }
    let size = max((count + 15) & ~15, 16)
    if let last = chunks.last, last.capacity - usedInLast >= size {
      usedInLast += size
      return unsafe last.base + (usedInLast - size)
    }
    let room = bytesMax - ownedBytes
    guard size <= room else {
      isExhausted = true
      return nil
    }
    let capacity = min(max(size, ownedBytes, 16_384), room)
    let base = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
    chunks.append(unsafe Chunk(base: base, capacity: capacity))
    ownedBytes += capacity
    usedInLast = size
    return unsafe base
  }

  private func rewind(to mark: Mark) {
    if mark.chunkCount == 0 || (depth == 0 && chunks.count > 1) {
      keepOneChunk()
      return
    }
    while chunks.count > mark.chunkCount { releaseLast() }
    usedInLast = mark.usedInLast
  }

  /// Back to the beginning: keeps the largest block that is not too large to keep, so that the next
  /// message like this one needs no new memory.
  private func keepOneChunk() {
    var kept: Chunk?
    for chunk in chunks {
      if chunk.capacity <= bytesKept, chunk.capacity > (kept?.capacity ?? 0) { kept = chunk }
    }
    for chunk in chunks where unsafe chunk.base != kept?.base { unsafe chunk.base.deallocate() }
    chunks = kept.map { [$0] } ?? []
    ownedBytes = kept?.capacity ?? 0
    usedInLast = 0
  }

  private func releaseLast() {
    guard let chunk = chunks.popLast() else { return }
    ownedBytes -= chunk.capacity
    unsafe chunk.base.deallocate()
  }
}
