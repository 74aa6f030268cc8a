public import EventLoop

// Reads entities with their hot projection.

/// Answers GetEntity and ListEntities.
///
/// Confined to its loop's thread.
public struct EntityReader {
  /// How an entity is named.
  public enum Key: Hashable, Sendable {
    /// By its id.
    case id(Int64)
    /// By its name.
    case externalKey(String)
  }

  private let router: ReadRouter
  private let catalog: Catalog

  /// A reader over a worker's router and catalog.
  public init(router: ReadRouter, catalog: Catalog) {
    self.router = router
    self.catalog = catalog
  }

  /// One entity and its newest values; without any, and version 0, when nothing was folded yet.
  ///
  /// - Throws: `.absentEntity`, `.unreadable`, and as `ReadRouter.read`.
  public func entity(
    _ key: Key,
    tenant: Int32,
    _ requirement: ReadRequirement,
    deadline: MonotonicTime
  ) async throws(StorageError) -> (entity: HotEntity, proof: ReadProof) {
    let condition: String
    let parameter: PostgresParameter
    switch key {
    case .id(let id): (condition, parameter) = ("e.entity_id = $2", .int64(id))
    case .externalKey(let key): (condition, parameter) = ("e.external_key = $2", .text(key))
    }
    let staged = requirement.includesStaged
    let statement = PostgresStatement(
      """
      SELECT e.entity_id, e.external_key, coalesce(j.version, 0), j.hot_attrs::text,
        j.hot_times::text\(staged ? ", s.attrs::text, s.times::text" : "")
      FROM sluice.entities e LEFT JOIN sluice.entity_jsonb j
        ON j.tenant_id = e.tenant_id AND j.entity_id = e.entity_id
      \(staged ? EntityReader.stagedJoin : "")
      WHERE e.tenant_id = $1 AND \(condition)
      """,
      [.int32(tenant), parameter],
      isPrepared: true
    )
    let answer = try await router.read([statement], requirement, deadline: deadline)
    guard answer.results[0].rowCount == 1 else { throw .absentEntity(answer.proof) }
    let entities = try await decoded(answer.results[0], 0..<1, tenant, deadline)
    return (entities[0], answer.proof)
  }

  /// The newest staged value of each hot attribute, unless it is older than what the projection has
  /// or than its removal; in the same statement as the projection, so that a promotion in between
  /// cannot hide it.
  private static let stagedJoin = """
    LEFT JOIN LATERAL (
      SELECT jsonb_object_agg(n.attribute_id, n.value) AS attrs,
        jsonb_object_agg(n.attribute_id, n.observed) AS times
      FROM (
        SELECT DISTINCT ON (v.attribute_id) v.attribute_id,
          sluice.hot_text(v.number, v.integer, v.flag, v.label, v.document)::jsonb AS value,
          (extract(epoch FROM v.observed_at) * 1000000)::bigint AS observed
        FROM sluice.entity_values_ingest v
        JOIN sluice.attributes a ON a.tenant_id = v.tenant_id AND a.attribute_id = v.attribute_id
        WHERE v.tenant_id = e.tenant_id AND v.entity_id = e.entity_id AND a.is_hot
          AND ((extract(epoch FROM v.observed_at) * 1000000)::bigint
            >= (j.hot_times -> v.attribute_id::text)::bigint) IS NOT FALSE
        ORDER BY v.attribute_id, v.observed_at DESC, v.seq DESC) AS n) AS s ON true
    """

  /// Many entities in one statement, so all as of the same moment.
  ///
  /// - Parameters:
  ///   - keys: what they are called.
  ///   - bytesMax: of all names and documents as text; the first that exists always comes.
  ///   - tenant: whose.
  ///   - requirement: how fresh; without what is staged.
  ///   - deadline: until when.
  /// - Returns: an answer for each key from the first on, nil for what does not exist; fewer than
  ///   asked when they would pass `bytesMax`.
  /// - Throws: `.unreadable`, and as `ReadRouter.read`.
  public func entities(
    named keys: [Key],
    bytesMax: Int,
    tenant: Int32,
    _ requirement: ReadRequirement,
    deadline: MonotonicTime
  ) async throws(StorageError) -> (entities: [HotEntity?], proof: ReadProof) {
    precondition(!requirement.includesStaged, "what is staged is read one by one")
    guard !requirement.isOfWarehouse else {
      return try await reports(keys, bytesMax, tenant, requirement, deadline)
    }
    let statement = NamedEntitiesStatement(keys, tenant: tenant, bytesMax: bytesMax)
    let answer = try await router.read([statement.statement], requirement, deadline: deadline)
    let result = answer.results[0]
    var entities = [HotEntity?](repeating: nil, count: keys.count)
    let decoded = try await decoded(result, 0..<result.rowCount, tenant, deadline)
    let places = try statement.places(result)
    for (place, entity) in zip(places, decoded) { entities[place] = entity }
    if let last = places.last, try EntityReader.found(result) > decoded.count {
      entities.removeLast(keys.count - last - 1)
    }
    return (entities, answer.proof)
  }

  /// Many entities whose documents are small, for readers who each want one.
  ///
  /// - Parameters:
  ///   - keys: what they are called.
  ///   - names: those of ids that are known, one for each key.
  ///   - tenant: whose.
  ///   - requirement: how fresh.
  ///   - deadline: until when.
  /// - Returns: what was found for each key.
  /// - Throws: as `entities(named:)`.
  func smallEntities(
    named keys: [Key],
    names: [String?],
    tenant: Int32,
    _ requirement: ReadRequirement,
    deadline: MonotonicTime
  ) async throws(StorageError) -> (found: [PointReadStatement.Found], proof: ReadProof) {
    guard !requirement.isOfWarehouse else {
      let most = EntityReader.reportBytesMax
      return try await found(keys, most, tenant, requirement, deadline)
    }
    let statement = PointReadStatement(keys, names: names, tenant: tenant)
    let answer = try await router.read(statement.statements, requirement, deadline: deadline)
    var found = statement.nothing
    for result in answer.results {
      let entities = try await decoded(result, 0..<result.rowCount, tenant, deadline)
      try statement.add(result, entities, to: &found)
    }
    return (found, answer.proof)
  }

  // MARK: In the warehouse

  /// Texts of one answer: a group of readers shares it.
  private static let reportBytesMax = 8 << 20

  /// What the warehouse has for each key.
  private func found(
    _ keys: [Key],
    _ bytesMax: Int,
    _ tenant: Int32,
    _ requirement: ReadRequirement,
    _ deadline: MonotonicTime
  ) async throws(StorageError) -> (found: [PointReadStatement.Found], proof: ReadProof) {
    let statement = PortableEntitiesStatement(keys, tenant: tenant, bytesMax: bytesMax)
    let answer = try await router.read([statement.statement], requirement, deadline: deadline)
    let result = answer.results[0]
    let entities = try await decoded(result, 0..<result.rowCount, tenant, deadline)
    return (try statement.found(result, entities), answer.proof)
  }

  /// An answer for each key up to the first whose documents do not fit any more.
  private func reports(
    _ keys: [Key],
    _ bytesMax: Int,
    _ tenant: Int32,
    _ requirement: ReadRequirement,
    _ deadline: MonotonicTime
  ) async throws(StorageError) -> (entities: [HotEntity?], proof: ReadProof) {
    let (found, proof) = try await found(keys, bytesMax, tenant, requirement, deadline)
    var entities: [HotEntity?] = []
    for (place, found) in found.enumerated() {
      switch found {
      case .entity(let entity): entities.append(entity)
      case .absent: entities.append(nil)
      case .alone:
        // They fit by the order of ids. Without the others the first entity always comes.
        guard entities.allSatisfy({ $0 == nil }) else { return (entities, proof) }
        let first = Array(keys[...place])
        return try await reports(first, bytesMax, tenant, requirement, deadline)
      }
    }
    return (entities, proof)
  }

  // MARK: Lists

  /// A page of a list.
  ///
  /// - Parameters:
  ///   - list: which entities, in which order.
  ///   - pageToken: from the last page; empty at first.
  ///   - limit: at most so many; fewer when the page would pass `bytesMax`.
  ///   - bytesMax: of all keys and documents as text.
  ///   - requirement: how fresh.
  ///   - deadline: until when.
  /// - Returns: the entities and whether there are more.
  /// - Throws: `.attributeNotFound`, `.attributeNotHot`, `.badFilter`, `.notOrderable`,
  ///   `.orderNotFound`, `.badPageToken`, `.noListThere`, `.unreadable`, `.valueTooLarge`, and as
  ///   `ReadRouter.read`.
  public func entities(
    _ list: EntityList,
    pageToken: [UInt8],
    limit: Int,
    bytesMax: Int,
    _ requirement: ReadRequirement,
    deadline: MonotonicTime
  ) async throws(StorageError) -> (entities: [HotEntity], hasMore: Bool, proof: ReadProof) {
    let position = try list.position(pageToken)
    try await catalog.learn(
      tenant: list.tenant,
      entityIDs: [],
      attributeIDs: list.attributeIDs,
      deadline: deadline
    )
    if list.attributeIDs.contains(where: { catalog.attribute($0, of: list.tenant)?.isHot == false })
    {
      // It may have been made hot a moment ago; otherwise the read is refused.
      try await catalog.refresh(deadline: deadline)
    }
    let page = EntityListPage(list: list, position: position, limit: limit, bytesMax: bytesMax)
    let answer = try await answer(page, requirement, deadline)
    let result = answer.results[0]
    try EntityReader.checkFirst(result, bytesMax)
    let rows = 0..<min(result.rowCount, limit)
    let found = try EntityReader.found(result)
    let entities = try await decoded(result, rows, list.tenant, deadline)
    return (entities, found > rows.count, answer.proof)
  }

  private func answer(
    _ page: EntityListPage,
    _ requirement: ReadRequirement,
    _ deadline: MonotonicTime
  ) async throws(StorageError) -> ReadAnswer {
    let attributes = catalog.attributes(of: page.list.tenant)
    let statement =
      requirement.isOfWarehouse
      ? try PortableListStatement(page, attribute: { attributes[$0] }).statement
      : try EntityListStatement(page, attribute: { attributes[$0] }).statement
    do {
      return try await router.read([statement], requirement, deadline: deadline)
    } catch {
      // It has no such function.
      guard requirement.isOfWarehouse, case .postgres(.server(let refusal)) = error,
        refusal.sqlstate == "42883"
      else { throw error }
      throw .noListThere
    }
  }

  private static func found(_ result: PostgresResult) throws(StorageError) -> Int {
    guard result.rowCount > 0 else { return 0 }
    do throws(PostgresError) {
      return Int(try result.int64(row: 0, column: 7) ?? 0)
    } catch {
      throw .postgres(error)
    }
  }

  private static func checkFirst(_ result: PostgresResult, _ bytesMax: Int) throws(StorageError) {
    guard result.rowCount > 0 else { return }
    let texts = [1, 3, 4].map { result.bytes(row: 0, column: $0)?.byteCount ?? 0 }
    guard texts.reduce(0, +) <= bytesMax else { throw .valueTooLarge }
  }

  /// Decodes rows; attributes that are not known are asked for first.
  private func decoded(
    _ result: PostgresResult,
    _ rows: Range<Int>,
    _ tenant: Int32,
    _ deadline: MonotonicTime
  ) async throws(StorageError) -> [HotEntity] {
    var unknown: Set<UInt32> = []
    let entities = try decoded(result, rows, tenant, &unknown)
    guard !unknown.isEmpty else { return entities }
    try await catalog.learn(
      tenant: tenant,
      entityIDs: [],
      attributeIDs: Array(unknown),
      deadline: deadline
    )
    // Without a type there is no value: what is unknown now does not exist.
    return try decoded(result, rows, tenant, &unknown)
  }

  private func decoded(
    _ result: PostgresResult,
    _ rows: Range<Int>,
    _ tenant: Int32,
    _ unknown: inout Set<UInt32>
  ) throws(StorageError) -> [HotEntity] {
    let attributes = catalog.attributes(of: tenant)
    var entities: [HotEntity] = []
    entities.reserveCapacity(rows.count)
    for row in rows {
      entities.append(try HotEntity(result, row: row, unknown: &unknown) { attributes[$0] })
    }
    return entities
  }
}
