// Builds SQL text out of numbers, hex and fixed words: nothing a client sent gets in any other way.

/// A growing statement.
struct SQLWriter {
  private var bytes: [UInt8] = []

  init(capacity: Int) { bytes.reserveCapacity(capacity) }

  var text: String { String(decoding: bytes, as: UTF8.self) }

  mutating func fixed(_ text: StaticString) {
    unsafe bytes.append(
      contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    )
  }

  /// A word of ours in ASCII letters, digits and underscores: a table name.
  mutating func name(_ name: String) {
    precondition(
      name.utf8.allSatisfy {
        ($0 >= 0x30 && $0 <= 0x39) || ($0 >= 0x61 && $0 <= 0x7a) || $0 == 0x5f
      },
      "names in statements are lower-case words"
    )
    bytes.append(contentsOf: name.utf8)
  }

  /// `'{…}'` with a comma between what `element` writes for each index.
  mutating func array(_ count: Int, element: (inout SQLWriter, Int) -> Void) {
    fixed("'{")
    for index in 0..<count {
      if index > 0 { bytes.append(UInt8(ascii: ",")) }
      element(&self, index)
    }
    fixed("}'")
  }

  mutating func byte(_ byte: UInt8) { bytes.append(byte) }

  mutating func integer(_ value: Int64) {
    if value < 0 { bytes.append(UInt8(ascii: "-")) }
    unsigned(value.magnitude)
  }

  mutating func unsigned(_ value: UInt64) {
    var rest = value
    var digits = [20 of UInt8](repeating: 0)
    var start = 20
    repeat {
      start -= 1
      digits[start] = UInt8(truncatingIfNeeded: rest % 10) + 0x30
      rest /= 10
    } while rest > 0
    for index in start..<20 { bytes.append(digits[index]) }
  }

  mutating func uuid(_ id: ProducerID) {
    for shift in stride(from: 56, through: 0, by: -8) {
      hex(UInt8(truncatingIfNeeded: id.high >> UInt64(shift)))
    }
    for shift in stride(from: 56, through: 0, by: -8) {
      hex(UInt8(truncatingIfNeeded: id.low >> UInt64(shift)))
    }
  }

  mutating func hex(_ byte: UInt8) {
    let digits: StaticString = "0123456789abcdef"
    unsafe bytes.append(digits.utf8Start[Int(byte >> 4)])
    unsafe bytes.append(digits.utf8Start[Int(byte & 15)])
  }

  /// A double as `entity_jsonb` keeps it: the shortest digits that read back as the same double, or
  /// the hex of one of four strings.
  mutating func number(_ value: Double) {
    if value.isFinite, !(value == 0 && value.sign == .minus) {
      bytes.append(contentsOf: value.description.utf8)
      return
    }
    let name =
      value.isNaN
      ? "\"NaN\"" : value == 0 ? "\"-0\"" : value > 0 ? "\"Infinity\"" : "\"-Infinity\""
    hexText(name.utf8)
  }

  /// `x` and the hex of some UTF-8, as `upsert_hot_attrs` takes JSON.
  mutating func hexText(_ text: some Sequence<UInt8>) {
    bytes.append(UInt8(ascii: "x"))
    for byte in text { hex(byte) }
  }

  /// `x` and the hex of a JSON string of some UTF-8.
  mutating func hexJSONString(_ text: ArraySlice<UInt8>) {
    bytes.append(UInt8(ascii: "x"))
    hex(UInt8(ascii: "\""))
    for byte in text {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        hex(UInt8(ascii: "\\"))
        hex(byte)
      case 0..<0x20:
        // JSON allows control characters only as escapes.
        for escaped in "\\u00".utf8 { hex(escaped) }
        let digits: StaticString = "0123456789abcdef"
        unsafe hex(digits.utf8Start[Int(byte >> 4)])
        unsafe hex(digits.utf8Start[Int(byte & 15)])
      default: hex(byte)
      }
    }
    hex(UInt8(ascii: "\""))
  }
}
