public import EventLoop

// Everything one worker has between itself and the databases.

/// Who a gateway is, for the database: new with every start.
public struct GatewayIdentity: Sendable {
  /// Names its segments and its beat.
  public let id: ProducerID

  /// An identity nobody else has.
  public init() {
    id = ProducerID(high: .random(in: .min ... .max), low: .random(in: .min ... .max))
  }
}

/// What storage is told by the configuration.
public struct StorageSettings: Sendable {
  /// The primary.
  public var primary: PostgresDSN
  /// Where connections without session state go: a transaction pooler before the primary, or nil
  /// for the primary itself.
  public var pooled: PostgresDSN?
  /// Connections for COPY on each worker.
  public var writers: Int
  /// Replicas and the warehouse.
  public var nodes: [ReadNodeSettings]
  /// Connections for reads on each worker, to each server.
  public var readConnections: Int
  /// What a value may be at most.
  public var valueLimits: ValueLimits
  /// The cache; nil for none.
  public var cache: CacheSettings?
  /// Whose names are read before anybody asks for them.
  public var knownTenants: [Int32]

  /// Settings for every worker alike.
  public init(
    primary: PostgresDSN,
    pooled: PostgresDSN? = nil,
    nodes: [ReadNodeSettings] = [],
    writers: Int,
    readConnections: Int,
    valueLimits: ValueLimits,
    cache: CacheSettings? = nil,
    knownTenants: [Int32] = []
  ) {
    self.primary = primary
    self.pooled = pooled
    self.nodes = nodes
    self.writers = writers
    self.readConnections = readConnections
    self.valueLimits = valueLimits
    self.cache = cache
    self.knownTenants = knownTenants
  }
}

/// A task that storage needs its worker to run.
public enum StorageTask: Sendable, Equatable {
  /// Writes of one durable lane.
  case writer(Int)
  /// Staging.
  case stage
  /// Promotion of what is staged.
  case promote
  /// Keeping the catalog up to date.
  case catalog
  /// Sampling the primary's log.
  case clock
  /// Looking at one of the nodes beside the primary.
  case watch(Int)
  /// Writing upserts.
  case upserts(Int)
  /// One query for point reads that came together: runs when storage asks for it, and ends.
  case pointReads
}

/// The storage of one worker, confined to its loop: lanes, a pool for reads, the catalog.
public final class WorkerStorage {
  /// Connections for reads, openings of sessions and the catalog.
  public let pool: PostgresPool
  /// Names and ids.
  public let catalog: Catalog
  /// Chooses the source of each read.
  public let router: ReadRouter
  /// Reads of entities by name or id.
  public let entities: EntityReads
  /// Writes of callers who wait.
  public let upserts: UpsertLane
  /// Producers and what was rejected of theirs.
  public let producers: ProducerReader
  /// What a value may be at most.
  public let valueLimits: ValueLimits

  private let durable: [DurableLane]
  private let staged: StagedLane
  private let cache: EntityCache?
  private let knownTenants: [Int32]
  private let loop: EventLoop

  /// Storage that connects when it is needed.
  ///
  /// - Parameters:
  ///   - loop: the worker's.
  ///   - gateway: names what this gateway stages.
  ///   - workerIndex: tells the workers' segments apart.
  ///   - settings: the same for all workers.
  ///   - log: takes sentences for operators.
  ///   - start: runs a task, later, beside those that `tasks` names.
  public init(
    loop: EventLoop,
    gateway: GatewayIdentity,
    workerIndex: Int,
    settings: StorageSettings,
    log: @escaping (String) -> Void,
    start: @escaping (StorageTask) -> Void
  ) {
    self.loop = loop
    var limits = PoolLimits()
    limits.connectionsMax = settings.readConnections
    let pooled = settings.pooled ?? settings.primary
    pool = PostgresPool(pooled, role: .pooled("read"), limits: limits, on: loop)
    catalog = Catalog(pool: pool, loop: loop)
    router = ReadRouter(
      primary: pool,
      primaryDSN: settings.primary,
      nodes: settings.nodes,
      connections: settings.readConnections,
      loop: loop,
      log: log
    )
    catalog.replicas = ReplicaNames(router)
    knownTenants = settings.knownTenants
    if let cached = settings.cache {
      cache = EntityCache(cached, router, catalog, on: loop, log: log)
    } else {
      cache = nil
    }
    entities = EntityReads(router, catalog, cache) { start(.pointReads) }
    upserts = UpsertLane(pooled, loop: loop)
    producers = ProducerReader(pool: pool)
    valueLimits = settings.valueLimits
    durable = (0..<settings.writers).map { index in
      DurableLane(settings.primary, role: "write", loop: loop, log: log)
    }
    staged = StagedLane(
      settings.primary,
      gateway: gateway,
      workerIndex: workerIndex,
      loop: loop,
      log: log
    )
    for lane in durable { lane.cached = cache?.entities }
    staged.cached = cache?.entities
    upserts.cached = cache?.entities
    catalog.cached = cache?.entities
    pool.start()
  }

  // MARK: Tasks

  /// What the worker must run, each in a task of its own.
  public var tasks: [StorageTask] {
    durable.indices.map { .writer($0) } + [.stage, .promote, .catalog, .clock]
      + (0..<router.nodeCount).map { .watch($0) }
      + (0..<UpsertLane.writerCount).map { .upserts($0) }
  }

  /// Runs a task; those of `tasks` until storage is shut down.
  public func run(_ task: StorageTask) async {
    switch task {
    case .writer(let index): await durable[index].run()
    case .stage: await staged.run()
    case .promote: await staged.runPromotion()
    case .catalog: await catalog.run(knowing: knownTenants)
    case .clock: await router.runClock()
    case .watch(let index): await router.runWatch(index)
    case .upserts: await upserts.run()
    case .pointReads: await entities.runPointReads()
    }
  }

  /// Whether every accepted batch and upsert has its ending.
  public var isIdle: Bool {
    staged.isIdle && durable.allSatisfy(\.isIdle) && upserts.isIdle
  }

  /// Ends every task; what is not written yet is abandoned, for its producers still hold it.
  public func shutDown() async {
    let isClean = isIdle
    for lane in durable { lane.shutDown(abandoning: !lane.isIdle) }
    staged.shutDown(abandoning: !staged.isIdle)
    catalog.shutDown()
    await upserts.shutDown()
    await router.shutDown()
    await cache?.end(isClean: isClean)
    await pool.shutdown(deadline: loop.now + .seconds(2))
  }

  // MARK: Operators

  /// The primary, the nodes beside it and the cache.
  public var nodes: [NodeStatus] { router.status + (cache.map { [$0.status] } ?? []) }

  /// What the cache did; nothing without one.
  public var cacheStatistics: CacheStatistics { cache?.statistics ?? CacheStatistics() }

  /// Takes a node or the cache out of the reads, or back in; false when there is none of that name.
  public func setDrained(_ isDrained: Bool, node name: String) -> Bool {
    guard name == EntityCache.name, let cache else {
      return router.setDrained(isDrained, node: name)
    }
    cache.setDrained(isDrained)
    return true
  }

  // MARK: Ingest

  /// The lane of a producer: always the same, so that its batches stay in order.
  public func lane(isStaged: Bool, producer: ProducerID) -> any Lane {
    isStaged ? staged : durable[Int(producer.low % UInt64(durable.count))]
  }

  /// Opens producers' sessions.
  public var opener: ProducerOpener { ProducerOpener(pool: pool, loop: loop) }

  /// Is told of every new incarnation of the staging area, before anything is staged in it: what
  /// was staged in an earlier one is in memory only.
  public var stagingIncarnationChanged: ((UInt64) -> Void)? {
    get { staged.incarnationChanged }
    set { staged.incarnationChanged = newValue }
  }

  /// What all lanes have done.
  public var laneStatistics: LaneStatistics {
    var sum = staged.statistics
    for lane in durable { sum.add(lane.statistics) }
    return sum
  }
}
