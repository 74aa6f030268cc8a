// Figures of integers by time bucket, which doubles would round.

/// What is known of the integers of each bucket, in parallel columns; 0 where there are none.
///
/// Empty when integers were not asked for.
public struct IntegerFigures: Equatable, Sendable {
  /// Smallest value.
  public private(set) var minima: [Int64] = []
  /// Largest value.
  public private(set) var maxima: [Int64] = []
  /// The earliest value.
  public private(set) var firsts: [Int64] = []
  /// The latest value.
  public private(set) var lasts: [Int64] = []

  /// The columns of a statement, in the order of `append(_:row:column:)`.
  ///
  /// First and last are by time; of equal times the smaller value is first and the larger one last.
  static let columns: [String] = {
    let timed = "ARRAY[(date_part('epoch', observed_at - bucket) * 1000000)::int8, integer]"
    return ["min(integer)", "max(integer)", "(min(\(timed)))[2]", "(max(\(timed)))[2]"]
  }()

  /// Adds what a row of an answer has from a column on.
  mutating func append(
    _ result: PostgresResult,
    row: Int,
    column: Int
  ) throws(PostgresError) {
    minima.append(try result.int64(row: row, column: column) ?? 0)
    maxima.append(try result.int64(row: row, column: column + 1) ?? 0)
    firsts.append(try result.int64(row: row, column: column + 2) ?? 0)
    lasts.append(try result.int64(row: row, column: column + 3) ?? 0)
  }

  /// Adds a bucket of another answer.
  mutating func append(_ other: IntegerFigures, _ index: Int) {
    minima.append(other.minima[index])
    maxima.append(other.maxima[index])
    firsts.append(other.firsts[index])
    lasts.append(other.lasts[index])
  }

  /// Adds a bucket whose every figure is `value`.
  mutating func append(_ value: Int64) {
    minima.append(value)
    maxima.append(value)
    firsts.append(value)
    lasts.append(value)
  }
}
