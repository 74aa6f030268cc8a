// Writes the SQL of history reads. Only this file's own words are in it: every value is a
// parameter.

/// One page of raw values and its statement: for the primary and its replicas here, for the
/// warehouse in `PortableHistoryStatement`.
struct HistoryStatement {
  /// Bytes of a value in the answer beside its text: entity, attribute, time and value or offset.
  static let valueBytes = 28

  var query: HistoryQuery
  var position: HistoryPosition?
  /// Rows wanted, and one more to see whether there are any.
  var limit: Int
  var bytesMax: Int
  var includesStaged: Bool
  /// Whether the warehouse is asked.
  var isOfWarehouse = false
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
    isOfWarehouse
      ? PortableHistoryStatement(page: self).statement
      : PostgresStatement(hasTexts ? sizedSQL : plainSQL, parameters)
  }

  // MARK: Parameters

  /// The range behind the position, as a plain bound, too: the index on observed_at knows nothing
  /// of rows.
  var range: HistoryRange {
    var query = query
    if let key = position?.key {
      let (start, end) = (query.startMicroseconds, query.endMicroseconds)
      if query.isDescending {
        query.endMicroseconds = min(end, key.observedAt == .max ? .max : key.observedAt + 1)
      } else {
        query.startMicroseconds = max(start, key.observedAt)
      }
    }
    return HistoryRange(query: query, futureLimit: futureLimit)
  }

  private var parameters: [PostgresParameter] {
    var parameters =
      range.parameters.values + [.int64(Int64(limit) + 1), .int64(Int64(bytesMax))]
    guard let position else { return parameters }
    let key = position.key
    parameters += [
      StoredTime.parameter(key.observedAt), .int64(key.entityID),
      .int32(Int32(truncatingIfNeeded: key.attributeID)),
    ]
    guard case .row(let row) = position.place else { return parameters }
    parameters += [
      .int64(Int64(row.tableOID)), .untyped("(\(row.block),\(row.offset))"), .uuid(row.producer),
      .int64(row.sequence),
    ]
    return parameters
  }

  // MARK: SQL

  /// All columns of matching rows, in order, one more than wanted.
  private var page: String {
    """
    SELECT * FROM (
      \(durable)
      \(includesStaged ? "UNION ALL \(staged)" : "")
    ) AS v ORDER BY \(ordering) LIMIT $7
    """
  }

  private var ordering: String {
    (HistoryStatement.order + HistoryStatement.rowOrder)
      .map { query.isDescending ? "\($0) DESC" : $0 }.joined(separator: ", ")
  }

  private var durable: String {
    """
    SELECT * FROM (
      SELECT observed_at, entity_id, attribute_id, number, integer, flag, label, document,
        tableoid::int8 AS table_oid, ctid AS place,
        '00000000-0000-0000-0000-000000000000'::uuid AS producer_id, 0::int8 AS seq
      \(range.durable())) AS d \(behind)
    """
  }

  private var staged: String {
    """
    SELECT * FROM (
      SELECT observed_at, entity_id, attribute_id, number, integer, flag, label, document,
        0::int8 AS table_oid, '(0,0)'::tid AS place, producer_id, seq
      \(range.staged())) AS s \(behind)
    """
  }

  /// What keeps only rows behind the position.
  private var behind: String {
    guard let position else { return "" }
    let names = HistoryStatement.order + (position.place == nil ? [] : HistoryStatement.rowOrder)
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
