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

  /// Reads through a cache, when there is one; `start` runs `runPointReads` in a task of its own.
  init(
    _ router: ReadRouter,
    _ catalog: Catalog,
    _ cache: EntityCache?,
    start: @escaping () -> Void
  ) {
    reader = EntityReader(router: router, catalog: catalog)
    points = PointReads(reader, start: start)
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
    guard requirement.includesStaged else {
      let cell = WaitCell<Result<(entity: HotEntity, proof: ReadProof), StorageError>>()
      return try await cell.wait {
        ask(key, tenant: tenant, requirement, deadline: deadline) { cell.resume($0) }
      }.get()
    }
    pointReadCount += 1
    return try await points.entity(key, tenant: tenant, requirement, deadline: deadline)
  }

  /// Asks for one entity, without what is staged and without a task that waits for it.
  ///
  /// - Parameters:
  ///   - key: its id or its name.
  ///   - tenant: whose.
  ///   - requirement: how fresh.
  ///   - deadline: until when.
  ///   - done: is called once, at once or in a later turn of the loop, with what `entity` would
  ///     have returned or thrown.
  public func ask(
    _ key: EntityReader.Key,
    tenant: Int32,
    _ requirement: ReadRequirement,
    deadline: MonotonicTime,
    _ done: @escaping (Result<(entity: HotEntity, proof: ReadProof), StorageError>) -> Void
  ) {
    pointReadCount += 1
    func read(_ key: EntityReader.Key, _ done: @escaping (CachedEntities.Answer) -> Void) {
      points.ask(key, tenant: tenant, requirement, deadline: deadline, done)
    }
    func tell(_ answer: CachedEntities.Answer) {
      done(Result { () throws(StorageError) in try PointReads.existing(answer.get()) })
    }
    do throws(StorageError) {
      guard let cached = cache?.inUse, let required = try router.requiredOfCache(requirement) else {
        return read(key, tell)
      }
      cached.entity(key, tenant: tenant, required: required, read, tell)
    } catch {
      done(.failure(error))
    }
  }

  /// Runs a query of those that wait for one.
  func runPointReads() async { await points.runNext() }

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
