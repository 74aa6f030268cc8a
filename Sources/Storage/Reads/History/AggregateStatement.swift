// Sums values up by time bucket, in the database.

/// What is computed of the values of each bucket, beside what always is.
public struct Aggregate: Equatable, Sendable {
  /// What becomes of buckets without values.
  public enum Fill: Sendable {
    /// They are left out.
    case none
    /// They have no figures.
    case empty
    /// They repeat the last value before them.
    case previous
  }

  /// How time is cut.
  public var grid: BucketGrid
  /// Fractions from 0 to 1.
  public var percentiles: [Double]
  /// Also standard deviations of the sample.
  public var hasDeviation: Bool
  /// What becomes of buckets without values.
  public var fill: Fill

  /// An aggregate of these parts.
  public init(
    _ grid: BucketGrid,
    percentiles: [Double] = [],
    hasDeviation: Bool = false,
    fill: Fill = .none
  ) {
    self.grid = grid
    self.percentiles = percentiles
    self.hasDeviation = hasDeviation
    self.fill = fill
  }

  /// Bytes of one bucket on the wire: its key, and what is known of it.
  func bucketBytes(hasIntegers: Bool) -> Int {
    76 + 8 * (percentiles.count + (hasDeviation ? 1 : 0)) + (hasIntegers ? 32 : 0)
  }
}

/// The statement of AggregateHistory.
struct AggregateStatement {
  var range: HistoryRange
  var aggregate: Aggregate
  var bucketsMax: Int
  var includesStaged: Bool
  /// Whether integers may be among the values, whose figures are exact then.
  var hasIntegers: Bool

  /// Groups by entity, attribute and bucket.
  ///
  /// NaN is `value` but not `plain`: it would swallow the others. First and last are by time; of
  /// equal times the smaller value is first and the larger one last. There is no avg: it adds up
  /// squares, too, which overflow where the sum does not.
  var statement: PostgresStatement {
    var parameters = range.parameters
    let bucket = aggregate.grid.bucket(from: range.start, &parameters)
    var figures = [
      "count(*)", "count(plain)", "min(plain)", "max(plain)", "sum(plain)",
      "(min(ARRAY[date_part('epoch', observed_at - bucket), value]))[2]",
      "(max(ARRAY[date_part('epoch', observed_at - bucket), value]))[2]",
    ]
    if aggregate.hasDeviation { figures.append("stddev_samp(plain)") }
    for fraction in aggregate.percentiles {
      let fraction = parameters.add(.double(fraction))
      figures.append("percentile_cont(\(fraction)) WITHIN GROUP (ORDER BY plain)")
    }
    if hasIntegers { figures += IntegerFigures.columns }
    let columns = "SELECT entity_id, attribute_id, observed_at, number, integer"
    let staged = includesStaged ? "UNION ALL \(columns) \(range.staged())" : ""
    let sql = """
      SELECT entity_id, attribute_id, bucket, \(figures.joined(separator: ", "))
      FROM (
        SELECT entity_id, attribute_id, observed_at, integer, value,
          CASE WHEN value <> 'NaN' THEN value END AS plain, \(bucket) AS bucket
        FROM (
          SELECT entity_id, attribute_id, observed_at, integer,
            coalesce(number, integer::float8) AS value
          FROM (\(columns) \(range.durable()) \(staged)) AS s) AS v
        WHERE value IS NOT NULL) AS b
      GROUP BY entity_id, attribute_id, bucket ORDER BY entity_id, attribute_id, bucket
      LIMIT \(parameters.add(.int64(Int64(bucketsMax) + 1)))
      """
    return PostgresStatement(sql, parameters.values)
  }
}
