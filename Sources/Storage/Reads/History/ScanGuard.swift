// Refuses a read that would scan too much, before it begins.

/// What a read would have to scan, as PostgreSQL expects it.
public struct ScanCost: Equatable, Sendable {
  /// Rows of all entities in the range of time.
  public var rows: Int64
  /// Pages of 8 KiB that hold them.
  public var pages: Int64
}

/// The statement in front of a read, in its pipeline and so without a trip of its own.
///
/// `sluice.guard_scan` asks the planner how many rows lie in the range and fails beyond the limit:
/// then the read behind it does not run.
struct ScanGuard {
  /// Ranges up to a minute are not looked at: asking costs a millisecond or more.
  static let freeMicroseconds: Int64 = 60_000_000
  /// What the function fails with; its detail has rows and pages.
  private static let sqlstate: SQLState = "SLG20"

  var range: HistoryRange
  var rowsMax: Int64

  /// Nothing for a range that is free.
  var statements: [PostgresStatement] {
    let (start, end) = (range.start, range.query.endMicroseconds)
    let length = end.subtractingReportingOverflow(start)
    guard length.overflow || length.partialValue > ScanGuard.freeMicroseconds else { return [] }
    return [
      PostgresStatement(
        "SELECT sluice.guard_scan($1, $2, $3, $4)",
        range.times + [.int64(rowsMax)]
      )
    ]
  }

  /// What the guard said, if it was the guard that failed.
  static func cost(in error: StorageError) -> ScanCost? {
    guard case .postgres(.server(let error)) = error, error.sqlstate == sqlstate else { return nil }
    let numbers = (error.detail ?? "").split(separator: " ").compactMap { Int64($0) }
    return numbers.count == 2 ? ScanCost(rows: numbers[0], pages: numbers[1]) : nil
  }
}
