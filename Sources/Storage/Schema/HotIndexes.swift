public import EventLoop

// Makes, lists and drops the indexes on newest values, while the gateways go on writing.

/// The indexes of one tenant, seen through a direct connection.
///
/// An index on the projection ends heap-only updates of every entity, whether it has the attribute
/// or not, because the column of all newest values is in the index. So there is none by default.
public struct HotIndexes {
  /// What `create` did.
  public enum Creation: Equatable, Sendable {
    /// It was there already, and valid.
    case wasThere
    /// It was built; `hasReplaced` when an invalid one of a failed build was dropped before.
    case built(hasReplaced: Bool)
  }

  /// Of the connection: a build waits for older transactions and scans the table twice.
  public static let role = PostgresRole.direct(
    "index",
    setup: "SET statement_timeout = 0; SET lock_timeout = 0"
  )

  private let connection: PostgresConnection
  private let tenant: Int32
  private let deadline: MonotonicTime

  /// - Parameters:
  ///   - connection: of the role `role`; its session must be its own.
  ///   - tenant: whose attributes.
  ///   - deadline: until when everything is done or given up.
  public init(_ connection: PostgresConnection, tenant: Int32, deadline: MonotonicTime) {
    self.connection = connection
    self.tenant = tenant
    self.deadline = deadline
  }

  /// The indexes of the tenant by attribute; also on a standby, which counts its own scans.
  ///
  /// - Parameter attribute: only its index.
  /// - Returns: valid and invalid ones.
  /// - Throws: `.schema(.missing)`, `.postgres`.
  public func list(attribute: String? = nil) async throws(HotIndexError) -> [HotIndexStatus] {
    guard try await ask("SELECT to_regclass('sluice.entity_jsonb') IS NOT NULL").isTrue else {
      throw .schema(.missing)
    }
    let rows = try await ask(
      HotIndexes.listing,
      [.int32(tenant), attribute.map { .text($0) } ?? .null]
    )
    do throws(PostgresError) {
      var found: [HotIndexStatus] = []
      for row in 0..<rows.rowCount { found.append(try HotIndexStatus(rows, row)) }
      return found
    } catch {
      throw .postgres(error)
    }
  }

  /// Builds the index of an attribute, unless there is a valid one; an invalid one is replaced.
  ///
  /// What a failed build leaves is dropped. The table is analyzed afterwards, because the planner
  /// knows nothing yet about the values.
  ///
  /// - Throws: `.attributeNotFound`, `.notHot`, `.busy`, `.buildFailed`, `.schema`, `.postgres`.
  public func create(_ name: String) async throws(HotIndexError) -> Creation {
    let attribute = try await attribute(name)
    guard attribute.isHot else { throw .notHot(name) }
    try await lock()
    let index = HotIndex(tenant: tenant, attributeID: attribute.id)
    let before = try await list(attribute: name).first
    switch before?.state {
    case .valid:
      try await analyze(index, attribute.type)
      return .wasThere
    case .building: throw .busy
    case .invalid: try await run(index.removal)
    case nil: break
    }
    do throws(HotIndexError) {
      try await run(index.creation(attribute.type))
    } catch {
      guard case .postgres(let reason) = error else { throw error }
      throw .buildFailed(reason, isRemoved: await remove(index))
    }
    try await analyze(index, attribute.type)
    return .built(hasReplaced: before != nil)
  }

  /// Drops the index of an attribute, valid or not, hot or not.
  ///
  /// - Returns: what was dropped.
  /// - Throws: `.attributeNotFound`, `.notIndexed`, `.busy`, `.schema`, `.postgres`.
  public func drop(_ name: String) async throws(HotIndexError) -> HotIndexStatus {
    let attribute = try await attribute(name)
    try await lock()
    guard let before = try await list(attribute: name).first else { throw .notIndexed(name) }
    guard before.state != .building else { throw .busy }
    let index = HotIndex(tenant: tenant, attributeID: attribute.id)
    try await run(index.removal)
    try await run(index.statisticsRemoval)
    return before
  }

  /// How far a build has come.
  ///
  /// - Parameters:
  ///   - builder: `backendID` of the connection that builds.
  ///   - connection: another one.
  /// - Returns: nil when nothing is being built there.
  /// - Throws: as `query`.
  public static func progress(
    of builder: Int32,
    on connection: PostgresConnection
  ) async throws(PostgresError) -> HotIndexProgress? {
    let rows = try await connection.query(
      """
      SELECT phase, blocks_done, blocks_total, tuples_done, tuples_total, lockers_done,
        lockers_total
      FROM pg_stat_progress_create_index WHERE pid = $1
      """,
      [.int32(builder)],
      deadline: .now() + .seconds(10)
    )
    guard rows.rowCount > 0, let phase = rows.text(row: 0, column: 0) else { return nil }
    for (column, unit) in [(1, "blocks"), (3, "rows"), (5, "transactions")] {
      let done = try rows.int64(row: 0, column: column) ?? 0
      let total = try rows.int64(row: 0, column: column + 1) ?? 0
      if total > 0 { return HotIndexProgress(phase: phase, done: done, total: total, unit: unit) }
    }
    return HotIndexProgress(phase: phase, done: 0, total: 0, unit: "")
  }

  // MARK: Private

  private static let listing = """
    SELECT a.name, coalesce(a.is_hot, false), c.relname::text, m.amname::text,
      pg_relation_size(c.oid), i.indisvalid,
      EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = c.oid),
      coalesce(pg_stat_get_numscans(c.oid), 0)
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_am m ON m.oid = c.relam
    CROSS JOIN LATERAL (
      SELECT substring(c.relname from '\(HotIndex.tenantPattern)')::bigint AS tenant_id,
        substring(c.relname from '\(HotIndex.attributePattern)')::bigint AS attribute_id) AS n
    LEFT JOIN sluice.attributes a
      ON a.tenant_id = n.tenant_id AND a.attribute_id = n.attribute_id
    WHERE i.indrelid = 'sluice.entity_jsonb'::regclass AND n.tenant_id = $1
      AND ($2::text IS NULL OR a.name = $2)
    ORDER BY a.name, c.relname
    """

  private func attribute(_ name: String) async throws(HotIndexError) -> CatalogAttribute {
    do throws(SchemaError) {
      try await SchemaMigrator(connection, deadline: deadline).check()
    } catch {
      throw .schema(error)
    }
    let rows = try await ask(
      """
      SELECT attribute_id, name, value_type, unit, is_hot FROM sluice.attributes
      WHERE tenant_id = $1 AND name = $2
      """,
      [.int32(tenant), .text(name)]
    )
    guard rows.rowCount == 1 else { throw .attributeNotFound(name) }
    do throws(PostgresError) {
      return try CatalogAttribute(rows, row: 0, column: 0)
    } catch {
      throw .postgres(error)
    }
  }

  /// Keeps others out until the connection ends.
  ///
  /// It never waits: a waiting statement has a snapshot, and the build that it waits for would wait
  /// for that.
  private func lock() async throws(HotIndexError) {
    let isFree = try await ask("SELECT pg_try_advisory_lock(5497231, 4)").isTrue
    guard isFree else { throw .busy }
  }

  private func analyze(_ index: HotIndex, _ type: ValueType) async throws(HotIndexError) {
    try await run(index.statistics(type))
    try await run("ANALYZE sluice.entity_jsonb")
  }

  /// Drops what a failed build has left; false when that cannot be done now.
  private func remove(_ index: HotIndex) async -> Bool {
    do throws(HotIndexError) {
      try await run(index.removal)
      return true
    } catch {
      return false
    }
  }

  /// Runs a statement that must not be in a transaction.
  private func run(_ statement: String) async throws(HotIndexError) {
    do throws(PostgresError) {
      _ = try await connection.script(statement, deadline: deadline)
    } catch {
      throw .postgres(error)
    }
  }

  private func ask(
    _ sql: String,
    _ parameters: [PostgresParameter] = []
  ) async throws(HotIndexError) -> PostgresResult {
    do throws(PostgresError) {
      return try await connection.query(sql, parameters, deadline: deadline)
    } catch {
      throw .postgres(error)
    }
  }
}

extension PostgresResult {
  /// Whether the one value is true.
  fileprivate var isTrue: Bool {
    do throws(PostgresError) {
      return try bool(row: 0, column: 0) == true
    } catch {
      return false
    }
  }
}

extension HotIndexStatus {
  fileprivate init(_ rows: PostgresResult, _ row: Int) throws(PostgresError) {
    let isValid = try rows.bool(row: row, column: 5) == true
    let isBuilding = try rows.bool(row: row, column: 6) == true
    self.init(
      attribute: rows.text(row: row, column: 0),
      isHot: try rows.bool(row: row, column: 1) == true,
      name: rows.text(row: row, column: 2) ?? "",
      method: rows.text(row: row, column: 3) ?? "",
      bytes: try rows.int64(row: row, column: 4) ?? 0,
      state: isValid ? .valid : isBuilding ? .building : .invalid,
      scans: try rows.int64(row: row, column: 7) ?? 0
    )
  }
}
