import EventLoop
import Testing

@testable import Storage

// Hot entities through the cache.

@Suite("Cached entities")
struct CachedEntitiesTests {
  private static func row(_ texts: [String], key: String = "Gerät \u{0}7") -> ProjectionRow {
    var row = ProjectionRow(id: .min, externalKey: key, version: .max, entries: [])
    for (index, text) in texts.enumerated() {
      row.entries.append(
        ProjectionRow.Entry(
          id: UInt32.max - UInt32(index),
          value: Array(text.utf8)[...],
          observedAt: -Int64(index)
        )
      )
    }
    return row
  }

  @Test(
    "a row comes back as it was",
    arguments: [[], [""], ["1", "\"NaN\"", "true", "{\"a\": [1, \"ü\"]}"]] as [[String]]
  )
  func roundTrip(texts: [String]) throws {
    let row = CachedEntitiesTests.row(texts)
    let copy = try #require(ProjectionRow(cached: row.cached))
    #expect(copy.id == row.id && copy.version == row.version)
    #expect(copy.externalKey == row.externalKey)
    #expect(copy.entries.map(\.id) == row.entries.map(\.id))
    #expect(copy.entries.map(\.observedAt) == row.entries.map(\.observedAt))
    #expect(copy.entries.map { Array($0.value) } == texts.map { Array($0.utf8) })
  }

  @Test("no part of a row is taken for a whole one, and no other layout either")
  func damaged() {
    let bytes = CachedEntitiesTests.row(["12", "34"]).cached
    for count in 0..<bytes.count {
      let isWhole = ProjectionRow(cached: Array(bytes.prefix(count))) != nil
      #expect(!isWhole, "\(count) of \(bytes.count)")
    }
    #expect(ProjectionRow(cached: bytes + [0]) == nil)
    #expect(ProjectionRow(cached: [2] + bytes.dropFirst()) == nil)
    #expect(ProjectionRow(cached: bytes) != nil)
  }

  @Test("keys tell tenants and entities apart")
  func keys() {
    let keys = [(1, 23), (12, 3), (1, -23), (-1, 23)].map {
      CachedEntities.key(tenant: $0.0, entityID: $0.1)
    }
    #expect(Set(keys).count == keys.count)
  }

  @Test("a read fills the cache, the next one finds it, a write drops it", .needsRedis)
  func reads() async throws {
    try await CacheWorld.run { world in
      let cache = world.caches[0]
      let entities = CachedEntities(cache: cache)
      var reads = 0
      func read(
        _ row: ProjectionRow?,
        _ asOf: UInt64,
        _ required: UInt64
      ) async throws -> CachedEntities.Answer {
        try await entities.row(tenant: 1, entityID: 2, required: world.token(required)) {
          (_) throws(StorageError) in
          reads += 1
          return CachedEntities.Source(row: row, asOf: world.token(asOf), source: .primary)
        }
      }
      let old = CachedEntitiesTests.row(["1"])
      let first = try await read(old, 110, 100)
      #expect(first.miss == .absent && first.row?.cached == old.cached && reads == 1)
      try await world.until("it is stored") { cache.statistics.fills == [.stored: 1] }
      let second = try await read(nil, 0, 110)
      #expect(second.miss == nil && second.asOf == world.token(110) && reads == 1)
      #expect(second.row?.cached == old.cached)
      await entities.invalidate([2], of: 1, world.token(150))
      let gone = try await read(nil, 160, 100)
      #expect(gone.row == nil && gone.miss == .absent && reads == 2)
      try await world.until("it is stored") { cache.statistics.fills == [.stored: 2] }
      let absent = try await read(old, 0, 160)
      #expect(absent.row == nil && absent.miss == nil && reads == 2)
    }
  }

  @Test("a read that fails gives its lease back and fails", .needsRedis)
  func fails() async throws {
    try await CacheWorld.run { world in
      let cache = world.caches[0]
      let entities = CachedEntities(cache: cache)
      for _ in 0..<2 {
        await #expect(throws: StorageError.notPrimary) {
          try await entities.row(tenant: 1, entityID: 2, required: world.token(100)) {
            (floor) throws(StorageError) in
            #expect(floor == PostgresLSN(value: 100), "there is a lease each time")
            throw .notPrimary
          }
        }
      }
      #expect(cache.statistics.fills == [.abandoned: 2])
    }
  }

  @Test("a value of another layout is read anew", .needsRedis)
  func otherLayout() async throws {
    try await CacheWorld.run { world in
      let cache = world.caches[0]
      try await cache.put(
        CachedEntities.key(tenant: 1, entityID: 2),
        world.entry("what is this", 110),
        required: world.token(100),
        on: world.loop
      )
      let row = CachedEntitiesTests.row(["1"])
      let answer = try await CachedEntities(cache: cache).row(
        tenant: 1,
        entityID: 2,
        required: world.token(100)
      ) { (floor) throws(StorageError) in
        #expect(floor == nil)
        return CachedEntities.Source(row: row, asOf: world.token(120), source: .primary)
      }
      #expect(answer.row?.cached == row.cached && answer.miss != nil)
    }
  }
}
