internal import EventLoop

// Names of a replica, for when the primary is silent: what has an id there keeps it for ever.

/// Asks replicas, however old, for names and ids that exist.
struct ReplicaNames {
  /// What is said when the primary would have to be asked, and is silent.
  static let primaryAway = PostgresError.disconnected(outcomeUnknown: false, sqlstate: nil)

  private let router: ReadRouter

  /// Nil without replicas.
  init?(_ router: ReadRouter) {
    guard router.hasReplicas else { return nil }
    self.router = router
  }

  /// Whether nothing has been heard of the primary for a while: it would be asked in vain.
  var areNeeded: Bool { router.isPrimarySilent }

  /// Runs a statement on a replica.
  ///
  /// - Throws: what `read` throws, and as `ReadRouter.read`.
  func ask<T>(
    _ statement: PostgresStatement,
    deadline: MonotonicTime,
    _ read: (PostgresResult) throws(PostgresError) -> T
  ) async throws(StorageError) -> T {
    let requirement = ReadRequirement(.eventual(maxStaleness: .seconds(3600)), allowsDegraded: true)
    let answer = try await router.read([statement], requirement, deadline: deadline)
    do throws(PostgresError) {
      return try read(answer.results[0])
    } catch {
      throw .postgres(error)
    }
  }

  /// Ids of entities in the order of their keys.
  ///
  /// - Throws: `.postgres(primaryAway)` when one is not there: the primary may have it.
  func entities(
    _ tenant: Int32,
    _ keys: [String],
    deadline: MonotonicTime
  ) async throws(StorageError) -> [Int64] {
    let statement = PostgresStatement(
      """
      SELECT e.entity_id FROM unnest($2::text[]) WITH ORDINALITY AS k(key, place)
      LEFT JOIN sluice.entities e ON e.tenant_id = $1 AND e.external_key = k.key ORDER BY k.place
      """,
      [.int32(tenant), .array(keys)]
    )
    return try await ask(statement, deadline: deadline) { result throws(PostgresError) in
      var ids: [Int64] = []
      for row in 0..<result.rowCount {
        guard let id = try result.int64(row: row, column: 0) else {
          throw ReplicaNames.primaryAway
        }
        ids.append(id)
      }
      return ids
    }
  }

  /// Attributes in the order of their names.
  ///
  /// - Throws: `.postgres(primaryAway)` when one is not there: the primary may have it.
  func attributes(
    _ tenant: Int32,
    _ names: [String],
    deadline: MonotonicTime
  ) async throws(StorageError) -> [CatalogAttribute] {
    let statement = PostgresStatement(
      """
      SELECT a.attribute_id, n.name, a.value_type, a.unit, a.is_hot
      FROM unnest($2::text[]) WITH ORDINALITY AS n(name, place)
      LEFT JOIN sluice.attributes a ON a.tenant_id = $1 AND a.name = n.name ORDER BY n.place
      """,
      [.int32(tenant), .array(names)]
    )
    return try await ask(statement, deadline: deadline) { result throws(PostgresError) in
      var attributes: [CatalogAttribute] = []
      for row in 0..<result.rowCount {
        guard try result.int64(row: row, column: 0) != nil else {
          throw ReplicaNames.primaryAway
        }
        attributes.append(try CatalogAttribute(result, row: row, column: 0))
      }
      return attributes
    }
  }
}
