// Reads the projections of entities that are called by id or by name in the warehouse.

/// The statement of GetEntity and BatchGetEntities, in words that PostgreSQL and Redshift share.
///
/// Each entity comes once, by id, with its documents as long as they fit; to which keys it belongs
/// is found here.
struct PortableEntitiesStatement {
  private let keys: [EntityReader.Key]
  private let tenant: Int32
  private let bytesMax: Int

  /// For some keys of one tenant.
  ///
  /// - Parameters:
  ///   - keys: what is read.
  ///   - tenant: whose.
  ///   - bytesMax: of names and documents; the first entity always comes whole.
  init(_ keys: [EntityReader.Key], tenant: Int32, bytesMax: Int) {
    self.keys = keys
    self.tenant = tenant
    self.bytesMax = bytesMax
  }

  var statement: PostgresStatement {
    var parameters = PortableParameters()
    var (ids, names): (Set<Int64>, Set<String>) = ([], [])
    for key in keys {
      switch key {
      case .id(let id): ids.insert(id)
      case .externalKey(let name): names.insert(name)
      }
    }
    let owner = "e.tenant_id = \(parameters.integer(Int64(tenant)))"
    var conditions: [String] = []
    if !ids.isEmpty { conditions.append("e.entity_id IN \(parameters.list(ids.sorted()))") }
    if !names.isEmpty {
      let list = names.sorted().map { parameters.text($0) }.joined(separator: ", ")
      conditions.append("e.external_key IN (\(list))")
    }
    let fits = "place = 1 OR bytes <= \(bytesMax)"
    let sql = """
      SELECT entity_id, external_key, version, CASE WHEN \(fits) THEN hot_attrs END,
        CASE WHEN \(fits) THEN hot_times END, CASE WHEN \(fits) THEN 1 ELSE 0 END
      FROM (
        SELECT s.*, row_number() OVER (ORDER BY entity_id) AS place,
          sum(size) OVER (ORDER BY entity_id ROWS UNBOUNDED PRECEDING) AS bytes
        FROM (
          SELECT e.entity_id, e.external_key, coalesce(j.version, 0) AS version, j.hot_attrs,
            j.hot_times, 64 + octet_length(e.external_key)
              + coalesce(octet_length(concat(j.hot_attrs, '')), 0)
              + coalesce(octet_length(concat(j.hot_times, '')), 0) AS size
          FROM sluice.entities e LEFT JOIN sluice.entity_jsonb j
            ON j.tenant_id = e.tenant_id AND j.entity_id = e.entity_id
          WHERE \(owner) AND (\(conditions.joined(separator: " OR ")))) AS s) AS t
      """
    return PostgresStatement(sql, parameters.values, resultFormat: .text)
  }

  /// What was found for each key.
  ///
  /// - Parameters:
  ///   - result: the answer.
  ///   - entities: its decoded rows.
  /// - Returns: one for each key; `.alone` where the documents did not fit.
  /// - Throws: `.postgres` when the answer has another shape.
  func found(
    _ result: PostgresResult,
    _ entities: [HotEntity]
  ) throws(StorageError) -> [PointReadStatement.Found] {
    var byKey: [EntityReader.Key: PointReadStatement.Found] = [:]
    // The first row of an entity counts, should a feed have brought it twice.
    for (row, entity) in entities.enumerated() where byKey[.id(entity.id)] == nil {
      let isWhole: Bool
      do throws(PostgresError) {
        isWhole = try result.int64(row: row, column: 5) == 1
      } catch {
        throw .postgres(error)
      }
      let found = isWhole ? PointReadStatement.Found.entity(entity) : .alone
      byKey[.id(entity.id)] = found
      byKey[.externalKey(entity.externalKey)] = found
    }
    return keys.map { byKey[$0] ?? .absent }
  }
}
