// Reads the projections of entities that are called by id or by name, in one statement.

/// The statement of BatchGetEntities, and of point reads that go together.
struct NamedEntitiesStatement {
  let statement: PostgresStatement
  private let count: Int

  init(_ keys: [EntityReader.Key], tenant: Int32, bytesMax: Int) {
    count = keys.count
    var (ids, idPlaces): ([Int64], [Int64]) = ([], [])
    var (names, namePlaces): ([String], [Int64]) = ([], [])
    for (place, key) in keys.enumerated() {
      switch key {
      case .id(let id):
        ids.append(id)
        idPlaces.append(Int64(place))
      case .externalKey(let name):
        names.append(name)
        namePlaces.append(Int64(place))
      }
    }
    statement = PostgresStatement(
      NamedEntitiesStatement.sql,
      [
        .int32(tenant), .array(ids), .array(idPlaces), .array(names), .array(namePlaces),
        .int64(Int64(bytesMax)),
      ],
      isPrepared: true
    )
  }

  /// The place in the request of each row, rising.
  func places(_ result: PostgresResult) throws(StorageError) -> [Int] {
    var places: [Int] = []
    for row in 0..<result.rowCount {
      let place: Int64?
      do throws(PostgresError) {
        place = try result.int64(row: row, column: 8)
      } catch {
        throw .postgres(error)
      }
      guard let place, (0..<Int64(count)).contains(place) else {
        throw .unreadable("an entity that was not asked for")
      }
      places.append(Int(place))
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
          FROM (
            SELECT u.place, e.entity_id, e.external_key
            FROM unnest($2::int8[], $3::int8[]) AS u(id, place)
            JOIN sluice.entities e ON e.tenant_id = $1 AND e.entity_id = u.id
            UNION ALL
            SELECT u.place, e.entity_id, e.external_key
            FROM unnest($4::text[], $5::int8[]) AS u(name, place)
            JOIN sluice.entities e ON e.tenant_id = $1 AND e.external_key = u.name) AS n
          LEFT JOIN sluice.entity_jsonb j ON j.tenant_id = $1 AND j.entity_id = n.entity_id
          WINDOW w AS (ORDER BY n.place)) AS p
        WHERE p.rank = 1 OR p.stored <= $6) AS s) AS t
    WHERE t.rank = 1 OR t.bytes <= $6
    ORDER BY t.place
    """
}
