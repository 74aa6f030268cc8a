import EventLoop
import Testing

@testable import Storage

// A Redis, and caches of several gateways on it, on one loop.

/// What the tests of the cache share.
///
/// Not Sendable; lives on its loop.
final class CacheWorld {
  let server: RedisTestServer
  let loop: EventLoop
  private(set) var caches: [ReadCache] = []
  private var timeline: UInt32 = 1

  private init(_ server: RedisTestServer, _ loop: EventLoop) {
    self.server = server
    self.loop = loop
  }

  /// Runs `body` with so many caches that are in the same epoch.
  static func run(
    caches count: Int = 1,
    _ body: @escaping @Sendable (CacheWorld) async throws -> Void
  ) async throws {
    try await withRedis { server, loop in
      let world = CacheWorld(server, loop)
      var failure: (any Error)?
      do {
        for _ in 0..<count { try await world.add() }
        try await body(world)
      } catch {
        failure = error
      }
      server.signal(18)  // SIGCONT, or nobody would say good-bye.
      for cache in world.caches { await cache.end(deadline: soon(.seconds(1))) }
      if let failure { throw failure }
    }
  }

  /// Another cache, ready for use.
  @discardableResult
  func add(
    gate: any CacheGate = OpenCacheGate(),
    limits: CacheLimits = .patient
  ) async throws -> ReadCache {
    let cache = ReadCache(
      server.settings,
      gate: gate,
      limits: limits,
      redisLimits: .patient,
      on: loop,
      log: { _ in }
    )
    caches.append(cache)
    cache.start()
    try await open(cache)
    return cache
  }

  /// Tells a cache the primary's position until it is in an epoch.
  func open(_ cache: ReadCache, at lsn: UInt64 = 100) async throws {
    try await turn(loop, until: "the cache is in an epoch") {
      cache.observe(token(lsn), at: loop.now)
      return cache.epoch != nil
    }
  }

  func token(_ lsn: UInt64) -> FreshnessToken {
    FreshnessToken(systemIdentifier: 5, timeline: timeline, lsn: PostgresLSN(value: lsn))
  }

  /// Another primary: positions have another meaning from now on.
  func promote() { timeline += 1 }

  func entry(_ text: String?, _ lsn: UInt64) -> CacheEntry {
    CacheEntry(value: text.map { Array($0.utf8) }, asOf: token(lsn))
  }

  /// Waits until the counters say so.
  func until(_ what: Comment, _ condition: () -> Bool) async throws {
    try await turn(loop, until: what, condition)
  }
}

extension CacheLimits {
  /// For tests on a busy machine: Redis has all the time it needs.
  static var patient: CacheLimits {
    var limits = CacheLimits()
    limits.lookupTimeout = .seconds(20)
    limits.writeTimeout = .seconds(20)
    limits.invalidationWait = .seconds(20)
    limits.followTimeout = .seconds(20)
    limits.lease = .seconds(60)
    limits.beatInterval = .milliseconds(20)
    limits.missedAfter = .seconds(60)
    return limits
  }
}

extension CacheLookup {
  /// The ticket of a miss.
  func ticket(sourceLocation: SourceLocation = #_sourceLocation) throws -> CacheTicket {
    guard case .miss(let ticket) = self else {
      Issue.record("a miss was expected, not \(self)", sourceLocation: sourceLocation)
      throw CancellationError()
    }
    return ticket
  }

  /// The entry of a hit.
  func entry(sourceLocation: SourceLocation = #_sourceLocation) throws -> CacheEntry {
    switch self {
    case .hit(let entry): return entry
    case .miss(let ticket):
      Issue.record("a hit was expected, not \(ticket.miss)", sourceLocation: sourceLocation)
      throw CancellationError()
    }
  }
}

extension ReadCache {
  /// The same for a task that waits.
  func lookup(_ key: CacheKey, required: FreshnessToken) async -> CacheLookup {
    let cell = WaitCell<Bool>()
    var found: CacheLookup?
    _ = await cell.wait {
      lookup(key, required: required) {
        found = $0
        cell.resume(true)
      }
    }
    guard let found else { preconditionFailure("called back without an answer") }
    return found
  }

  /// A lookup that must miss and is filled.
  func put(
    _ key: CacheKey,
    _ entry: CacheEntry,
    required: FreshnessToken,
    from source: CacheSource = .primary,
    on loop: EventLoop
  ) async throws {
    let ticket = try await lookup(key, required: required).ticket()
    let before = fillCount
    fill(ticket, entry, from: source)
    try await turn(loop, until: "the fill has ended") { fillCount > before }
  }

  private var fillCount: UInt64 { statistics.fills.values.reduce(0, +) }
}
