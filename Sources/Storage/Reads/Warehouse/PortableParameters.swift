internal import Glibc

// Values of statements that PostgreSQL and Redshift both run.

/// Parameters in text form, with their types in the statement: binary forms differ between servers.
///
/// What statements of this folder are made of is in the documentation of both: no arrays, no
/// `date_bin` and `generate_series`, no FILTER, LATERAL and DISTINCT ON, no row comparisons, no
/// types of PostgreSQL's own and no `::`, of the schema `sluice` no functions but those that lists
/// need (docs/reads.md); aggregates over an ordered window have a frame. Redshift wants constants
/// behind LIMIT and OFFSET, so numbers that are the gateway's own stand in the statement as digits.
struct PortableParameters {
  private(set) var values: [PostgresParameter] = []

  /// A text; it has no zero byte.
  mutating func text(_ value: String) -> String {
    values.append(.text(value))
    return "$\(values.count)"
  }

  /// A number that is exact.
  mutating func integer(_ value: Int64) -> String { cast("\(value)", "bigint") }

  /// A fraction, to the last bit.
  mutating func double(_ value: Double) -> String { cast("\(value)", "double precision") }

  /// A moment, in microseconds since 1970.
  mutating func time(_ unixMicroseconds: Int64) -> String {
    cast(PortableTime.text(unixMicroseconds), "timestamptz")
  }

  /// What stands behind IN; both take 32,767 parameters, and a request has 2,000 ids at most.
  mutating func list(_ ids: some Sequence<Int64>) -> String {
    "(\(ids.map { integer($0) }.joined(separator: ", ")))"
  }

  private mutating func cast(_ text: String, _ type: String) -> String {
    values.append(.untyped(text))
    return "CAST($\(values.count) AS \(type))"
  }
}

/// Moments as text and as numbers.
enum PortableTime {
  private static let day: Int64 = 86_400_000_000
  /// The last moment of the year 9999.
  ///
  /// Values are observed before it, for the future limit is a year at most; what lies behind it has
  /// no form that both servers are known to read.
  static let latest: Int64 = 253_402_300_799_999_999

  /// Such as "2024-01-31 23:59:59.000001+00", from the year 1 to 9999.
  static func text(_ unixMicroseconds: Int64) -> String {
    let time = min(max(unixMicroseconds, StoredTime.earliest), latest)
    let days = BucketGrid.start(of: time, width: day) / day
    let rest = time - days * day
    let seconds = rest / 1_000_000
    let clock = [seconds / 3_600, seconds / 60 % 60, seconds % 60].map { padded($0, 2) }
    return "\(CivilDate(days: days).text) \(clock.joined(separator: ":"))"
      + ".\(padded(rest % 1_000_000, 6))+00"
  }

  /// Microseconds since 2000, as PostgreSQL counts them.
  ///
  /// PostgreSQL has the seconds as numeric. Redshift has a double, which is exact to the
  /// microsecond from 1697 to 2242.
  static func microseconds(of expression: String) -> String {
    "(CAST(ROUND(EXTRACT(epoch FROM \(expression)) * 1000000) AS bigint) - \(StoredTime.epoch))"
  }

  fileprivate static func padded(_ number: Int64, _ digits: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, digits - text.count)) + text
  }
}

/// A date of the Gregorian calendar, as if it had always been in use.
struct CivilDate: Equatable {
  var year: Int64
  /// 1 to 12.
  var month: Int64
  var day: Int64

  /// Days since 1970-01-01.
  ///
  /// Source: gmtime_r(3), whose calendar is this one.
  init(days: Int64) {
    var seconds = time_t(days * 86_400)
    var parts = unsafe tm()
    unsafe gmtime_r(&seconds, &parts)
    year = unsafe Int64(parts.tm_year) + 1_900
    month = unsafe Int64(parts.tm_mon) + 1
    day = unsafe Int64(parts.tm_mday)
  }

  /// Such as "2024-01-31".
  var text: String {
    [(year, 4), (month, 2), (day, 2)].map { PortableTime.padded($0, $1) }.joined(separator: "-")
  }
}
