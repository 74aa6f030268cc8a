// Reads small projections of many entities with as little work for PostgreSQL as there can be.

/// The statements of point reads that go together.
///
/// Window functions that add up sizes, as `NamedEntitiesStatement` has them, cost PostgreSQL more
/// than the reads themselves (128 entities: 2.7 ms against 1.2). Here every row has its own bound,
/// and what is larger is read by itself. Of entities whose name the caller knows only the
/// projection is read (32 entities by pgbench: 0.20 ms against 0.29).
struct PointReadStatement {
  /// What became of one key.
  enum Found {
    case entity(HotEntity)
    case absent
    /// Its documents are too large to be read beside others, or none proves that it exists.
    case alone
  }

  let statements: [PostgresStatement]
  /// Those that are known, one for each key.
  private let names: [String?]

  /// Stored bytes of one row's documents: of 128 rows half a megabyte, and less than 64 MiB however
  /// well they were compressed.
  static let bytesMax: Int32 = 4_096

  /// Statements for one tenant.
  ///
  /// - Parameters:
  ///   - keys: what is read.
  ///   - names: those that are known, one for each key; only ids have any.
  ///   - tenant: whose.
  init(_ keys: [EntityReader.Key], names: [String?], tenant: Int32) {
    self.names = names
    var known: [Int64] = []
    var knownPlaces: [Int64] = []
    var others = KeyLists()
    for (place, key) in keys.enumerated() {
      if case .id(let id) = key, names[place] != nil {
        known.append(id)
        knownPlaces.append(Int64(place))
      } else {
        others.append(key, place: place)
      }
    }
    func statement(_ sql: String, _ lists: [PostgresParameter]) -> PostgresStatement {
      let parameters = [.int32(tenant), .int32(PointReadStatement.bytesMax)] + lists
      return PostgresStatement(sql, parameters, isPrepared: true)
    }
    let ofKnown = statement(PointReadStatement.known, [.array(known), .array(knownPlaces)])
    let ofOthers = statement(PointReadStatement.others, others.parameters)
    statements =
      (known.isEmpty ? [] : [ofKnown]) + (known.count == keys.count ? [] : [ofOthers])
  }

  /// Takes in the answer of one of the statements.
  ///
  /// - Parameters:
  ///   - result: the answer.
  ///   - entities: its decoded rows.
  ///   - found: what was found for each key; begins as `nothing`.
  /// - Throws: `.unreadable`.
  func add(
    _ result: PostgresResult,
    _ entities: [HotEntity],
    to found: inout [Found]
  ) throws(StorageError) {
    for (row, entity) in entities.enumerated() {
      let place = try KeyLists.place(result, row: row, column: 5, count: names.count)
      let isLarge = entity.version > 0 && result.isNull(row: row, column: 3)
      var entity = entity
      if let name = names[place] { entity.externalKey = name }
      found[place] = isLarge ? .alone : .entity(entity)
    }
  }

  /// What is known before there are answers: whether a key whose name is known exists is not.
  var nothing: [Found] { names.map { $0 == nil ? .absent : .alone } }

  private static let documents = """
    CASE WHEN pg_column_size(j.hot_attrs) + pg_column_size(j.hot_times) <= $2
      THEN j.hot_attrs::text END,
    CASE WHEN pg_column_size(j.hot_attrs) + pg_column_size(j.hot_times) <= $2
      THEN j.hot_times::text END
    """
  private static let known = """
    SELECT j.entity_id, NULL::text, j.version, \(documents), u.place
    FROM \(KeyLists.unnest("int8", at: 3)) AS u(id, place)
    JOIN sluice.entity_jsonb j ON j.tenant_id = $1 AND j.entity_id = u.id
    """
  private static let others = """
    SELECT n.entity_id, n.external_key, coalesce(j.version, 0), \(documents), n.place
    FROM (\(KeyLists.sql(from: 3))) AS n
    LEFT JOIN sluice.entity_jsonb j ON j.tenant_id = $1 AND j.entity_id = n.entity_id
    """
}
