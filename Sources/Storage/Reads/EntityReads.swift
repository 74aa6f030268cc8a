public import EventLoop

// Reads of entities by name or id: from the cache where that will do, else from a database.

/// Answers GetEntity and BatchGetEntities.
///
/// Confined to its loop's thread.
public final class EntityReads {
  /// Reads of single entities.
  public private(set) var pointReadCount: Int64 = 0
  /// Queries that answered those the cache did not.
  public var pointQueryCount: Int64 { points.queryCount }

  private let points: PointReads
  private let reader: EntityReader
  private let router: ReadRouter
  private let cache: EntityCache?

  /// Reads through a cache, when there is one.
  init(_ router: ReadRouter, _ catalog: Catalog, _ cache: EntityCache?) {
    reader = EntityReader(router: router, catalog: catalog)
    points = PointReads(reader)
    self.router = router
    self.cache = cache
  }

  /// One entity and its newest values.
  ///
  /// - Throws: as `EntityReader.entity`.
  public func entity(
    _ key: EntityReader.Key,
    tenant: Int32,
    _ requirement: ReadRequirement,
    deadline: MonotonicTime
  ) async throws(StorageError) -> (entity: HotEntity, proof: ReadProof) {
    pointReadCount += 1
    guard let cached = cache?.inUse, let required = try router.requiredOfCache(requirement) else {
      return try await points.entity(key, tenant: tenant, requirement, deadline: deadline)
    }
    let (entity, proof) = try await cached.entity(key, tenant: tenant, required: required) {
      (key) throws(StorageError) in
      try await points.find(key, tenant: tenant, requirement, deadline: deadline)
    }
    guard let entity else { throw .entityNotFound(index: 0) }
    return (entity, proof)
  }

  /// Many entities; as of one moment where no cache is in between.
  ///
  /// - Parameters and result: as `EntityReader.entities(named:)`.
  /// - Throws: the same.
  public func entities(
    named keys: [EntityReader.Key],
    bytesMax: Int,
    tenant: Int32,
    _ requirement: ReadRequirement,
    deadline: MonotonicTime
  ) async throws(StorageError) -> (entities: [HotEntity?], proof: ReadProof) {
    func read(
      _ keys: [EntityReader.Key]
    ) async throws(StorageError) -> (entities: [HotEntity?], proof: ReadProof) {
      try await reader.entities(
        named: keys,
        bytesMax: bytesMax,
        tenant: tenant,
        requirement,
        deadline: deadline
      )
    }
    guard let cached = cache?.inUse, let required = try router.requiredOfCache(requirement) else {
      return try await read(keys)
    }
    var batch = CachedBatch(cached, tenant: tenant, required: required)
    return try await batch.entities(keys, bytesMax: bytesMax, read)
  }

  /// A page of a list, which no cache has.
  ///
  /// - Parameters and result: as `EntityReader.entities(_:)`.
  /// - Throws: the same.
  public func entities(
    _ list: EntityList,
    pageToken: [UInt8],
    limit: Int,
    bytesMax: Int,
    _ requirement: ReadRequirement,
    deadline: MonotonicTime
  ) async throws(StorageError) -> (entities: [HotEntity], hasMore: Bool, proof: ReadProof) {
    try await reader.entities(
      list,
      pageToken: pageToken,
      limit: limit,
      bytesMax: bytesMax,
      requirement,
      deadline: deadline
    )
  }
}
