// The one representation of a time in this module: microseconds since 1970, as PostgreSQL can
// store.

/// A point in time with a resolution of one microsecond, in UTC.
public struct Timestamp: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// Microseconds since 1970-01-01 00:00:00 UTC, without leap seconds.
  public let microseconds: Int64

  /// What a PostgreSQL `timestamptz` and 64 bits of microseconds since 1970 can both hold.
  ///
  /// From 24 November 4714 BC in the proleptic Gregorian calendar (PostgreSQL calls it 4713 BC, in
  /// the Julian one) to 10 January 294247, seventy years short of PostgreSQL's own upper end,
  /// because PostgreSQL counts from the year 2000.
  public static let storableRange =
    Timestamp(microseconds: -210_866_803_200_000_000)...Timestamp(microseconds: .max)

  /// What can be written and read as text: the years 0001 to 9999.
  public static let textRange =
    Timestamp(
      microseconds: -62_135_596_800_000_000
    )...Timestamp(
      microseconds: 253_402_300_799_999_999
    )

  static let dayMicroseconds: Int64 = 86_400_000_000

  /// Takes a time that is already counted in microseconds; nothing is checked.
  public init(microseconds: Int64) {
    self.microseconds = microseconds
  }

  /// Converts a count of a unit since the Unix epoch.
  ///
  /// - Parameters:
  ///   - count: the number of units, negative before 1970.
  ///   - unit: the unit; nanoseconds are rounded down to microseconds.
  /// - Throws: `.outOfRange` when PostgreSQL could not store the time.
  public init(count: Int64, unit: TimeUnit) throws(TimestampError) {
    let microseconds = floorDivide(Int128(count) * Int128(unit.nanoseconds), by: 1_000)
    try self.init(checking: microseconds)
  }

  /// Reads an absolute time: ISO 8601, RFC 3339, PostgreSQL's form, or a number of a declared unit.
  ///
  /// Examples: `2014-02-14`, `2014-02-14 14:30`, `2014-02-14T14:30:00.123456Z`,
  /// `2014-02-14 14:30:00+02`, `1392388200.5`. A time without an offset is UTC; digits below a
  /// microsecond are cut off; second 60 is the first second of the next minute.
  ///
  /// - Parameters:
  ///   - text: the time, surrounding blanks allowed.
  ///   - integerUnit: the unit of a plain number; without it, plain numbers are refused.
  /// - Throws: what is wrong with the text; `.outOfRange` when PostgreSQL could not store the time.
  public init(parsing text: String, integerUnit: TimeUnit? = nil) throws(TimestampError) {
    try self.init(bytes: Array(text.utf8)[...], integerUnit: integerUnit)
  }

  /// Reads a time as the command line takes it: absolute, or relative to now.
  ///
  /// Relative forms: `now`, `-1h`, `+10m`, `now-15m`, `now+1d`; the durations are those of
  /// `DurationText`.
  ///
  /// - Parameters:
  ///   - expression: the text.
  ///   - now: the time that `now` stands for.
  ///   - integerUnit: the unit of a plain number; without it, plain numbers are refused.
  /// - Throws: `.duration` for a bad relative form, else as `init(parsing:integerUnit:)`.
  public init(
    expression: String,
    now: Timestamp,
    integerUnit: TimeUnit? = nil
  ) throws(TimestampError) {
    var rest = expression[...]
    if rest.hasPrefix("now") {
      rest = rest.dropFirst(3)
      guard !rest.isEmpty else {
        self = now
        return
      }
      guard rest.hasPrefix("-") || rest.hasPrefix("+") else { throw .malformed(offset: 3) }
    }
    // Without a letter it is a number of a declared unit, such as -5 for five seconds before 1970.
    let isRelative = (rest.first == "-" || rest.first == "+") && rest.last?.isLetter == true
    guard isRelative || rest.count < expression.count else {
      try self.init(parsing: expression, integerUnit: integerUnit)
      return
    }
    let shift: Duration
    do throws(DurationTextError) {
      shift = try DurationText.parse(String(rest))
    } catch {
      throw .duration(error)
    }
    let (seconds, attoseconds) = shift.components
    let microseconds =
      Int128(now.microseconds) + Int128(seconds) * 1_000_000
      + Int128(floorDivide(attoseconds, by: 1_000_000_000_000))
    try self.init(checking: microseconds)
  }

  init(checking microseconds: Int128) throws(TimestampError) {
    guard let narrow = Int64(exactly: microseconds),
      Self.storableRange.contains(Timestamp(microseconds: narrow))
    else { throw .outOfRange }
    self.microseconds = narrow
  }

  /// The time as RFC 3339 in UTC, with as many digits of the second as it needs.
  ///
  /// Years outside 0001 to 9999 are printed with a sign and at least four digits, year 0 being 1
  /// BC.
  public var description: String {
    let days = floorDivide(microseconds, by: Self.dayMicroseconds)
    let date = CivilDate(daysSinceEpoch: Int(days))
    // Not as a difference: the start of the very first day does not fit 64 bits.
    let remainder = microseconds % Self.dayMicroseconds
    let ofDay = Int(remainder < 0 ? remainder + Self.dayMicroseconds : remainder)
    let seconds = ofDay / 1_000_000
    var text = ""
    text.reserveCapacity(27)
    if !(0...9_999).contains(date.year) || date.year == 0 { text += date.year < 0 ? "-" : "+" }
    text += padded(date.year.magnitude, to: 4) + "-" + padded(date.month.magnitude, to: 2)
    text += "-" + padded(date.day.magnitude, to: 2) + "T"
    text += clock(seconds)
    let fraction = ofDay % 1_000_000
    if fraction != 0 {
      var digits = padded(fraction.magnitude, to: 6)
      while digits.hasSuffix("0") { digits.removeLast() }
      text += "." + digits
    }
    return text + "Z"
  }

  /// The earlier time is the smaller one.
  public static func < (left: Timestamp, right: Timestamp) -> Bool {
    left.microseconds < right.microseconds
  }

  /// Hours, minutes and seconds of a day, as 14:30:00.
  private func clock(_ seconds: Int) -> String {
    padded((seconds / 3_600).magnitude, to: 2) + ":"
      + padded((seconds / 60 % 60).magnitude, to: 2) + ":"
      + padded((seconds % 60).magnitude, to: 2)
  }
}

/// A number with leading zeros.
func padded(_ number: UInt, to width: Int) -> String {
  let digits = String(number)
  return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
}
