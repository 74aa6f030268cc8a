import Client
import EventLoop
import Foundation
import Testing
import Wire

extension Integration {
  @Suite("the cache", .needsRedis)
  struct CacheTests {
    @Test("EVENTUAL and AT_LEAST are answered by the cache, nothing else is")
    func levels() async throws {
      try await CacheWorld.run { world in
        try await world.write()
        try await world.readUntilHit()
        try await world.readUntilHit(by: .externalKey(world.name))
        try await world.readUntilHit(CacheWorld.eventual(3_000))
        let newest = await world.atLeastNewest()
        try await world.readUntilHit(newest)
        // The token of an answer is one that its own entry satisfies.
        try await eventually("an answer's token is answered by the cache") {
          let answer = try await world.read(CacheWorld.eventual(3_000))
          let token = answer.freshness.asOfToken
          let again = try await world.read(ReadOptions(level: .atLeast, token: token))
          return answer.freshness.cache == .miss && again.freshness.cache == .hit
        }
        let queries = try await world.figure("reads.point_queries")
        for _ in 0..<20 { try await world.readUntilHit(newest) }
        #expect(try await world.figure("reads.point_queries") == queries, "PostgreSQL is not asked")
        for options in [
          ReadOptions(level: .strong), ReadOptions(level: .eventual, includeStaged: true),
        ] {
          let seen = try await world.read(options)
          #expect(seen.freshness.cache == .bypass && seen.freshness.source == .primary)
        }
        #expect(try await world.figure("cache.hit_rate") > 0)
        #expect(try await world.state() == .closed)
      }
    }

    @Test("a write through one gateway reaches readers of what another one keeps")
    func twoGateways() async throws {
      try await CacheWorld.run { world in
        for turn in 0..<10 {
          try await world.write()
          // A token is obeyed at once, and brings the new value into the cache; without one only
          // the writer's word helps.
          if turn.isMultiple(of: 2) { try await world.read(world.atLeastNewest()) }
          try await world.readUntilNewest()
          try await world.readUntilHit()
        }
        let told = try await world.figure("cache.invalidations", of: world.fixture.client)
        #expect(told > 0)
      }
    }

    @Test("ingest drops what it changes", arguments: [Durability.durable, .staged])
    func ingest(durability: Durability) async throws {
      try await CacheWorld.run { world in
        let producer = await world.fixture.producer(durability)
        for _ in 0..<5 {
          try await world.write(through: producer)
          try await world.readUntilNewest()
          try await world.readUntilHit()
        }
        try await producer.finish()
      }
    }

    @Test("many entities come from the cache, as old as the oldest of them")
    func batch() async throws {
      try await CacheWorld.run { world in
        try await world.write()
        let request = BatchGetEntitiesRequest(
          entities: [
            EntityName(.entityID(world.entity)), EntityName(.externalKey("nobody")),
            EntityName(.entityID(world.entity)), EntityName(.externalKey(world.name)),
          ],
          read: CacheWorld.anyAge
        )
        try await eventually("all of them are kept") {
          let response = try await world.reader.batchGetEntities(request)
          #expect(response.entities.map(\.entityID) == [world.entity, world.entity, world.entity])
          #expect(response.missing == [1] && response.answered == 4)
          return response.freshness?.cache == .hit && response.freshness?.source == .cache
        }
        // One more, which is not there yet: the rest is read, and the proof is that of the oldest.
        var more = request
        let other = try await world.fixture.client.resolveEntities(["other"])
        more.entities.append(EntityName(.entityID(other[0])))
        let response = try await world.reader.batchGetEntities(more)
        #expect(response.entities.last?.entityID == other[0])
        #expect(response.freshness?.cache == .miss && response.freshness?.source == .primary)
        #expect((response.freshness?.stalenessBoundMilliseconds ?? 0) > 0)
        more.read = ReadOptions(level: .strong)
        let strong = try await world.reader.batchGetEntities(more)
        #expect(strong.freshness?.cache == .bypass)
      }
    }

    @Test("that something does not exist is kept until it is made, under both its names")
    func negative() async throws {
      try await CacheWorld.run { world in
        func isThere(_ key: GetEntityRequest.Key) async throws -> Bool {
          do {
            let request = GetEntityRequest(by: key, read: CacheWorld.anyAge)
            _ = try await world.reader.getEntity(request)
            return true
          } catch ClientError.status(let status) where status.reason == "ENTITY_NOT_FOUND" {
            return false
          }
        }
        func hits() async throws -> Double { try await world.figure("cache.hits") }
        let keys: [GetEntityRequest.Key] = [.externalKey("new"), .entityID(world.entity + 1)]
        for key in keys {
          try await eventually("its absence is kept") {
            let before = try await hits()
            #expect(try await !isThere(key))
            return try await hits() > before
          }
        }
        let made = try await world.fixture.client.resolveEntities(["new"])
        #expect(made == [world.entity + 1])
        for key in keys {
          try await eventually("everybody sees that it is there") { try await isThere(key) }
        }
        // The same for an upsert that makes its entity.
        #expect(try await !isThere(.externalKey("newer")))
        let value = AttributeValue(attributeID: world.attribute, value: .number(1))
        let request = UpsertEntityRequest(by: .externalKey("newer"), values: [value])
        _ = try await world.fixture.client.upsertEntity(request)
        try await eventually("it is there") { try await isThere(.externalKey("newer")) }
      }
    }

    @Test("a monotonic client passes the cache by, and never goes back")
    func monotonic() async throws {
      try await CacheWorld.run { world in
        let monotonic = try SluiceClient([world.reading.address], isMonotonic: true)
        try await world.write()
        try await world.readUntilHit()
        #expect(try await world.read(of: monotonic).freshness.cache == .bypass)
        var last = 0
        for _ in 0..<30 {
          try await world.write()
          let seen = try await world.read(of: monotonic)
          #expect(seen.freshness.cache == .bypass)
          #expect(seen.number >= last)
          last = seen.number
        }
        await monotonic.close()
      }
    }
  }
}
