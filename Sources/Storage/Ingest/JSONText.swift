// Whether PostgreSQL's jsonb takes a text: whatever passes here passes there.

/// A strict check of JSON (RFC 8259) within jsonb's limits, in one pass without recursion.
public struct JSONText: ~Escapable {
  /// Digits before the point that numeric takes (manual, "Numeric Types").
  static let integerDigitsMax = 131_072
  /// Digits behind the point that numeric takes.
  static let fractionDigitsMax = 16_383
  /// Zeros that exponents may add: jsonb writes numbers out, and 8 bytes of `1e131071` would come
  /// back as 128 KiB.
  static let addedDigitsMax = 512 << 10

  /// Why jsonb would refuse the text; nil when it takes it.
  ///
  /// - Parameters:
  ///   - text: any bytes, at most `ValueLimits.documentBytesMax` of them.
  ///   - depthMax: arrays and objects within each other, 1 to 1024.
  /// - Returns: `.notJSON`, `.jsonTooDeep`, `.textNotUTF8`, or `.textHasNUL` for a zero byte or
  ///   `\u0000`.
  public static func reason(_ text: Span<UInt8>, depthMax: Int) -> RejectReason? {
    precondition((1...1024).contains(depthMax), "PostgreSQL's stack has a limit")
    if let reason = TextCheck.reason(text) { return reason }
    var scanner = JSONText(text)
    do throws(Refusal) {
      try scanner.document(depthMax: depthMax)
      return nil
    } catch {
      return error.reason
    }
  }

  private struct Refusal: Error { var reason: RejectReason }

  private let text: Span<UInt8>
  private var index = 0
  private var addedDigits = 0

  @_lifetime(copy text)
  private init(_ text: Span<UInt8>) { self.text = text }

  /// The byte at the cursor; 0, which no JSON has, at the end.
  private var current: UInt8 { index < text.count ? text[index] : 0 }

  @_lifetime(self: copy self)
  private mutating func document(depthMax: Int) throws(Refusal) {
    // One bit for each level: 1 is an object.
    var levels = [16 of UInt64](repeating: 0)
    var depth = 0
    while true {
      skipSpace()
      // A value begins here.
      switch current {
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        let isObject = current == UInt8(ascii: "{")
        guard depth < depthMax else { throw Refusal(reason: .jsonTooDeep) }
        let bit: UInt64 = 1 << UInt64(depth & 63)
        if isObject { levels[depth >> 6] |= bit } else { levels[depth >> 6] &= ~bit }
        depth += 1
        index += 1
        skipSpace()
        guard current == (isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")) else {
          if isObject { try key() }
          continue
        }
        depth -= 1
        index += 1
      case UInt8(ascii: "\""): try string()
      case UInt8(ascii: "t"): try word("true")
      case UInt8(ascii: "f"): try word("false")
      case UInt8(ascii: "n"): try word("null")
      default: try number()
      }
      // A value ended: close what it ends, or go on to the next.
      closing: while true {
        skipSpace()
        guard depth > 0 else {
          guard index == text.count else { throw Refusal(reason: .notJSON) }
          return
        }
        let isObject = levels[(depth - 1) >> 6] >> UInt64((depth - 1) & 63) & 1 == 1
        switch current {
        case UInt8(ascii: ","):
          index += 1
          skipSpace()
          if isObject { try key() }
          break closing
        case UInt8(ascii: "}") where isObject, UInt8(ascii: "]") where !isObject:
          depth -= 1
          index += 1
        default: throw Refusal(reason: .notJSON)
        }
      }
    }
  }

  @_lifetime(self: copy self)
  private mutating func skipSpace() {
    while index < text.count {
      switch text[index] {
      case 0x20, 0x09, 0x0a, 0x0d: index += 1
      default: return
      }
    }
  }

  @_lifetime(self: copy self)
  private mutating func key() throws(Refusal) {
    try string()
    skipSpace()
    guard current == UInt8(ascii: ":") else { throw Refusal(reason: .notJSON) }
    index += 1
  }

  @_lifetime(self: copy self)
  private mutating func word(_ word: StaticString) throws(Refusal) {
    for offset in 0..<word.utf8CodeUnitCount {
      guard index < text.count, unsafe text[index] == word.utf8Start[offset] else {
        throw Refusal(reason: .notJSON)
      }
      index += 1
    }
  }

  @_lifetime(self: copy self)
  private mutating func string() throws(Refusal) {
    guard current == UInt8(ascii: "\"") else { throw Refusal(reason: .notJSON) }
    index += 1
    while index < text.count {
      let byte = text[index]
      index += 1
      if byte == UInt8(ascii: "\"") { return }
      guard byte >= 0x20 else { throw Refusal(reason: .notJSON) }
      if byte == UInt8(ascii: "\\") { try escape() }
    }
    throw Refusal(reason: .notJSON)
  }

  @_lifetime(self: copy self)
  private mutating func escape() throws(Refusal) {
    let byte = current
    index += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"),
      UInt8(ascii: "f"), UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
      return
    case UInt8(ascii: "u"):
      let unit = try hex4()
      switch unit {
      case 0: throw Refusal(reason: .textHasNUL)
      case 0xd800...0xdbff:
        guard current == UInt8(ascii: "\\") else { throw Refusal(reason: .notJSON) }
        index += 1
        guard current == UInt8(ascii: "u") else { throw Refusal(reason: .notJSON) }
        index += 1
        guard (0xdc00...0xdfff).contains(try hex4()) else { throw Refusal(reason: .notJSON) }
      case 0xdc00...0xdfff: throw Refusal(reason: .notJSON)
      default: return
      }
    default: throw Refusal(reason: .notJSON)
    }
  }

  @_lifetime(self: copy self)
  private mutating func hex4() throws(Refusal) -> UInt16 {
    var unit: UInt16 = 0
    for _ in 0..<4 {
      let digit: UInt8
      switch current {
      case let byte where byte >= 0x30 && byte <= 0x39: digit = byte - 0x30
      case let byte where byte >= 0x61 && byte <= 0x66: digit = byte - 0x61 + 10
      case let byte where byte >= 0x41 && byte <= 0x46: digit = byte - 0x41 + 10
      default: throw Refusal(reason: .notJSON)
      }
      unit = unit << 4 | UInt16(digit)
      index += 1
    }
    return unit
  }

  @_lifetime(self: copy self)
  private mutating func digits() throws(Refusal) -> Int {
    let start = index
    while current >= 0x30, current <= 0x39 { index += 1 }
    guard index > start else { throw Refusal(reason: .notJSON) }
    return index - start
  }

  @_lifetime(self: copy self)
  private mutating func number() throws(Refusal) {
    if current == UInt8(ascii: "-") { index += 1 }
    let integerDigits: Int
    if current == UInt8(ascii: "0") {
      index += 1
      integerDigits = 1
    } else {
      integerDigits = try digits()
    }
    var fractionDigits = 0
    if current == UInt8(ascii: ".") {
      index += 1
      fractionDigits = try digits()
    }
    var exponent = 0
    if current == UInt8(ascii: "e") || current == UInt8(ascii: "E") {
      index += 1
      let isNegative = current == UInt8(ascii: "-")
      if isNegative || current == UInt8(ascii: "+") { index += 1 }
      let start = index
      _ = try digits()
      // Saturated: far beyond the limits, far from overflow.
      for position in start..<index {
        exponent = min(exponent * 10 + Int(text[position] - 0x30), 1_000_000)
      }
      if isNegative { exponent = -exponent }
    }
    guard integerDigits + exponent <= JSONText.integerDigitsMax,
      fractionDigits - exponent <= JSONText.fractionDigitsMax
    else { throw Refusal(reason: .notJSON) }
    addedDigits += abs(exponent)
    guard addedDigits <= JSONText.addedDigitsMax else { throw Refusal(reason: .tooLong) }
  }
}
