// Reads a written time byte by byte, without making strings.

/// A cursor over one written time.
private struct TimestampParser {
  let bytes: ArraySlice<UInt8>
  var index: Int

  init(_ bytes: ArraySlice<UInt8>) {
    self.bytes = bytes
    index = bytes.startIndex
  }

  var peek: UInt8? { index < bytes.endIndex ? bytes[index] : nil }

  var malformed: TimestampError { .malformed(offset: index - bytes.startIndex) }

  mutating func skip(_ byte: UInt8) -> Bool {
    guard peek == byte else { return false }
    index += 1
    return true
  }

  /// Exactly this many digits.
  mutating func digits(_ count: Int) throws(TimestampError) -> Int {
    var value = 0
    for _ in 0..<count {
      guard let digit = peek.flatMap(Ascii.digit) else { throw malformed }
      value = value * 10 + digit
      index += 1
    }
    return value
  }

  /// Digits of a fraction, the first six of them as an integer; the rest is cut off.
  mutating func fraction() throws(TimestampError) -> Int {
    var value = 0
    var count = 0
    while let digit = peek.flatMap(Ascii.digit) {
      if count < 6 { value = value * 10 + digit }
      count += 1
      index += 1
    }
    guard count > 0 else { throw malformed }
    for _ in min(count, 6)..<6 { value *= 10 }
    return value
  }

  /// Days since the epoch.
  mutating func date() throws(TimestampError) -> Int {
    let year = try digits(4)
    guard skip(Ascii.minus) else { throw malformed }
    let month = try digits(2)
    guard skip(Ascii.minus) else { throw malformed }
    let day = try digits(2)
    guard year >= 1 else { throw .noSuch(.year) }
    guard (1...12).contains(month) else { throw .noSuch(.month) }
    guard let date = CivilDate(year: year, month: month, day: day) else { throw .noSuch(.day) }
    return date.daysSinceEpoch
  }

  /// Microseconds since midnight.
  mutating func clock() throws(TimestampError) -> Int {
    let hour = try digits(2)
    guard hour < 24 else { throw .noSuch(.hour) }
    guard skip(Ascii.colon) else { throw malformed }
    let minute = try digits(2)
    guard minute < 60 else { throw .noSuch(.minute) }
    var second = 0
    var microsecond = 0
    if skip(Ascii.colon) {
      second = try digits(2)
      guard second <= 60 else { throw .noSuch(.second) }
      if skip(Ascii.dot) || skip(Ascii.comma) { microsecond = try fraction() }
    }
    return ((hour * 60 + minute) * 60 + second) * 1_000_000 + microsecond
  }

  /// Microseconds to take away for UTC; nothing written means UTC.
  mutating func offset() throws(TimestampError) -> Int {
    while skip(Ascii.space) {}
    guard let byte = peek else { return 0 }
    index += 1
    switch byte {
    case UInt8(ascii: "Z"), UInt8(ascii: "z"): return 0
    case UInt8(ascii: "U"):
      guard skip(UInt8(ascii: "T")), skip(UInt8(ascii: "C")) else { throw malformed }
      return 0
    case Ascii.plus, Ascii.minus:
      let hours = try digits(2)
      let minutes = skip(Ascii.colon) || peek != nil ? try digits(2) : 0
      let seconds = skip(Ascii.colon) ? try digits(2) : 0
      guard hours <= 15, minutes < 60, seconds < 60 else { throw .noSuch(.offset) }
      let total = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000
      return byte == Ascii.minus ? -total : total
    default:
      index -= 1
      throw malformed
    }
  }

  /// Microseconds since the epoch.
  mutating func timestamp() throws(TimestampError) -> Int {
    let day = try date() * Int(Timestamp.dayMicroseconds)
    guard skip(UInt8(ascii: "T")) || skip(UInt8(ascii: "t")) || skip(Ascii.space) else {
      guard peek == nil else { throw malformed }
      return day
    }
    let result = try day + clock() - offset()
    guard peek == nil else { throw malformed }
    return result
  }

  /// Microseconds for a plain number of a unit; nil when the text is not a plain number.
  mutating func count(of unit: TimeUnit?) throws(TimestampError) -> Int128? {
    let isNegative = skip(Ascii.minus)
    guard let first = peek, Ascii.digit(first) != nil else {
      guard isNegative else { return nil }
      throw malformed
    }
    // Nanoseconds with nine digits of a fraction of a second, the finest that is asked for.
    var whole: Int128 = 0
    while let digit = peek.flatMap(Ascii.digit) {
      guard whole < 1_000_000_000_000_000_000_000 else { throw .outOfRange }
      whole = whole * 10 + Int128(digit)
      index += 1
    }
    var fraction: Int128 = 0
    if skip(Ascii.dot) {
      var weight = unit?.nanoseconds ?? 0
      guard peek.flatMap(Ascii.digit) != nil else { throw malformed }
      while let digit = peek.flatMap(Ascii.digit) {
        weight /= 10
        fraction += Int128(digit) * Int128(weight)
        index += 1
      }
    }
    guard peek == nil else { return nil }
    guard let unit else { throw .unitMissing }
    let nanoseconds = whole * Int128(unit.nanoseconds) + fraction
    return floorDivide(isNegative ? -nanoseconds : nanoseconds, by: 1_000)
  }
}

extension Timestamp {
  /// Reads an absolute time from the bytes of a field; see `init(parsing:integerUnit:)`.
  init(bytes: ArraySlice<UInt8>, integerUnit: TimeUnit?) throws(TimestampError) {
    let trimmed = Ascii.trimmed(bytes)
    guard !trimmed.isEmpty else { throw .empty }
    var number = TimestampParser(trimmed)
    if let microseconds = try number.count(of: integerUnit) {
      try self.init(checking: microseconds)
      return
    }
    var parser = TimestampParser(trimmed)
    self.init(microseconds: Int64(try parser.timestamp()))
  }
}
