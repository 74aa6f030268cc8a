/// Reads numbers and texts out of raw bytes, bounds checked: the only file that loads from a span.
extension RawSpan {
  /// The byte at `offset`; traps outside the span.
  @inlinable
  public func byte(at offset: Int) -> UInt8 {
    unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self)
  }

  @inlinable
  func bigEndianUInt32(at offset: Int) -> UInt32 {
    unsafe UInt32(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }

  @inlinable
  func littleEndianUInt32(at offset: Int) -> UInt32 {
    unsafe UInt32(littleEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }

  @inlinable
  func littleEndianUInt64(at offset: Int) -> UInt64 {
    unsafe UInt64(littleEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }

  /// A copy of the bytes.
  public func copied() -> [UInt8] {
    unsafe withUnsafeBytes { unsafe Array($0) }
  }

  /// Whether the bytes are exactly those of `text`.
  public func equals(_ text: StaticString) -> Bool {
    guard byteCount == text.utf8CodeUnitCount else { return false }
    return unsafe equals(UnsafeRawPointer(text.utf8Start))
  }

  /// Whether both spans hold the same bytes.
  public func equals(_ other: RawSpan) -> Bool {
    guard byteCount == other.byteCount else { return false }
    return unsafe other.withUnsafeBytes { buffer in
      guard let start = buffer.baseAddress else { return true }
      return unsafe equals(start)
    }
  }

  /// Compares with as many bytes at `other`, eight at a time.
  private func equals(_ other: UnsafeRawPointer) -> Bool {
    unsafe withUnsafeBytes { buffer in
      var offset = 0
      while buffer.count - offset >= 8 {
        let left = unsafe buffer.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        let right = unsafe other.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        guard left == right else { return false }
        offset += 8
      }
      while offset < buffer.count {
        guard unsafe buffer[offset] == other.load(fromByteOffset: offset, as: UInt8.self) else {
          return false
        }
        offset += 1
      }
      return true
    }
  }
}
