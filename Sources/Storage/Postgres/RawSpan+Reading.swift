// Values out of borrowed bytes.

extension RawSpan {
  /// The first bytes as a big-endian integer; the caller has checked the count, and the load checks
  /// it again.
  func bigEndian<T: FixedWidthInteger & BitwiseCopyable>() -> T {
    unsafe T(bigEndian: unsafeLoadUnaligned(as: T.self))
  }

  /// The byte at `index`; traps outside the span.
  func byte(_ index: Int) -> UInt8 {
    unsafe unsafeLoad(fromByteOffset: index, as: UInt8.self)
  }

  /// A copy as text; what is no UTF-8 is replaced.
  var utf8Text: String {
    unsafe withUnsafeBytes { bytes in unsafe String(decoding: bytes, as: UTF8.self) }
  }

  /// A copy of the bytes.
  var copied: [UInt8] {
    unsafe withUnsafeBytes { bytes in unsafe Array(bytes) }
  }
}
