public import EventLoop

// The cache of one worker with what stands around it: breaker, drain, status.

/// What the cache is told by configuration and database.
public struct CacheSettings: Sendable {
  /// Where it is.
  public var redis: RedisSettings
  /// 16 bytes: databases of one cluster have the same ids and must not meet.
  public var databaseID: [UInt8]

  /// The cache of a database.
  public init(redis: RedisSettings, databaseID: [UInt8]) {
    self.redis = redis
    self.databaseID = databaseID
  }

  /// The cache of the database at the other end of a connection.
  ///
  /// - Throws: `PostgresError`.
  public init(
    redis: RedisSettings,
    on connection: PostgresConnection,
    deadline: MonotonicTime
  ) async throws(PostgresError) {
    let result = try await connection.query(
      "SELECT s.value::uuid FROM sluice.settings s WHERE s.name = 'database_id'",
      [],
      deadline: deadline
    )
    guard result.rowCount == 1, let id = result.binary(row: 0, column: 0) else {
      throw .protocolViolation("a database without its id")
    }
    self.init(redis: redis, databaseID: id)
  }
}

/// Entities in Redis, as far as Redis is there and no operator has taken it out.
///
/// Confined to its loop's thread.
final class EntityCache {
  let entities: CachedEntities
  private let cache: ReadCache
  private let breaker: CacheBreaker
  private let loop: EventLoop
  private var isDrained = false

  /// The name by which operators know it.
  static let name = "cache"

  /// A cache that `router`'s clock tells the primary's position; both live as long as it does.
  init(
    _ settings: CacheSettings,
    _ router: ReadRouter,
    _ catalog: Catalog,
    on loop: EventLoop,
    log: @escaping (String) -> Void
  ) {
    self.loop = loop
    breaker = CacheBreaker(log: log)
    cache = ReadCache(settings.redis, gate: breaker, on: loop, log: log)
    entities = CachedEntities(
      cache,
      databaseID: settings.databaseID,
      attributes: { [unowned catalog] tenant in
        let known = catalog.attributes(of: tenant)
        return { known[$0] }
      },
      proof: { [unowned router] in router.proof(ofCached: $0) }
    )
    router.onSample = { [cache] in cache.observe($0, at: $1) }
    cache.start()
  }

  /// For reads; nil while an operator has taken it out.
  ///
  /// Who writes tells `entities` all the same, so that nothing has to be forgotten when it is taken
  /// back.
  var inUse: CachedEntities? { isDrained ? nil : entities }

  /// Takes it out of the reads, or back.
  func setDrained(_ isDrained: Bool) { self.isDrained = isDrained }

  /// What it did.
  var statistics: CacheStatistics { cache.statistics }

  /// As operators see it; OPEN also while there is no connection, as nothing gets through.
  var status: NodeStatus {
    var status = NodeStatus(EntityCache.name, .cache)
    let statistics = statistics
    status.state = isDrained ? .drained : cache.isConnected ? breaker.state : .open
    status.reads = statistics.hits + statistics.sharedHits
    status.failures = statistics.misses[.away] ?? 0
    return status
  }

  /// Leaves; call it after the last invalidation.
  ///
  /// - Parameter isClean: whether every write has been told; without that a new epoch begins.
  func end(isClean: Bool) async {
    if !isClean { cache.loseInvalidation() }
    await cache.end(deadline: loop.now + .seconds(1))
  }
}
