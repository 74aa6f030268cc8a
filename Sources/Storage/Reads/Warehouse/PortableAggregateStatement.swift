// Sums values up by time bucket in the warehouse, but for percentiles, whose last step is the
// gateway's.

/// The statement of AggregateHistory, in words that PostgreSQL and Redshift share.
///
/// Its columns are those of `AggregateStatement`, only that of each percentile there are the two
/// values it lies between.
struct PortableAggregateStatement {
  var range: HistoryRange
  var aggregate: Aggregate
  var bucketsMax: Int
  /// Whether integers may be among the values, whose figures are exact then.
  var hasIntegers: Bool

  private static let group = "entity_id, attribute_id, bucket"

  var statement: PostgresStatement {
    var parameters = PortableParameters()
    let bucket = aggregate.grid.portableBucket(from: range.start, &parameters)
    let figures = figures(&parameters)
    let rows = PortableRange(range: range).sql(&parameters)
    let sql = """
      SELECT \(PortableAggregateStatement.group), \(figures.joined(separator: ", "))
      FROM (
        SELECT b.*, \(ranks.joined(separator: ", "))
        FROM (
          SELECT entity_id, attribute_id, moment, "integer", value,
            CASE WHEN value <> CAST('NaN' AS double precision) THEN value END AS plain,
            \(bucket) AS bucket
          FROM (
            SELECT entity_id, attribute_id, observed_at, "integer",
              \(PortableTime.microseconds(of: "observed_at")) AS moment,
              coalesce(number, CAST("integer" AS double precision)) AS value
            \(rows)) AS v
          WHERE value IS NOT NULL) AS b) AS r
      GROUP BY \(PortableAggregateStatement.group) ORDER BY \(PortableAggregateStatement.group)
      LIMIT \(bucketsMax + 1)
      """
    return PostgresStatement(sql, parameters.values, resultFormat: .text)
  }

  private func figures(_ parameters: inout PortableParameters) -> [String] {
    func only(_ column: String, where condition: String) -> String {
      "max(CASE WHEN \(condition) THEN \(column) END)"
    }
    var figures = [
      "count(*)", "count(plain)", "min(plain)", "max(plain)", "sum(plain)",
      only("value", where: "from_start = 1"), only("value", where: "from_end = 1"),
    ]
    if aggregate.hasDeviation { figures.append("stddev_samp(plain)") }
    for fraction in aggregate.percentiles {
      let rank = "\(parameters.double(fraction)) * (plain_count - 1)"
      figures.append(only("plain", where: "plain_rank = 1 + FLOOR(\(rank))"))
      figures.append(only("plain", where: "plain_rank = 1 + CEIL(\(rank))"))
    }
    if hasIntegers {
      figures += [
        "min(\"integer\")", "max(\"integer\")", only("\"integer\"", where: "from_start = 1"),
        only("\"integer\"", where: "from_end = 1"),
      ]
    }
    return figures
  }

  // Of equal times the smaller value is first and the larger one last; integers that are one and
  // the same double go by themselves. What is no plain value comes after all that are.
  private var ranks: [String] {
    let window = "PARTITION BY \(PortableAggregateStatement.group)"
    let order = ["moment", "value"] + (hasIntegers ? ["\"integer\""] : [])
    func number(_ order: [String], _ name: String) -> String {
      "row_number() OVER (\(window) ORDER BY \(order.joined(separator: ", "))) AS \(name)"
    }
    let ends = [number(order, "from_start"), number(order.map { "\($0) DESC" }, "from_end")]
    guard !aggregate.percentiles.isEmpty else { return ends }
    return ends + [
      number(["CASE WHEN plain IS NULL THEN 1 ELSE 0 END", "plain"], "plain_rank"),
      "count(plain) OVER (\(window)) AS plain_count",
    ]
  }
}

/// A percentile as it is computed of the two values it lies between.
enum PortablePercentile {
  /// low + part * (high - low), as PostgreSQL's `percentile_cont` has it.
  ///
  /// Where that is NaN, as low is infinite, one of the two is taken: the one that `percentile_disc`
  /// would. Where the difference is beyond a double it is computed of halves.
  ///
  /// - Parameters:
  ///   - fraction: which percentile.
  ///   - count: how many values there are.
  ///   - low: the value at the place before it.
  ///   - high: the value at the place behind it, or the same one.
  /// - Returns: the percentile; NaN when there are no values.
  static func value(_ fraction: Double, count: Int64, low: Double, high: Double) -> Double {
    guard count > 0 else { return .nan }
    let place = fraction * Double(count - 1)
    let part = place - place.rounded(.down)
    guard part > 0 else { return low }
    let between = low + part * (high - low)
    if between.isNaN {
      let discrete = max(1, (fraction * Double(count)).rounded(.up))
      return discrete <= place.rounded(.down) + 1 ? low : high
    }
    if between.isInfinite, low.isFinite, high.isFinite {
      return 2 * (low / 2 + part * (high / 2 - low / 2))
    }
    return between
  }
}
