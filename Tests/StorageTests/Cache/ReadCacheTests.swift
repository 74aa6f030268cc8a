import EventLoop
import Testing

@testable import Storage

// What readers and writers see of the cache.

private let key = CacheKey("a")

@Suite("Read cache", .needsRedis, .timeLimit(.minutes(15)))
struct ReadCacheTests {
  @Test("what was filled is found by every gateway, with its proof")
  func hit() async throws {
    try await CacheWorld.run(caches: 2) { world in
      let (first, second) = (world.caches[0], world.caches[1])
      let ticket = try await first.lookup(key, required: world.token(100)).ticket()
      #expect(ticket.miss == .absent)
      #expect(ticket.floor == PostgresLSN(value: 100))
      first.fill(ticket, world.entry("one", 120), from: .primary)
      try await world.until("it is stored") { first.statistics.fills == [.stored: 1] }
      for cache in world.caches {
        let entry = try await cache.lookup(key, required: world.token(120)).entry()
        #expect(entry == world.entry("one", 120))
      }
      #expect(second.statistics.hits == 1 && second.statistics.misses.isEmpty)
    }
  }

  @Test("a hit runs no script in Redis")
  func plainHit() async throws {
    try await CacheWorld.run(caches: 0) { world in
      var limits = CacheLimits.patient
      limits.beatInterval = .seconds(60)  // Signs of life are scripts, too.
      let cache = try await world.add(limits: limits)
      let entry = world.entry("one", 120)
      try await cache.put(key, entry, required: world.token(100), on: world.loop)
      let redis = try await RedisConnection.ready(world.server, on: world.loop)
      defer { redis.close() }
      func scriptCalls() async throws -> Substring? {
        let text = try await redis.ask("INFO commandstats").text ?? ""
        return text.split(whereSeparator: \.isNewline).first { $0.contains("evalsha:calls=") }
      }
      let before = try await scriptCalls()
      #expect(try await cache.lookup(key, required: world.token(120)).entry() == entry)
      #expect(try await scriptCalls() == before && before != nil)
    }
  }

  @Test("a row that does not exist is kept as such")
  func negative() async throws {
    try await CacheWorld.run { world in
      let cache = world.caches[0]
      let missing = world.entry(nil, 110)
      try await cache.put(key, missing, required: world.token(100), on: world.loop)
      #expect(try await cache.lookup(key, required: world.token(110)).entry() == missing)
    }
  }

  @Test("a value proven up to an earlier position is no answer, and is replaced")
  func tooOld() async throws {
    try await CacheWorld.run { world in
      let cache = world.caches[0]
      let loop = world.loop
      try await cache.put(key, world.entry("old", 110), required: world.token(100), on: loop)
      let ticket = try await cache.lookup(key, required: world.token(111)).ticket()
      #expect(ticket.miss == .tooOld)
      cache.fill(ticket, world.entry("new", 130), from: .primary)
      try await world.until("it is stored") { cache.statistics.fills[.stored] == 2 }
      let entry = try await cache.lookup(key, required: world.token(100)).entry()
      #expect(entry == world.entry("new", 130))
    }
  }

  @Test("an invalidation drops the value and raises the floor for replicas")
  func floor() async throws {
    try await CacheWorld.run(caches: 2) { world in
      let (cache, writer) = (world.caches[0], world.caches[1])
      let loop = world.loop
      try await cache.put(key, world.entry("old", 110), required: world.token(100), on: loop)
      await writer.invalidate([key], world.token(150))
      #expect(writer.statistics.invalidations == 1)
      let lagging = try await cache.lookup(key, required: world.token(100)).ticket()
      #expect(lagging.miss == .absent)
      #expect(lagging.floor == PostgresLSN(value: 150))
      cache.fill(lagging, world.entry("old", 149), from: .replica)
      try await world.until("it is refused") { cache.statistics.fills[.belowFloor] == 1 }
      let caughtUp = try await cache.lookup(key, required: world.token(100)).ticket()
      cache.fill(caughtUp, world.entry("new", 150), from: .replica)
      try await world.until("it is stored") { cache.statistics.fills[.stored] == 2 }
    }
  }

  @Test("a key that was never cached has the high-water mark of all keys as its floor")
  func highWaterMark() async throws {
    try await CacheWorld.run { world in
      let cache = world.caches[0]
      await cache.invalidate([CacheKey("b")], world.token(170))
      await cache.invalidate([CacheKey("c")], world.token(160))
      let ticket = try await cache.lookup(key, required: world.token(100)).ticket()
      #expect(ticket.floor == PostgresLSN(value: 170))
      cache.abandon(ticket)
    }
  }

  @Test("an invalidation takes the lease of a reader that is under way")
  func leaseLost() async throws {
    try await CacheWorld.run { world in
      let cache = world.caches[0]
      let ticket = try await cache.lookup(key, required: world.token(100)).ticket()
      await cache.invalidate([key], world.token(150))
      // Read on the primary before the commit.
      cache.fill(ticket, world.entry("old", 149), from: .primary)
      try await world.until("it is refused") { cache.statistics.fills[.leaseLost] == 1 }
      let next = try await cache.lookup(key, required: world.token(100)).ticket()
      #expect(next.miss == .absent)
      cache.abandon(next)
    }
  }

  @Test("an invalidation that comes late leaves what already holds its write")
  func lateInvalidation() async throws {
    try await CacheWorld.run { world in
      let cache = world.caches[0]
      let loop = world.loop
      try await cache.put(key, world.entry("new", 150), required: world.token(100), on: loop)
      await cache.invalidate([key], world.token(150))
      #expect(try await cache.lookup(key, required: world.token(150)).entry().asOf.lsn.value == 150)
      await cache.invalidate([key], world.token(151))
      cache.abandon(try await cache.lookup(key, required: world.token(100)).ticket())
    }
  }

  @Test("while another gateway reads, one waits for its value, or reads without filling")
  func wait() async throws {
    try await CacheWorld.run(caches: 2) { world in
      let (first, second) = (world.caches[0], world.caches[1])
      let held = try await first.lookup(key, required: world.token(100)).ticket()
      let waited = try await second.lookup(key, required: world.token(100)).ticket()
      #expect(waited.miss == .leaseHeld)
      #expect(!waited.isLease && waited.floor == nil)
      second.fill(waited, world.entry("mine", 110), from: .primary)
      #expect(second.statistics.fills.isEmpty, "nothing is kept without a lease")
      first.fill(held, world.entry("one", 110), from: .primary)
      let found = try await second.lookup(key, required: world.token(100)).entry()
      #expect(found == world.entry("one", 110))
    }
  }

  @Test("a lease that was given back is had by the next reader at once")
  func givenBack() async throws {
    try await CacheWorld.run(caches: 2) { world in
      let (first, second) = (world.caches[0], world.caches[1])
      first.abandon(try await first.lookup(key, required: world.token(100)).ticket())
      // Dropped without a word.
      _ = try await second.lookup(key, required: world.token(100)).ticket()
      #expect(second.statistics.fills == [.abandoned: 1])
      let last = try await first.lookup(key, required: world.token(100)).ticket()
      #expect(last.isLease)
      first.abandon(last)
    }
  }

  @Test("of many readers in a worker one reads, and all have its value")
  func singleFlight() async throws {
    try await CacheWorld.run { world in
      let cache = world.caches[0]
      let results = LookupResults()
      let ticket = try await cache.lookup(key, required: world.token(100)).ticket()
      for _ in 0..<20 { results.start(cache, world.token(100)) }
      #expect(results.entries.isEmpty && results.misses.isEmpty)
      cache.fill(ticket, world.entry("one", 110), from: .primary)
      try await world.until("all have it") { results.entries.count == 20 }
      #expect(results.entries.allSatisfy { $0 == world.entry("one", 110) })
      #expect(cache.statistics.sharedHits == 20)
    }
  }

  @Test("a reader for whom the value is not fresh enough reads itself, and one that fails leads on")
  func followers() async throws {
    try await CacheWorld.run { world in
      let cache = world.caches[0]
      let results = LookupResults()
      let ticket = try await cache.lookup(key, required: world.token(100)).ticket()
      results.start(cache, world.token(150))
      cache.fill(ticket, world.entry("one", 110), from: .primary)
      try await world.until("it has a ticket") { results.misses == [.tooOld] }
      results.start(cache, world.token(100))
      results.forgetTickets()
      try await world.until("the next one asks Redis") { results.entries.count == 1 }
    }
  }

  @Test("a reader does not wait for ever for another one of its worker")
  func slowLeader() async throws {
    try await CacheWorld.run { world in
      var limits = CacheLimits.patient
      limits.followTimeout = .milliseconds(20)
      let cache = try await world.add(limits: limits)
      let slow = try await cache.lookup(key, required: world.token(100)).ticket()
      let other = try await cache.lookup(key, required: world.token(100)).ticket()
      #expect(other.miss == .waitTimeout && !other.isLease)
      cache.abandon(other)
      cache.fill(slow, world.entry("one", 110), from: .primary)
      #expect(try await cache.lookup(key, required: world.token(100)).entry().asOf.lsn.value == 110)
    }
  }

  @Test(
    "values that are too large or of another timeline are not kept, and the lease is given back"
  )
  func refused() async throws {
    try await CacheWorld.run { world in
      let cache = world.caches[0]
      let loop = world.loop
      let large = String(repeating: "x", count: CacheLimits().valueBytesMax + 1)
      try await cache.put(key, world.entry(large, 110), required: world.token(100), on: loop)
      #expect(cache.statistics.fills == [.tooLarge: 1])
      let required = world.token(100)
      world.promote()
      try await cache.put(key, world.entry("new", 110), required: required, on: loop)
      #expect(cache.statistics.fills == [.tooLarge: 1, .otherHistory: 1])
      let ticket = try await cache.lookup(key, required: required).ticket()
      #expect(ticket.isLease)
      cache.abandon(ticket)
    }
  }

  @Test("lookups that come in one turn go together")
  func batches() async throws {
    try await CacheWorld.run { world in
      let cache = world.caches[0]
      let probe = try await RedisConnection.ready(world.server, on: world.loop)
      defer { probe.close() }
      _ = try await probe.ask("CONFIG RESETSTAT")
      let results = LookupResults()
      for index in 0..<100 {
        results.start(cache, world.token(100), key: CacheKey("k\(index)"))
      }
      try await world.until("all are answered") { results.misses.count == 100 }
      #expect(results.tickets.allSatisfy { $0.isLease })
      let info = try #require(try await probe.ask("INFO commandstats").text)
      // 64, half of the rest beside them, and what is left; beats are calls of scripts, too, but
      // only they write to a sorted set.
      let calls = count("evalsha", info) - count("zadd", info)
      #expect(calls == 3, "\(info)")
    }
  }

  private func count(_ command: String, _ info: String) -> Int {
    let line = info.split(whereSeparator: \.isNewline).first {
      $0.hasPrefix("cmdstat_\(command):calls=")
    }
    return line.flatMap { Int($0.drop { $0 != "=" }.dropFirst().prefix { $0 != "," }) } ?? 0
  }
}

/// What lookups brought that were called back; lives on the loop.
final class LookupResults {
  private(set) var entries: [CacheEntry] = []
  private(set) var misses: [CacheMiss] = []
  private(set) var tickets: [CacheTicket] = []

  /// Looks a key up: when this returns it has been asked for.
  func start(_ cache: ReadCache, _ required: FreshnessToken, key: CacheKey = key) {
    cache.lookup(key, required: required) { [self] found in
      switch found {
      case .hit(let entry): entries.append(entry)
      case .miss(let ticket):
        misses.append(ticket.miss)
        tickets.append(ticket)
      }
    }
  }

  /// Drops the tickets without a word.
  func forgetTickets() { tickets.removeAll() }
}
