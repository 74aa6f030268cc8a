// Whether PostgreSQL takes some bytes as text in a UTF-8 database.

/// The check of texts.
public enum TextCheck {
  /// Why PostgreSQL would refuse the bytes; nil when it takes them.
  ///
  /// UTF-8 as RFC 3629: no overlong forms, no surrogates, nothing beyond U+10FFFF.
  public static func reason(_ bytes: Span<UInt8>) -> RejectReason? {
    let count = bytes.count
    var index = 0
    while index < count {
      if index + 8 <= count, let isPlain = plainWord(bytes, index), isPlain {
        index += 8
        continue
      }
      let byte = bytes[index]
      if byte == 0 { return .textHasNUL }
      guard let length = sequenceLength(bytes, index) else { return .textNotUTF8 }
      index += length
    }
    return nil
  }

  /// Eight bytes of ASCII without a zero.
  @inline(__always)
  private static func plainWord(_ bytes: Span<UInt8>, _ index: Int) -> Bool? {
    unsafe bytes.withUnsafeBytes { raw -> Bool in
      let word = unsafe raw.loadUnaligned(fromByteOffset: index, as: UInt64.self)
      let zeros = (word &- 0x0101_0101_0101_0101) & ~word
      return (word | zeros) & 0x8080_8080_8080_8080 == 0
    }
  }

  /// Length of the character at `index`, nil when it is none.
  private static func sequenceLength(_ bytes: Span<UInt8>, _ index: Int) -> Int? {
    let lead = bytes[index]
    if lead < 0x80 { return 1 }
    let length: Int
    var second: ClosedRange<UInt8> = 0x80...0xbf
    switch lead {
    case 0xc2...0xdf: length = 2
    case 0xe0...0xef:
      length = 3
      if lead == 0xe0 { second = 0xa0...0xbf }
      if lead == 0xed { second = 0x80...0x9f }
    case 0xf0...0xf4:
      length = 4
      if lead == 0xf0 { second = 0x90...0xbf }
      if lead == 0xf4 { second = 0x80...0x8f }
    default: return nil
    }
    guard index + length <= bytes.count, second.contains(bytes[index + 1]) else { return nil }
    for offset in 2..<max(length, 2) where bytes[index + offset] & 0xc0 != 0x80 { return nil }
    return length
  }
}
