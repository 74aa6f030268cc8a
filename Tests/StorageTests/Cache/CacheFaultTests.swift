import EventLoop
import Glibc
import Testing

@testable import Storage

// What a cache does when Redis, a gateway or the primary goes away: slower, never wrong.

private let key = CacheKey("a")

@Suite("Cache faults", .needsRedis, .timeLimit(.minutes(15)))
struct CacheFaultTests {
  @Test("without a position of the primary the cache is of no use, and says so at once")
  func noPosition() async throws {
    try await withRedis { server, loop in
      let cache = ReadCache(server.settings, on: loop) { _ in }
      cache.start()
      try await turn(loop, until: "Redis is there") { cache.statistics.connects == 1 }
      let token = FreshnessToken(systemIdentifier: 5, timeline: 1, lsn: PostgresLSN(value: 1))
      let ticket = try await cache.lookup(key, required: token).ticket()
      #expect(ticket.miss == .epochChanged && !ticket.isLease)
      cache.abandon(ticket)
      await cache.end(deadline: soon())
    }
  }

  @Test("a flush is noticed: a new epoch begins above a position that was read after it")
  func flushed() async throws {
    try await CacheWorld.run(caches: 2) { world in
      let (cache, other) = (world.caches[0], world.caches[1])
      let first = try #require(cache.epoch)
      #expect(other.epoch == first)
      let ticket = try await cache.lookup(key, required: world.token(100)).ticket()
      await cache.invalidate([CacheKey("b")], world.token(900))
      let asked = world.loop.now
      try await world.redis("FLUSHALL")
      let miss = try await other.lookup(key, required: world.token(100)).ticket()
      #expect(miss.miss == .epochChanged)
      other.abandon(miss)
      cache.fill(ticket, world.entry("old", 100), from: .primary)
      try await world.until("the fill is refused") { cache.statistics.fills[.epochChanged] == 1 }
      // Asked for before the flush: proves nothing about what Redis has forgotten.
      other.observe(world.token(500), at: asked)
      await pause(.milliseconds(100), on: world.loop)
      other.observe(world.token(500), at: asked)
      await pause(.milliseconds(100), on: world.loop)
      #expect(other.epoch == nil)
      try await world.open(other, at: 901)
      try await world.open(cache, at: 800)
      #expect(other.epoch != first && cache.epoch == other.epoch)
      #expect(other.statistics.epochChanges == 1)
      let next = try await cache.lookup(key, required: world.token(100)).ticket()
      #expect(next.floor == PostgresLSN(value: 901))
      cache.abandon(next)
    }
  }

  @Test("another Redis process is another epoch, even when it has kept its data")
  func restarted() async throws {
    try await CacheWorld.run { world in
      let cache = world.caches[0]
      let first = try #require(cache.epoch)
      try await cache.put(
        key,
        world.entry("one", 110),
        required: world.token(100),
        on: world.loop
      )
      try await world.redis("SAVE")
      world.server.kill()
      try await world.until("the loss is seen") { cache.epoch == nil }
      let away = try await cache.lookup(key, required: world.token(100)).ticket()
      #expect(away.miss == .away)
      cache.abandon(away)
      try world.server.start()
      try await world.open(cache, at: 120)
      #expect(cache.epoch != first)
      let ticket = try await cache.lookup(key, required: world.token(100)).ticket()
      #expect(ticket.miss == .absent && ticket.floor == PostgresLSN(value: 120))
      cache.abandon(ticket)
    }
  }

  @Test("a gateway that ends without a word costs an epoch, one that says good-bye does not")
  func ends() async throws {
    try await CacheWorld.run { world in
      let cache = world.caches[0]
      let first = try #require(cache.epoch)
      let polite = try await world.add()
      #expect(try await world.redis("ZCARD {sluice}:5:1:members") == .integer(2))
      await polite.end(deadline: soon())
      #expect(try await world.redis("ZCARD {sluice}:5:1:members") == .integer(1))
      var limits = CacheLimits.patient
      limits.missedAfter = .milliseconds(100)
      limits.beatInterval = .seconds(60)
      let silent = try await world.add(limits: limits)
      #expect(silent.epoch == first, "a clean end changes nothing")
      try await world.until("it is missed") {
        cache.observe(world.token(200), at: world.loop.now)
        return cache.epoch != nil && cache.epoch != first
      }
    }
  }

  @Test("an invalidation that cannot be sent costs an epoch once Redis is back")
  func lostInvalidation() async throws {
    try await CacheWorld.run(caches: 2) { world in
      let (cache, other) = (world.caches[0], world.caches[1])
      let first = try #require(cache.epoch)
      let gate = ShutGate()
      let cut = try await world.add(gate: gate)
      try await other.put(key, world.entry("old", 110), required: world.token(100), on: world.loop)
      gate.isShut = true
      await cut.invalidate([key], world.token(150))
      #expect(cut.statistics.invalidationsLost == 1 && cut.statistics.invalidations == 0)
      gate.isShut = false
      try await world.until("all are in the next epoch") {
        for cache in world.caches { cache.observe(world.token(160), at: world.loop.now) }
        return world.caches.allSatisfy { $0.epoch != nil && $0.epoch != first }
      }
      let ticket = try await other.lookup(key, required: world.token(100)).ticket()
      #expect(ticket.miss == .absent && ticket.floor == PostgresLSN(value: 160))
      other.abandon(ticket)
    }
  }

  @Test("a Redis that hangs costs a lookup its deadline and an acknowledgement its 20 ms, no more")
  func hangs() async throws {
    try await CacheWorld.run { world in
      var limits = CacheLimits.patient
      limits.lookupTimeout = .milliseconds(20)
      limits.invalidationWait = .milliseconds(20)
      let gate = ShutGate()
      let cache = try await world.add(gate: gate, limits: limits)
      let first = try #require(cache.epoch)
      world.server.signal(SIGSTOP)
      let ticket = try await cache.lookup(key, required: world.token(100)).ticket()
      #expect(ticket.miss == .away && !ticket.isLease)
      cache.fill(ticket, world.entry("one", 110), from: .primary)
      await cache.invalidate([key], world.token(150))
      #expect(cache.statistics.invalidationsLate == 1)
      #expect(gate.failures == 1)
      world.server.signal(SIGCONT)
      // Late is not lost: it arrives, and no epoch is needed.
      try await world.until("it has arrived") { gate.successes > 0 }
      #expect(cache.epoch == first && cache.statistics.invalidationsLost == 0)
      // A slow machine misses the 20 ms again.
      var floor: PostgresLSN?
      let limit = soon()
      while floor == nil, MonotonicTime.now() < limit {
        let next = try await cache.lookup(CacheKey("b"), required: world.token(100)).ticket()
        floor = next.floor
        cache.abandon(next)
        await pause(.milliseconds(5), on: world.loop)
      }
      #expect(floor == PostgresLSN(value: 150))
    }
  }

  @Test("a gate that is shut keeps every lookup from Redis, and is told of every other one")
  func gate() async throws {
    try await CacheWorld.run { world in
      let gate = ShutGate()
      let cache = try await world.add(gate: gate)
      gate.isShut = true
      let ticket = try await cache.lookup(key, required: world.token(100)).ticket()
      #expect(ticket.miss == .away)
      cache.abandon(ticket)
      #expect(gate.successes == 0 && gate.failures == 0)
      gate.isShut = false
      let other = try await cache.lookup(key, required: world.token(100)).ticket()
      // The plain read, then the script for what it misses.
      #expect(other.isLease && gate.successes == 2)
      cache.abandon(other)
    }
  }

  @Test("after a promotion nothing of the old timeline is found, and the old one asks in vain")
  func promoted() async throws {
    try await CacheWorld.run { world in
      let cache = world.caches[0]
      let old = world.token(100)
      try await cache.put(key, world.entry("old", 900), required: old, on: world.loop)
      world.promote()
      try await world.open(cache, at: 100)
      let ticket = try await cache.lookup(key, required: world.token(100)).ticket()
      #expect(ticket.miss == .absent)
      cache.abandon(ticket)
      let stray = try await cache.lookup(key, required: old).ticket()
      #expect(stray.miss == .otherHistory && !stray.isLease)
      cache.abandon(stray)
    }
  }

  @Test("a lease that ran out fills nothing")
  func expired() async throws {
    try await CacheWorld.run { world in
      var limits = CacheLimits.patient
      limits.lease = .milliseconds(10)
      let cache = try await world.add(limits: limits)
      let ticket = try await cache.lookup(key, required: world.token(100)).ticket()
      await pause(.milliseconds(30), on: world.loop)
      cache.fill(ticket, world.entry("one", 110), from: .primary)
      try await world.until("it is refused") { cache.statistics.fills == [.leaseLost: 1] }
    }
  }

  @Test("entries and leases end by themselves, what the epoch rests on does not")
  func lives() async throws {
    try await CacheWorld.run { world in
      let cache = world.caches[0]
      try await cache.put(key, world.entry("a", 110), required: world.token(100), on: world.loop)
      let ticket = try await cache.lookup(CacheKey("b"), required: world.token(100)).ticket()
      await cache.invalidate([key], world.token(150))
      guard case .array(let keys) = try await world.redis("KEYS *") else {
        Issue.record("no keys")
        return
      }
      var endless: [String] = []
      for name in keys.compactMap(\.text)
      where try await world.redis("PTTL \(name)") == .integer(-1) {
        endless.append(name)
      }
      #expect(keys.count == 4, "\(keys.compactMap(\.text))")
      #expect(endless.sorted() == ["{sluice}:5:1:members", "{sluice}:5:1:state"])
      cache.abandon(ticket)
    }
  }
}

/// A gate that can be shut, and counts.
final class ShutGate: CacheGate {
  var isShut = false
  private(set) var successes = 0
  private(set) var failures = 0

  func admit(now: MonotonicTime) -> UInt64? { isShut ? nil : 7 }

  func report(_ call: UInt64, succeeded: Bool, now: MonotonicTime) {
    #expect(call == 7, "the name it was admitted by")
    if succeeded { successes += 1 } else { failures += 1 }
  }
}

extension CacheWorld {
  /// A request to Redis on a connection of its own.
  @discardableResult
  func redis(_ words: String) async throws -> RedisReply {
    let connection = try await RedisConnection.ready(server, on: loop)
    defer { connection.close() }
    return try await connection.ask(words)
  }
}
