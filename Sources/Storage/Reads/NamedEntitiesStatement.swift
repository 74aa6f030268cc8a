// Reads the projections of entities that are called by id or by name, in one statement.

/// The statement of BatchGetEntities, and of entities with large documents.
struct NamedEntitiesStatement {
  let statement: PostgresStatement
  private let count: Int

  init(_ keys: [EntityReader.Key], tenant: Int32, bytesMax: Int) {
    count = keys.count
    statement = PostgresStatement(
      NamedEntitiesStatement.sql,
      [.int32(tenant)] + KeyLists(keys).parameters + [.int64(Int64(bytesMax))],
      isPrepared: true
    )
  }

  /// The place in the request of each row, rising.
  func places(_ result: PostgresResult) throws(StorageError) -> [Int] {
    var places: [Int] = []
    for row in 0..<result.rowCount {
      places.append(try KeyLists.place(result, row: row, column: 8, count: count))
    }
    return places
  }

  // Sizes are added up in two steps, as stored and then as text, so that huge documents are neither
  // built nor sent beyond the limit. The first row always comes.
  private static let sql = """
    SELECT t.entity_id, t.external_key, t.version, t.attrs, t.times, NULL::text, NULL::text, t.found,
      t.place
    FROM (
      SELECT s.*, sum(64 + octet_length(s.external_key) + coalesce(octet_length(s.attrs), 0)
          + coalesce(octet_length(s.times), 0)) OVER (ORDER BY s.place) AS bytes
      FROM (
        SELECT p.*, p.hot_attrs::text AS attrs, p.hot_times::text AS times
        FROM (
          SELECT n.*, coalesce(j.version, 0) AS version, j.hot_attrs, j.hot_times,
            count(*) OVER () AS found, row_number() OVER w AS rank,
            sum(coalesce(pg_column_size(j.hot_attrs), 0)) OVER w AS stored
          FROM (\(KeyLists.sql(from: 2))) AS n
          LEFT JOIN sluice.entity_jsonb j ON j.tenant_id = $1 AND j.entity_id = n.entity_id
          WINDOW w AS (ORDER BY n.place)) AS p
        WHERE p.rank = 1 OR p.stored <= $6) AS s) AS t
    WHERE t.rank = 1 OR t.bytes <= $6
    ORDER BY t.place
    """
}
