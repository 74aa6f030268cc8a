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
      figures.append(AggregateStatement.percentile(parameters.add(.double(fraction))))
    }
    if hasIntegers { figures += IntegerFigures.columns }
    let columns = "SELECT entity_id, attribute_id, observed_at, number, integer"
    let staged = includesStaged ? "UNION ALL \(columns) \(range.staged())" : ""
    let sql = """
      SELECT entity_id, attribute_id, bucket, \(figures.joined(separator: ", "))
      FROM (
        SELECT entity_id, attribute_id, observed_at, integer, value,
          CASE WHEN value <> 'NaN' THEN value END AS plain,
          CASE WHEN abs(value) BETWEEN 9e291 AND 'Infinity' THEN value / 2 END AS half,
          \(bucket) AS bucket
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

  /// A percentile between the two values it lies between.
  ///
  /// PostgreSQL computes low + part * (high - low). Where low is infinite that is NaN, and one of
  /// the two is taken instead. Where the difference is beyond a double that is infinite, and it is
  /// computed of halves: one of the two is below zero then and one above, both by at least 2^970
  /// (9.98e291), and so are all others of the bucket, which lie outside of them. Only such values
  /// have a half: where there are none, nothing more is sorted. The first two share one sort.
  private static func percentile(_ fraction: String) -> String {
    let between = "percentile_cont(\(fraction)) WITHIN GROUP (ORDER BY plain)"
    return """
      CASE WHEN \(between) = 'NaN'
          THEN percentile_disc(\(fraction)) WITHIN GROUP (ORDER BY plain)
        WHEN \(between) = 'Infinity' AND count(half) = count(plain)
          THEN 2 * percentile_cont(\(fraction)) WITHIN GROUP (ORDER BY half)
            FILTER (WHERE half IS NOT NULL)
        ELSE \(between) END
      """
  }
}
