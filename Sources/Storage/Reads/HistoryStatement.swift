// Writes the SQL of history reads. Only this file's own words are in it: every value is a
// parameter.

/// The statement of one page of raw values.
struct HistoryStatement {
  /// Microseconds that clocks of gateways and database may differ, for `ingested_at` to prune by.
  static let clockSkew: Int64 = 86_400_000_000
  /// Bytes of a value in the answer beside its text: entity, attribute, time and value or offset.
  static let valueBytes = 28

  var query: HistoryQuery
  var position: HistoryPosition?
  /// Rows wanted, and one more to see whether there are any.
  var limit: Int
  var bytesMax: Int
  var includesStaged: Bool
  /// Whether labels or documents may come, whose sizes must be added up.
  var hasTexts: Bool
  /// The largest future limit any gateway ever had; nil when it is not known.
  var futureLimit: Int64?

  private static let columns =
    "observed_at, entity_id, attribute_id, number, integer, flag, label, document, table_oid, place, "
    + "producer_id, seq"
  private static let order = ["observed_at", "entity_id", "attribute_id"]
  private static let rowOrder = ["table_oid", "place", "producer_id", "seq"]

  var statement: PostgresStatement {
    PostgresStatement(hasTexts ? sizedSQL : plainSQL, parameters)
  }

  // MARK: Parameters

  private var parameters: [PostgresParameter] {
    var (start, end) = (query.startMicroseconds, query.endMicroseconds)
    // The position as a plain bound, too: the index on observed_at knows nothing of rows.
    if let key = position?.key {
      if query.isDescending {
        end = min(end, key.observedAt == .max ? .max : key.observedAt + 1)
      } else {
        start = max(start, key.observedAt)
      }
    }
    var parameters: [PostgresParameter] = [
      .int32(query.tenant), .array(query.entityIDs),
      .array(query.attributeIDs.compactMap { Int32(exactly: $0) }), StoredTime.parameter(start),
      StoredTime.parameter(end), ingestedFrom(start), .int64(Int64(limit) + 1),
      .int64(Int64(bytesMax)),
    ]
    guard let position else { return parameters }
    let key = position.key
    parameters += [
      StoredTime.parameter(key.observedAt), .int64(key.entityID),
      .int32(Int32(truncatingIfNeeded: key.attributeID)),
    ]
    guard let row = position.row else { return parameters }
    parameters += [
      .int64(Int64(row.tableOID)), .untyped("(\(row.block),\(row.offset))"), .uuid(row.producer),
      .int64(row.sequence),
    ]
    return parameters
  }

  /// The earliest ingestion that can matter.
  ///
  /// No value was ingested earlier than it was observed, but for the future limit and the clocks:
  /// older partitions hold nothing of the range. Without a known limit nothing is pruned.
  private func ingestedFrom(_ start: Int64) -> PostgresParameter {
    guard let futureLimit else { return StoredTime.parameter(.min) }
    let slack = futureLimit.addingReportingOverflow(HistoryStatement.clockSkew)
    let bound = start.subtractingReportingOverflow(slack.partialValue)
    guard !slack.overflow, !bound.overflow else { return StoredTime.parameter(.min) }
    return StoredTime.parameter(bound.partialValue)
  }

  // MARK: SQL

  /// All columns of matching rows, in order, one more than wanted.
  private var page: String {
    """
    SELECT * FROM (
      \(HistoryStatement.durable(behind))
      \(includesStaged ? "UNION ALL \(HistoryStatement.staged(behind))" : "")
    ) AS v ORDER BY \(ordering) LIMIT $7
    """
  }

  private var ordering: String {
    (HistoryStatement.order + HistoryStatement.rowOrder)
      .map { query.isDescending ? "\($0) DESC" : $0 }.joined(separator: ", ")
  }

  private static func durable(_ behind: String) -> String {
    """
    SELECT * FROM (
      SELECT observed_at, entity_id, attribute_id, number, integer, flag, label, document,
        tableoid::int8 AS table_oid, ctid AS place,
        '00000000-0000-0000-0000-000000000000'::uuid AS producer_id, 0::int8 AS seq
      FROM sluice.entity_values
      WHERE tenant_id = $1 AND entity_id = ANY ($2) AND attribute_id = ANY ($3)
        AND observed_at >= $4 AND observed_at < $5 AND ingested_at >= $6) AS d \(behind)
    """
  }

  /// In the same statement as the durable ones: what is promoted in between is seen exactly once.
  private static func staged(_ behind: String) -> String {
    """
    SELECT * FROM (
      SELECT observed_at, entity_id, attribute_id, number, integer, flag, label, document,
        0::int8 AS table_oid, '(0,0)'::tid AS place, producer_id, seq
      FROM sluice.entity_values_ingest
      WHERE tenant_id = $1 AND entity_id = ANY ($2) AND attribute_id = ANY ($3)
        AND observed_at >= $4 AND observed_at < $5) AS s \(behind)
    """
  }

  /// What keeps only rows behind the position.
  private var behind: String {
    guard let position else { return "" }
    let names = HistoryStatement.order + (position.row == nil ? [] : HistoryStatement.rowOrder)
    let places = names.indices.map { "$\(9 + $0)\(names[$0] == "place" ? "::tid" : "")" }
    return "WHERE (\(names.joined(separator: ", "))) \(query.isDescending ? "<" : ">")"
      + " (\(places.joined(separator: ", ")))"
  }

  private var plainSQL: String {
    """
    SELECT \(HistoryStatement.columns), count(*) OVER () AS found
    FROM (\(page)) AS p WHERE $8::int8 > 0 ORDER BY \(ordering)
    """
  }

  /// The page with its sizes.
  ///
  /// Sizes are added up in two steps, as stored and then as text, so that a page of huge documents
  /// is neither built nor sent. The first row always comes.
  private var sizedSQL: String {
    """
    SELECT \(HistoryStatement.columns), found
    FROM (
      SELECT t.*, sum(\(HistoryStatement.valueBytes) + coalesce(octet_length(label), 0)
          + coalesce(octet_length(document), 0)) OVER (ORDER BY rank) AS bytes
      FROM (
        SELECT observed_at, entity_id, attribute_id, number, integer, flag, label,
          document::text AS document, table_oid, place, producer_id, seq, found, rank
        FROM (
          SELECT p.*, count(*) OVER () AS found, row_number() OVER w AS rank,
            sum(coalesce(pg_column_size(label), 0) + coalesce(pg_column_size(document), 0)) OVER w
              AS stored
          FROM (\(page)) AS p WINDOW w AS (ORDER BY \(ordering))) AS s
        WHERE rank = 1 OR stored <= $8) AS t) AS u
    WHERE rank = 1 OR bytes <= $8
    ORDER BY rank
    """
  }
}
