// The bytes that have a meaning in the text formats, by name.

/// ASCII bytes and tests on them.
enum Ascii {
  static let tab: UInt8 = 0x09
  static let lineFeed: UInt8 = 0x0A
  static let carriageReturn: UInt8 = 0x0D
  static let space: UInt8 = 0x20
  static let quote = UInt8(ascii: "\"")
  static let hash = UInt8(ascii: "#")
  static let plus = UInt8(ascii: "+")
  static let comma = UInt8(ascii: ",")
  static let minus = UInt8(ascii: "-")
  static let dot = UInt8(ascii: ".")
  static let zero = UInt8(ascii: "0")
  static let colon = UInt8(ascii: ":")
  static let equals = UInt8(ascii: "=")
  static let backslash = UInt8(ascii: "\\")

  /// The value of a decimal digit.
  static func digit(_ byte: UInt8) -> Int? {
    let value = byte &- zero
    return value < 10 ? Int(value) : nil
  }

  static func isBlank(_ byte: UInt8) -> Bool { byte == space || byte == tab }

  /// Capital letters made small; other bytes as they are.
  static func lowercased(_ byte: UInt8) -> UInt8 {
    byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") ? byte | 0x20 : byte
  }

  /// The bytes without blanks at either end.
  static func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    var start = bytes.startIndex
    var end = bytes.endIndex
    while start < end, isBlank(bytes[start]) { start += 1 }
    while end > start, isBlank(bytes[end - 1]) { end -= 1 }
    return bytes[start..<end]
  }

  /// Compares with a word of small letters, whatever the case of the bytes.
  static func equals(_ bytes: ArraySlice<UInt8>, ignoringCase word: String) -> Bool {
    let expected = word.utf8
    guard bytes.count == expected.count else { return false }
    return zip(bytes, expected).allSatisfy { lowercased($0) == $1 }
  }
}
