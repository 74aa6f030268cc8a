// How time is cut into buckets: by a width or by the calendar of a zone.

/// Where buckets begin and end.
public struct BucketGrid: Equatable, Sendable {
  /// Widest bucket: 285 years, up to where PostgreSQL multiplies intervals exactly.
  public static let widthMax: Int64 = 9_000_000_000_000_000
  /// Widest bucket that begins with each local day.
  public static let zonedWidthMax: Int64 = 86_400_000_000

  /// A unit of the calendar; the words are those of `date_trunc`.
  public enum Unit: String, Sendable, CaseIterable {
    /// From midnight to midnight.
    case day
    /// From Monday on.
    case week
    /// From the first on.
    case month
    /// Three months.
    case quarter
    /// From the first of January on.
    case year
  }

  /// How long a bucket is.
  public enum Step: Equatable, Sendable {
    /// So many microseconds: from 1970 on, or with a zone from each local midnight on, where the
    /// last bucket of a day ends, too.
    case width(Int64)
    /// As long as the calendar has it.
    case calendar(Unit)
  }

  /// How long a bucket is.
  public var step: Step
  /// Whose midnight counts; nil is UTC.
  public var zone: TimeZoneName?

  /// A grid of these parts.
  public init(_ step: Step, zone: TimeZoneName? = nil) {
    self.step = step
    self.zone = zone
  }

  /// The start of the bucket that `time` lies in; buckets begin at multiples of the width since
  /// 1970.
  static func start(of time: Int64, width: Int64) -> Int64 {
    let remainder = time % width
    return remainder < 0 ? time - remainder - width : time - remainder
  }

  // MARK: SQL

  /// The bucket of `observed_at` as an expression.
  ///
  /// A bucket of the calendar is cut in local time and brought back. Where a midnight comes twice
  /// PostgreSQL takes the later one, so values of the hour before it count as being at it.
  func bucket(from start: Int64, _ parameters: inout NumberedParameters) -> String {
    switch step {
    case .calendar(let unit):
      let zone = parameters.add(.text(name))
      return
        "date_trunc('\(unit.rawValue)', observed_at AT TIME ZONE \(zone)) AT TIME ZONE \(zone)"
    case .width(let width):
      let step = BucketGrid.interval(width, &parameters)
      guard zone != nil else {
        // The first bucket of the range, so that date_bin never counts backwards.
        let first = BucketGrid.start(of: start, width: width) - StoredTime.epoch
        return "date_bin(\(step), observed_at, \(parameters.add(.timestamp(first))))"
      }
      let zone = parameters.add(.text(name))
      let midnight = "(date_trunc('day', observed_at AT TIME ZONE \(zone)) AT TIME ZONE \(zone))"
      return "date_bin(\(step), greatest(observed_at, \(midnight)), \(midnight))"
    }
  }

  /// The buckets of a range: known, or to be asked for beside the read.
  enum Starts {
    case known([Int64])
    case asked(PostgresStatement)
  }

  /// Every bucket that has a part in a range, in order.
  ///
  /// - Parameters:
  ///   - query: gives the range.
  ///   - max: how many there may be.
  /// - Returns: nil when there are certainly more.
  func starts(of query: HistoryQuery, max: Int) -> Starts? {
    let from = Swift.max(query.startMicroseconds, StoredTime.earliest)
    guard from < query.endMicroseconds else { return .known([]) }
    let length = query.endMicroseconds.subtractingReportingOverflow(from)
    guard !length.overflow, length.partialValue / longest <= Int64(max) else { return nil }
    if case .width(let width) = step, zone == nil {
      let first = BucketGrid.start(of: from, width: width)
      return .known(Array(stride(from: first, to: query.endMicroseconds, by: Int(width))))
    }
    return .asked(zonedStarts(query))
  }

  private func zonedStarts(_ query: HistoryQuery) -> PostgresStatement {
    var parameters = NumberedParameters()
    let zone = parameters.add(.text(name))
    let start = parameters.add(StoredTime.parameter(query.startMicroseconds))
    let end = parameters.add(StoredTime.parameter(query.endMicroseconds))
    func local(_ unit: Unit, every step: String) -> String {
      """
      generate_series(date_trunc('\(unit.rawValue)', \(start) AT TIME ZONE \(zone)),
        \(end) AT TIME ZONE \(zone), interval '\(step)') AS d(local)
      """
    }
    switch step {
    case .calendar(let unit):
      let step = unit == .quarter ? "3 months" : "1 \(unit.rawValue)"
      // A day that a zone has skipped begins with the one behind it.
      return PostgresStatement(
        """
        SELECT DISTINCT local AT TIME ZONE \(zone) AS bucket FROM \(local(unit, every: step))
        WHERE local AT TIME ZONE \(zone) < \(end) ORDER BY bucket
        """,
        parameters.values
      )
    case .width(let width):
      let step = BucketGrid.interval(width, &parameters)
      return PostgresStatement(
        """
        SELECT bucket FROM (
          SELECT local AT TIME ZONE \(zone) AS midnight,
            (local + interval '1 day') AT TIME ZONE \(zone) AS next
          FROM \(local(.day, every: "1 day"))) AS days,
          generate_series(date_bin(\(step), greatest(\(start), midnight), midnight),
            least(next, \(end)) - interval '1 microsecond', \(step)) AS s(bucket)
        ORDER BY bucket
        """,
        parameters.values
      )
    }
  }

  private var name: String { zone?.text ?? "UTC" }

  /// No bucket is longer, in microseconds.
  private var longest: Int64 {
    let (hour, day): (Int64, Int64) = (3_600_000_000, 86_400_000_000)
    return switch step {
    case .width(let width): width
    case .calendar(.day): day + 2 * hour
    case .calendar(.week): 8 * day
    case .calendar(.month): 32 * day
    case .calendar(.quarter): 93 * day
    case .calendar(.year): 367 * day
    }
  }

  private static func interval(_ width: Int64, _ parameters: inout NumberedParameters) -> String {
    "(\(parameters.add(.int64(width)))::int8 * interval '1 microsecond')"
  }
}

/// A name that can only be one of the IANA database.
///
/// PostgreSQL takes more for a zone: abbreviations, and rules such as "foo/bar5" that it makes up a
/// zone from. Those have no area, or digits where no name has any. Whether the name exists only
/// PostgreSQL knows.
public struct TimeZoneName: Equatable, Sendable {
  /// Longer than any of them.
  public static let bytesMax = 64
  /// What was asked for.
  public let text: String

  /// Fails when there is no such zone, also where there is no time to be brought there.
  var check: PostgresStatement {
    PostgresStatement("SELECT timestamptz 'epoch' AT TIME ZONE $1", [.text(text)])
  }

  /// Nil when it cannot be one.
  public init?(_ text: String) {
    let bytes = text.utf8
    guard text == "UTC" || text == "GMT" || bytes.contains(UInt8(ascii: "/")),
      bytes.count <= TimeZoneName.bytesMax,
      bytes.allSatisfy({ byte in
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
          UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "/"):
          true
        case UInt8(ascii: "0")...UInt8(ascii: "9"): text.hasPrefix("Etc/GMT")
        default: false
        }
      })
    else { return nil }
    self.text = text
  }
}
