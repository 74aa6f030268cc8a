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

  /// The decimal number that is written here; nil when it is none, or does not fit.
  var decimal: Int64? {
    let isNegative = byteCount > 0 && byte(0) == UInt8(ascii: "-")
    var index = isNegative ? 1 : 0
    // Shorter ones cannot overflow; a longer one is rare.
    guard byteCount > index, byteCount <= 18 else { return Int64(utf8Text) }
    var value: Int64 = 0
    while index < byteCount {
      let digit = byte(index) &- UInt8(ascii: "0")
      guard digit < 10 else { return nil }
      value = value &* 10 &+ Int64(digit)
      index += 1
    }
    return isNegative ? -value : value
  }

  /// A copy of the bytes.
  var copied: [UInt8] {
    unsafe withUnsafeBytes { bytes in unsafe Array(bytes) }
  }
}
