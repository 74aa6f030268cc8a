// Sums values up by time bucket, in the database.

/// The statement of AggregateHistory.
public struct AggregateStatement {
  /// Widest bucket: 285 years, up to where PostgreSQL multiplies intervals exactly.
  public static let widthMax: Int64 = 9_000_000_000_000_000

  var query: HistoryQuery
  var widthMicroseconds: Int64
  var bucketsMax: Int
  var includesStaged: Bool
  var futureLimit: Int64?

  var statement: PostgresStatement {
    PostgresStatement(sql, parameters)
  }

  /// The start of the bucket that `time` lies in; buckets begin at multiples of the width since
  /// 1970.
  static func bucketStart(_ time: Int64, width: Int64) -> Int64 {
    let remainder = time % width
    return remainder < 0 ? time - remainder - width : time - remainder
  }

  private var parameters: [PostgresParameter] {
    let start = max(query.startMicroseconds, StoredTime.earliest)
    let slack = (futureLimit ?? 0).addingReportingOverflow(HistoryStatement.clockSkew)
    let ingested = start.subtractingReportingOverflow(slack.partialValue)
    let prunes = futureLimit != nil && !slack.overflow && !ingested.overflow
    return [
      .int32(query.tenant), .array(query.entityIDs),
      .array(query.attributeIDs.compactMap { Int32(exactly: $0) }), StoredTime.parameter(start),
      StoredTime.parameter(query.endMicroseconds),
      StoredTime.parameter(prunes ? ingested.partialValue : .min), .int64(widthMicroseconds),
      // The first bucket of the range, so that date_bin never counts backwards.
      .timestamp(
        AggregateStatement.bucketStart(start, width: widthMicroseconds) - StoredTime.epoch
      ),
      .int64(Int64(bucketsMax) + 1),
    ]
  }

  /// Groups by entity, attribute and bucket.
  ///
  /// NaN is left out of minimum, maximum, average and sum (it would swallow the others), but
  /// counted; a bucket of NaN alone has NaN there. First and last are by time; of equal times the
  /// smaller value is first and the larger one last.
  private var sql: String {
    """
    SELECT entity_id, attribute_id, bucket, count(*),
      coalesce(min(value) FILTER (WHERE value <> 'NaN'), 'NaN'),
      coalesce(max(value) FILTER (WHERE value <> 'NaN'), 'NaN'),
      coalesce(avg(value) FILTER (WHERE value <> 'NaN'), 'NaN'),
      coalesce(sum(value) FILTER (WHERE value <> 'NaN'), 'NaN'),
      (min(ARRAY[date_part('epoch', observed_at - bucket), value]))[2],
      (max(ARRAY[date_part('epoch', observed_at - bucket), value]))[2]
    FROM (
      SELECT entity_id, attribute_id, observed_at,
        date_bin($7::int8 * interval '1 microsecond', observed_at, $8) AS bucket,
        coalesce(number, integer::float8) AS value
      FROM (
        SELECT entity_id, attribute_id, observed_at, number, integer FROM sluice.entity_values
        WHERE tenant_id = $1 AND entity_id = ANY ($2) AND attribute_id = ANY ($3)
          AND observed_at >= $4 AND observed_at < $5 AND ingested_at >= $6
        \(includesStaged ? AggregateStatement.staged : "")) AS v
      WHERE number IS NOT NULL OR integer IS NOT NULL) AS b
    GROUP BY entity_id, attribute_id, bucket ORDER BY entity_id, attribute_id, bucket LIMIT $9
    """
  }

  private static let staged = """
    UNION ALL
    SELECT entity_id, attribute_id, observed_at, number, integer FROM sluice.entity_values_ingest
    WHERE tenant_id = $1 AND entity_id = ANY ($2) AND attribute_id = ANY ($3)
      AND observed_at >= $4 AND observed_at < $5
    """
}

/// Buckets in parallel columns, by entity, attribute and time.
public struct HistoryBuckets: Equatable, Sendable {
  /// The entity of each.
  public private(set) var entityIDs: [Int64] = []
  /// The attribute of each.
  public private(set) var attributeIDs: [UInt32] = []
  /// Where each begins, in microseconds since 1970.
  public private(set) var startsMicroseconds: [Int64] = []
  /// Values in each, NaN among them.
  public private(set) var counts: [UInt64] = []
  /// Smallest value that is not NaN.
  public private(set) var minima: [Double] = []
  /// Largest value that is not NaN.
  public private(set) var maxima: [Double] = []
  /// Average of what is not NaN.
  public private(set) var averages: [Double] = []
  /// Sum of what is not NaN.
  public private(set) var sums: [Double] = []
  /// The earliest value.
  public private(set) var firsts: [Double] = []
  /// The latest value.
  public private(set) var lasts: [Double] = []

  init(_ result: PostgresResult) throws(PostgresError) {
    for row in 0..<result.rowCount {
      guard let entity = try result.int64(row: row, column: 0),
        let attribute = try result.int64(row: row, column: 1),
        let start = try result.int64(row: row, column: 2),
        let count = try result.int64(row: row, column: 3)
      else { throw .protocolViolation("a bucket without its key") }
      entityIDs.append(entity)
      attributeIDs.append(UInt32(truncatingIfNeeded: attribute))
      startsMicroseconds.append(start + StoredTime.epoch)
      counts.append(UInt64(count))
      minima.append(try result.double(row: row, column: 4) ?? .nan)
      maxima.append(try result.double(row: row, column: 5) ?? .nan)
      averages.append(try result.double(row: row, column: 6) ?? .nan)
      sums.append(try result.double(row: row, column: 7) ?? .nan)
      firsts.append(try result.double(row: row, column: 8) ?? .nan)
      lasts.append(try result.double(row: row, column: 9) ?? .nan)
    }
  }
}
