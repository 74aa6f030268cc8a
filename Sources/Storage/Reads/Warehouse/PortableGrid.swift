// Buckets of the warehouse: by whole numbers, and by dates whose moments the database knows.

extension BucketGrid {
  /// The bucket of `observed_at` and its `moment` as an expression: microseconds since 2000.
  func portableBucket(from start: Int64, _ parameters: inout PortableParameters) -> String {
    switch step {
    case .calendar(let unit):
      return PortableTime.microseconds(
        of: BucketGrid.localStart(unit, parameters.text(zoneName))
      )
    case .width(let width):
      // The first bucket of the range, so that nothing below zero is divided.
      var first = "(\(BucketGrid.start(of: start, width: width) - StoredTime.epoch))"
      if zone != nil {
        first = PortableTime.microseconds(
          of: BucketGrid.localStart(.day, parameters.text(zoneName))
        )
      }
      return "moment - MOD(moment - \(first), CAST(\(width) AS bigint))"
    }
  }
}

/// The local starts of the units of a grid around a range, from which its buckets are cut.
///
/// The database is asked for them by number and date, as no set that it could make them by is known
/// to both servers.
struct LocalStarts {
  private let grid: BucketGrid
  private let from: Int64
  private let end: Int64

  private static let day: Int64 = 86_400_000_000

  /// Nil when the range, and the units behind it, go beyond what can be dated.
  init?(_ grid: BucketGrid, _ query: HistoryQuery) {
    let latest = PortableTime.latest - 3 * 366 * LocalStarts.day
    guard query.endMicroseconds <= latest else { return nil }
    self.grid = grid
    from = max(query.startMicroseconds, StoredTime.earliest)
    end = query.endMicroseconds
  }

  private var unit: BucketGrid.Unit {
    if case .calendar(let unit) = grid.step { unit } else { .day }
  }

  /// One column: when each unit begins, from before the range to behind it.
  ///
  /// Local time is at most a day away from UTC. A unit more on both sides, because of the bucket
  /// that the range begins in, and as each unit ends where the next one begins.
  var statement: PostgresStatement {
    var parameters = PortableParameters()
    let zone = parameters.text(grid.zoneName)
    let firstDay = BucketGrid.start(of: from, width: LocalStarts.day) / LocalStarts.day - 1
    let lastDay = BucketGrid.start(of: end, width: LocalStarts.day) / LocalStarts.day + 1
    let date: String
    let count: Int64
    switch unit {
    case .day, .week:
      let length: Int64 = unit == .day ? 1 : 7
      // 1970-01-01 was a Thursday; no date is before the year 1.
      let monday = firstDay - (firstDay + 3 + 7 * 200_000) % 7
      let first = max((unit == .day ? firstDay : monday) - length, LocalStarts.earliestDay)
      date = "\(parameters.date(first)) + \(length) * n"
      count = (lastDay - first) / length + 2
    case .month, .quarter, .year:
      let length: Int64 = unit == .month ? 1 : unit == .quarter ? 3 : 12
      let (start, last) = (CivilDate(days: firstDay), CivilDate(days: lastDay))
      let month = start.year * 12 + start.month - 1
      let first = max(month - month % length - length, 12)
      let number = "(\(first) + \(length) * n)"
      let digits = "\(number) / 12 * 10000 + (MOD(\(number), 12) + 1) * 100 + 1"
      date = "to_date(lpad(CAST(\(digits) AS varchar(8)), 8, '0'), 'YYYYMMDD')"
      count = (last.year * 12 + last.month - 1 - first) / length + 2
    }
    let start = "CAST(first_day AS timestamp) AT TIME ZONE \(zone)"
    let sql = """
      SELECT \(PortableTime.microseconds(of: start)) AS begins
      FROM (SELECT n, \(date) AS first_day FROM (\(LocalStarts.numbers(count))) AS k
        WHERE n < \(count)) AS d
      ORDER BY n
      """
    return PostgresStatement(sql, parameters.values, resultFormat: .text)
  }

  private static let earliestDay = StoredTime.earliest / day

  /// 0 up to `count` and beyond it, from as many tables of digits as that has.
  private static func numbers(_ count: Int64) -> String {
    let digits = (0..<10).map { $0 == 0 ? "SELECT 0 AS d" : "SELECT \($0)" }
    let table = "(\(digits.joined(separator: " UNION ALL ")))"
    let tens = Array(sequence(first: Int64(1)) { $0 < count / 10 + 1 ? $0 * 10 : nil })
    let sum = tens.map { "\($0) * t\($0).d" }.joined(separator: " + ")
    let tables = tens.map { "\(table) AS t\($0)" }.joined(separator: " CROSS JOIN ")
    return "SELECT \(sum) AS n FROM \(tables)"
  }

  /// The buckets that have a part in the range, ascending.
  ///
  /// - Parameter starts: the answer, in microseconds since 1970.
  /// - Returns: where they begin, in microseconds since 1970.
  func buckets(_ starts: [Int64]) -> [Int64] {
    var buckets: Set<Int64> = []
    for (start, next) in zip(starts, starts.dropFirst()) where next > from && start < end {
      guard case .width(let width) = grid.step else {
        // A day that a zone has skipped begins with the one behind it.
        buckets.insert(start)
        continue
      }
      let first = start + BucketGrid.start(of: max(from, start) - start, width: width)
      buckets.formUnion(stride(from: first, to: min(next, end), by: Int(width)))
    }
    return buckets.sorted()
  }
}

extension PortableParameters {
  /// A date, in days since 1970.
  fileprivate mutating func date(_ days: Int64) -> String {
    "CAST(\(text(CivilDate(days: days).text)) AS date)"
  }
}
