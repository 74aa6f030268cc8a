// Reads and prints durations as people type them on a command line: 250ms, 1h30m, 7d.

/// Conversion between `Duration` and its short text.
public enum DurationText {
  /// Units from the longest to the shortest, with their nanoseconds.
  private static let units: [(name: String, nanoseconds: Int128)] = [
    ("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000),
    ("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1),
  ]
  private static let weekNanoseconds: Int128 = 604_800_000_000_000
  /// 2^63 microseconds, longer than any difference of two storable times that matters.
  private static let nanosecondsMax = Int128(Int64.max) * 1_000

  /// Reads numbers each followed by its unit, from `10s` to `1w2d3h4m5.5s`, with an optional sign.
  ///
  /// Units: w, d, h, m, s, ms, us (or µs), ns. A day has 24 hours. A plain `0` needs no unit.
  ///
  /// - Parameter text: the duration, without blanks.
  /// - Returns: the duration; digits below a nanosecond are cut off.
  /// - Throws: why the text is not a duration.
  public static func parse(_ text: String) throws(DurationTextError) -> Duration {
    var rest = text.utf8[...]
    let isNegative = rest.first == Ascii.minus
    if isNegative || rest.first == Ascii.plus { rest = rest.dropFirst() }
    guard !rest.isEmpty else { throw .empty }
    guard rest.elementsEqual([Ascii.zero]) == false else { return .zero }
    var total: Int128 = 0
    while !rest.isEmpty {
      total += try part(&rest)
      guard total <= nanosecondsMax else { throw .tooLong }
    }
    if isNegative { total = -total }
    let (seconds, nanoseconds) = total.quotientAndRemainder(dividingBy: 1_000_000_000)
    return Duration(
      secondsComponent: Int64(seconds),
      attosecondsComponent: Int64(nanoseconds) * 1_000_000_000
    )
  }

  /// Prints a duration in whole units, the longest first: `1h30m`, `250ms`, `-2d`, `0s`.
  ///
  /// What is below a nanosecond is cut off.
  public static func print(_ duration: Duration) -> String {
    let (seconds, attoseconds) = duration.components
    var rest = Int128(seconds) * 1_000_000_000 + Int128(attoseconds / 1_000_000_000)
    guard rest != 0 else { return "0s" }
    var text = rest < 0 ? "-" : ""
    if rest < 0 { rest = -rest }
    for unit in units {
      let (count, remainder) = rest.quotientAndRemainder(dividingBy: unit.nanoseconds)
      if count > 0 { text += "\(count)\(unit.name)" }
      rest = remainder
    }
    return text
  }

  /// Takes one number and its unit off the front.
  private static func part(_ rest: inout Substring.UTF8View) throws(DurationTextError) -> Int128 {
    let digits = rest.prefix { Ascii.digit($0) != nil }
    rest = rest[digits.endIndex...]
    var fraction = rest.prefix(0)
    if rest.first == Ascii.dot {
      fraction = rest.dropFirst().prefix { Ascii.digit($0) != nil }
      rest = rest[fraction.endIndex...]
    }
    guard !digits.isEmpty || !fraction.isEmpty else { throw .numberMissing }
    let name = rest.prefix { Ascii.digit($0) == nil && $0 != Ascii.dot }
    rest = rest[name.endIndex...]
    guard !name.isEmpty else { throw .unitMissing }
    guard let weight = weight(of: Substring(name)) else { throw .unitUnknown }
    var value: Int128 = 0
    for byte in digits {
      value = value * 10 + Int128(byte - Ascii.zero)
      guard value <= nanosecondsMax else { throw .tooLong }
    }
    var total = value * weight
    var digitWeight = weight
    for byte in fraction {
      digitWeight /= 10
      total += Int128(byte - Ascii.zero) * digitWeight
    }
    return total
  }

  private static func weight(of name: Substring) -> Int128? {
    switch name {
    case "w": weekNanoseconds
    case "µs", "μs": 1_000
    default: units.first { $0.name == name }?.nanoseconds
    }
  }
}

/// Why a text was refused as a duration.
public enum DurationTextError: Error, Equatable, Sendable, CustomStringConvertible {
  /// There was nothing, or only a sign.
  case empty
  /// A unit stands without a number.
  case numberMissing
  /// A number stands without a unit.
  case unitMissing
  /// The letters are no unit.
  case unitUnknown
  /// The duration does not fit 64 bits of microseconds.
  case tooLong

  /// What is wrong and what to write instead.
  public var description: String {
    switch self {
    case .empty: "the duration is empty; write it like 10s or 1h30m"
    case .numberMissing: "the duration has a unit without a number; write it like 10s or 1h30m"
    case .unitMissing: "the duration needs a unit: w, d, h, m, s, ms, us or ns"
    case .unitUnknown: "unknown unit in the duration; units are w, d, h, m, s, ms, us and ns"
    case .tooLong: "the duration is too long"
    }
  }
}
