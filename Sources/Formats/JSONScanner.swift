// Checks that bytes are one JSON text, so that PostgreSQL will not refuse a document later.

/// A recursive-descent checker that builds nothing.
///
/// Source: RFC 8259, with PostgreSQL's jsonb in mind: no NUL and no lone surrogate as escape.
struct JSONScanner {
  /// Arrays and objects inside each other; PostgreSQL's own stack limit is far higher.
  static let depthMax = 128

  private let bytes: ArraySlice<UInt8>
  private var index: Int

  private struct Malformed: Error {
    var isTooDeep = false
  }

  private init(_ bytes: ArraySlice<UInt8>) {
    self.bytes = bytes
    index = bytes.startIndex
  }

  /// Makes sure that all is one JSON text.
  ///
  /// - Throws: `.notDocument` with the offset of the first byte that cannot stand there, or
  ///   `.documentTooDeep`.
  static func check(_ bytes: ArraySlice<UInt8>) throws(PointValueError) {
    var scanner = JSONScanner(bytes)
    do throws(Malformed) {
      try scanner.value(depth: 0)
      scanner.skipBlanks()
    } catch {
      guard !error.isTooDeep else { throw .documentTooDeep(max: depthMax) }
      throw .notDocument(offset: scanner.index - bytes.startIndex)
    }
    guard scanner.index == bytes.endIndex else {
      throw .notDocument(offset: scanner.index - bytes.startIndex)
    }
  }

  private var peek: UInt8? { index < bytes.endIndex ? bytes[index] : nil }

  private mutating func skipBlanks() {
    while let byte = peek,
      Ascii.isBlank(byte) || byte == Ascii.lineFeed || byte == Ascii.carriageReturn
    { index += 1 }
  }

  private mutating func skip(_ byte: UInt8) -> Bool {
    guard peek == byte else { return false }
    index += 1
    return true
  }

  private mutating func expect(_ text: String) throws(Malformed) {
    for byte in text.utf8 {
      guard skip(byte) else { throw Malformed() }
    }
  }

  private mutating func value(depth: Int) throws(Malformed) {
    skipBlanks()
    guard let byte = peek else { throw Malformed() }
    guard depth < Self.depthMax else { throw Malformed(isTooDeep: true) }
    switch byte {
    case UInt8(ascii: "{"): try object(depth: depth + 1)
    case UInt8(ascii: "["): try array(depth: depth + 1)
    case Ascii.quote: try string()
    case UInt8(ascii: "t"): try expect("true")
    case UInt8(ascii: "f"): try expect("false")
    case UInt8(ascii: "n"): try expect("null")
    default: try number()
    }
  }

  private mutating func object(depth: Int) throws(Malformed) {
    try expect("{")
    skipBlanks()
    guard !skip(UInt8(ascii: "}")) else { return }
    repeat {
      skipBlanks()
      try string()
      skipBlanks()
      try expect(":")
      try value(depth: depth)
      skipBlanks()
    } while skip(Ascii.comma)
    try expect("}")
  }

  private mutating func array(depth: Int) throws(Malformed) {
    try expect("[")
    skipBlanks()
    guard !skip(UInt8(ascii: "]")) else { return }
    repeat {
      try value(depth: depth)
      skipBlanks()
    } while skip(Ascii.comma)
    try expect("]")
  }

  private mutating func number() throws(Malformed) {
    _ = skip(Ascii.minus)
    if !skip(Ascii.zero) { try digits() }
    if skip(Ascii.dot) { try digits() }
    guard skip(UInt8(ascii: "e")) || skip(UInt8(ascii: "E")) else { return }
    if !skip(Ascii.minus) { _ = skip(Ascii.plus) }
    try digits()
  }

  private mutating func digits() throws(Malformed) {
    let start = index
    while let byte = peek, Ascii.digit(byte) != nil { index += 1 }
    guard index > start else { throw Malformed() }
  }

  private mutating func string() throws(Malformed) {
    try expect("\"")
    while let byte = peek, byte >= 0x20 {
      index += 1
      switch byte {
      case Ascii.quote: return
      case Ascii.backslash: try escape()
      default: continue
      }
    }
    throw Malformed()
  }

  private mutating func escape() throws(Malformed) {
    guard let byte = peek else { throw Malformed() }
    index += 1
    switch byte {
    case Ascii.quote, Ascii.backslash, UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
      UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
      return
    case UInt8(ascii: "u"):
      let unit = try hexadecimal()
      guard unit != 0, !(0xDC00...0xDFFF).contains(unit) else { throw Malformed() }
      guard (0xD800...0xDBFF).contains(unit) else { return }
      try expect("\\u")
      guard (0xDC00...0xDFFF).contains(try hexadecimal()) else { throw Malformed() }
    default:
      index -= 1
      throw Malformed()
    }
  }

  private mutating func hexadecimal() throws(Malformed) -> UInt32 {
    var unit: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = peek, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
        throw Malformed()
      }
      unit = unit << 4 | UInt32(digit)
      index += 1
    }
    return unit
  }
}
