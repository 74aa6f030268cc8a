// Parses one line of line protocol, knowing for every error the byte at which it was seen.

/// A cursor over one line without its line end.
///
/// A backslash takes away the meaning of a comma, an equals sign or a blank that follows it, and
/// in a string of a quote or a backslash; before any other byte it is a backslash.
struct LineProtocolParser {
  private let bytes: ArraySlice<UInt8>
  private let line: Int
  private let precision: TimeUnit
  private var index: Int

  init(_ bytes: ArraySlice<UInt8>, line: Int, precision: TimeUnit) {
    self.bytes = bytes
    self.line = line
    self.precision = precision
    index = bytes.startIndex
  }

  /// Reads the line: measurement, tags, fields, time.
  mutating func parse() throws(LineProtocolError) -> LineProtocolLine {
    try checkText()
    while let byte = peek, Ascii.isBlank(byte) { index += 1 }
    let measurement = try name(isMeasurement: true, missing: .measurementMissing)
    let tags = try tags()
    skipSpaces()
    guard peek != nil else { throw error(.fieldsMissing) }
    var fields: [LineProtocolLine.Field] = []
    repeat {
      fields.append(try field())
    } while skip(Ascii.comma)
    return LineProtocolLine(
      line: line,
      measurement: measurement,
      tags: tags,
      fields: fields,
      time: try time()
    )
  }

  private var peek: UInt8? { index < bytes.endIndex ? bytes[index] : nil }

  private func error(
    _ problem: LineProtocolError.Problem,
    at place: Int? = nil
  )
    -> LineProtocolError
  {
    LineProtocolError(
      line: line,
      column: (place ?? index) - bytes.startIndex + 1,
      problem: problem
    )
  }

  private mutating func skip(_ byte: UInt8) -> Bool {
    guard peek == byte else { return false }
    index += 1
    return true
  }

  private mutating func skipSpaces() {
    while skip(Ascii.space) {}
  }

  private func checkText() throws(LineProtocolError) {
    var seen: UInt8 = 0
    for byte in bytes { seen |= byte }
    if seen >= 0x80, let offset = UTF8Check.firstError(in: bytes) {
      throw error(.invalidUTF8, at: bytes.startIndex + offset)
    }
    if let place = bytes.firstIndex(of: 0) { throw error(.containsNul, at: place) }
  }

  /// Reads a name up to a byte with a meaning; the measurement may contain equals signs.
  private mutating func name(
    isMeasurement: Bool = false,
    missing: LineProtocolError.Problem
  ) throws(LineProtocolError) -> String {
    let start = index
    var hasEscape = false
    while index < bytes.endIndex {
      let byte = bytes[index]
      if Self.isSpecial(byte, isMeasurement: isMeasurement) {
        guard index > start, bytes[index - 1] == Ascii.backslash else { break }
        hasEscape = true
      }
      index += 1
    }
    guard index > start else { throw error(missing) }
    let raw = bytes[start..<index]
    guard hasEscape else { return String(decoding: raw, as: UTF8.self) }
    let unescaped = raw.indices.filter { place in
      let next = place + 1
      let isEscape =
        raw[place] == Ascii.backslash && next < raw.endIndex
        && Self.isSpecial(raw[next], isMeasurement: isMeasurement)
      return !isEscape
    }
    return String(decoding: unescaped.map { raw[$0] }, as: UTF8.self)
  }

  private static func isSpecial(_ byte: UInt8, isMeasurement: Bool) -> Bool {
    byte == Ascii.comma || byte == Ascii.space || (byte == Ascii.equals && !isMeasurement)
  }

  private mutating func tags() throws(LineProtocolError) -> [LineProtocolLine.Tag] {
    var tags: [LineProtocolLine.Tag] = []
    while skip(Ascii.comma) {
      let start = index
      let name = try name(missing: .keyMissing)
      guard skip(Ascii.equals) else { throw error(.equalsMissing) }
      let value = try self.name(missing: .tagValueMissing)
      guard peek != Ascii.equals else { throw error(.equalsUnescaped) }
      // By bytes: other than strings, names that only look alike differ.
      guard !tags.contains(where: { $0.name.utf8.elementsEqual(name.utf8) }) else {
        throw error(.tagTwice, at: start)
      }
      tags.append(LineProtocolLine.Tag(name: name, value: value))
    }
    return tags.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
  }

  private mutating func field() throws(LineProtocolError) -> LineProtocolLine.Field {
    let name = try name(missing: .keyMissing)
    guard skip(Ascii.equals) else { throw error(.equalsMissing) }
    let value = peek == Ascii.quote ? try string() : try plainValue()
    return LineProtocolLine.Field(name: name, value: value)
  }

  private mutating func string() throws(LineProtocolError) -> PointValue {
    let start = index
    index += 1
    var text: [UInt8] = []
    while let byte = peek, byte != Ascii.quote {
      index += 1
      if byte == Ascii.backslash, let next = peek,
        next == Ascii.quote || next == Ascii.backslash
      {
        text.append(next)
        index += 1
      } else {
        text.append(byte)
      }
    }
    guard skip(Ascii.quote) else { throw error(.unclosedString, at: start) }
    guard peek == nil || peek == Ascii.comma || peek == Ascii.space else {
      throw error(.textAfterString)
    }
    return .label(String(decoding: text, as: UTF8.self))
  }

  /// The bytes up to the next comma or blank.
  private mutating func token(endsAtComma: Bool) -> ArraySlice<UInt8> {
    let start = index
    while let byte = peek, byte != Ascii.space, !(endsAtComma && byte == Ascii.comma) {
      index += 1
    }
    return bytes[start..<index]
  }

  private mutating func plainValue() throws(LineProtocolError) -> PointValue {
    let start = index
    let token = token(endsAtComma: true)
    guard let last = token.last else { throw error(.fieldValueMissing) }
    if last == UInt8(ascii: "i") || last == UInt8(ascii: "u") {
      let digits = token.dropLast()
      let isUnsigned = last == UInt8(ascii: "u")
      guard NumberText.isInteger(digits), !(isUnsigned && digits.first == Ascii.minus) else {
        throw error(.fieldValueMalformed, at: start)
      }
      guard let integer = NumberText.integer(digits) else {
        throw error(.integerTooLarge, at: start)
      }
      return .integer(integer)
    }
    if let number = NumberText.finiteDouble(token) { return .number(number) }
    switch String(decoding: token, as: UTF8.self) {
    case "t", "T", "true", "True", "TRUE": return .flag(true)
    case "f", "F", "false", "False", "FALSE": return .flag(false)
    default: throw error(.fieldValueMalformed, at: start)
    }
  }

  private mutating func time() throws(LineProtocolError) -> Timestamp? {
    skipSpaces()
    guard peek != nil else { return nil }
    let start = index
    let token = token(endsAtComma: false)
    guard NumberText.isInteger(token) else { throw error(.timestampMalformed, at: start) }
    skipSpaces()
    guard peek == nil else { throw error(.textAfterTimestamp) }
    guard let count = NumberText.integer(token),
      let time = try? Timestamp(count: count, unit: precision)
    else {
      // The only way to fail is the range, so nothing is lost with the error.
      throw error(.timestampOutOfRange, at: start)
    }
    return time
  }
}
