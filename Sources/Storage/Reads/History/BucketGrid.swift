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

    /// Its length as PostgreSQL writes an interval.
    var interval: String { self == .quarter ? "3 months" : "1 \(rawValue)" }
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
  /// PostgreSQL takes the later one: what lies before that belongs to the bucket before.
  func bucket(from start: Int64, _ parameters: inout NumberedParameters) -> String {
    switch step {
    case .calendar(let unit):
      return BucketGrid.localStart(unit, parameters.add(.text(zoneName)))
    case .width(let width):
      let step = BucketGrid.interval(width, &parameters)
      guard zone != nil else {
        // The first bucket of the range, so that date_bin never counts backwards.
        let first = BucketGrid.start(of: start, width: width) - StoredTime.epoch
        return "date_bin(\(step), observed_at, \(parameters.add(.timestamp(first))))"
      }
      let midnight = BucketGrid.localStart(.day, parameters.add(.text(zoneName)))
      return "date_bin(\(step), observed_at, \(midnight))"
    }
  }

  /// The last start of a unit that is not after `observed_at`.
  static func localStart(_ unit: Unit, _ zone: String) -> String {
    let local = "date_trunc('\(unit.rawValue)', observed_at AT TIME ZONE \(zone))"
    let start = "\(local) AT TIME ZONE \(zone)"
    let before = "(\(local) - interval '\(unit.interval)') AT TIME ZONE \(zone)"
    return "CASE WHEN \(start) <= observed_at THEN \(start) ELSE \(before) END"
  }

  /// The buckets of a range: known, or to be asked for beside the read, or cut from what is.
  enum Starts {
    case known([Int64])
    case asked(PostgresStatement)
    case cut(LocalStarts)
  }

  /// Every bucket that has a part in a range, in order.
  ///
  /// - Parameters:
  ///   - query: gives the range.
  ///   - max: how many there may be.
  ///   - isOfWarehouse: whether the warehouse is asked.
  /// - Returns: nil when there are certainly more.
  func starts(of query: HistoryQuery, max: Int, isOfWarehouse: Bool) -> Starts? {
    let from = Swift.max(query.startMicroseconds, StoredTime.earliest)
    guard from < query.endMicroseconds else { return .known([]) }
    let length = query.endMicroseconds.subtractingReportingOverflow(from)
    guard !length.overflow, length.partialValue / longest <= Int64(max) else { return nil }
    if case .width(let width) = step, zone == nil {
      let first = BucketGrid.start(of: from, width: width)
      return .known(Array(stride(from: first, to: query.endMicroseconds, by: Int(width))))
    }
    return isOfWarehouse ? LocalStarts(self, query).map { .cut($0) } : .asked(zonedStarts(query))
  }

  private func zonedStarts(_ query: HistoryQuery) -> PostgresStatement {
    var parameters = NumberedParameters()
    let zone = parameters.add(.text(zoneName))
    let start = parameters.add(StoredTime.parameter(query.startMicroseconds))
    let end = parameters.add(StoredTime.parameter(query.endMicroseconds))
    /// Local starts from the unit before the range on: the range may begin before the later one of
    /// two midnights, in a bucket of the day before.
    func local(_ unit: Unit) -> String {
      """
      generate_series(
        date_trunc('\(unit.rawValue)', \(start) AT TIME ZONE \(zone)) - interval '\(unit.interval)',
        \(end) AT TIME ZONE \(zone), interval '\(unit.interval)') AS d(local)
      """
    }
    switch step {
    case .calendar(let unit):
      // A day that a zone has skipped begins with the one behind it.
      return PostgresStatement(
        """
        SELECT DISTINCT local AT TIME ZONE \(zone) AS bucket FROM \(local(unit))
        WHERE local AT TIME ZONE \(zone) < \(end)
          AND (local + interval '\(unit.interval)') AT TIME ZONE \(zone) > \(start)
        ORDER BY bucket
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
          FROM \(local(.day))) AS days,
          generate_series(date_bin(\(step), greatest(\(start), midnight), midnight),
            least(next, \(end)) - interval '1 microsecond', \(step)) AS s(bucket)
        WHERE next > \(start)
        ORDER BY bucket
        """,
        parameters.values
      )
    }
  }

  var zoneName: String { zone?.databaseName ?? "UTC" }

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
