import Client
import EventLoop
import Foundation
import Testing
import Wire

extension Integration {
  @Suite("faults of the cache", .needsRedis)
  struct CacheFaultTests {
    /// Writes and reads at every level without pause while `body` runs; each answer is checked.
    private func underLoad(
      _ world: CacheWorld,
      _ body: () async throws -> Void
    ) async throws {
      let flag = Load.Flag()
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { while !flag.raised { try await world.write() } }
        for _ in 0..<4 {
          group.addTask {
            while !flag.raised {
              try await world.read(CacheWorld.eventual(250))
              try await world.read(CacheWorld.eventual(2_000))
              try await world.read(world.atLeastNewest())
              try await world.read(CacheWorld.anyAge, by: .externalKey(world.name))
            }
          }
        }
        do {
          try await body()
        } catch {
          flag.raise()
          throw error
        }
        flag.raise()
        try await group.waitForAll()
      }
      // The load is over: the cache is told of everything, or has begun anew.
      try await world.readUntilNewest()
    }

    /// Waits until the cache has answered again.
    private func hitsAgain(_ world: CacheWorld) async throws {
      let before = try await world.figure("cache.hits")
      try await eventually("the cache answers again", within: .seconds(60)) {
        try await world.figure("cache.hits") > before
      }
    }

    @Test("Redis killed and back: slower, never wrong")
    func killed() async throws {
      try await CacheWorld.run { world in
        try await world.write()
        try await world.readUntilHit()
        try await underLoad(world) {
          try await hitsAgain(world)
          try await world.redis.kill()
          for client in [world.reader, world.fixture.client] {
            try await eventually("its state is told") {
              try await world.state(of: client) == .open
            }
          }
          let gateway = ["--gateway", "\(world.reading.address)"]
          let status = try await Command.run(GatewayProcess.program, ["status"] + gateway)
          #expect(status.output.contains("cache    OPEN"))
          let away = try await world.figure("cache.misses.away")
          try await eventually("reads go on without it") {
            try await world.figure("cache.misses.away") > away + 20
          }
          try await world.redis.restart()
          try await hitsAgain(world)
          // Each worker finds it by itself, when a read asks.
          try await eventually("two workers are connected, twice") {
            let connects = try await world.figure("cache.connects")
            let state = try await world.state()
            return connects >= 4 && state != .open
          }
        }
        #expect(try await world.figure("cache.epochs") > 0)
        let lost = try await world.figure("cache.invalidations_lost", of: world.fixture.client)
        #expect(lost > 0, "there were writes meanwhile")
      }
    }

    @Test("Redis stops answering: the breaker opens, and closes when it is back")
    func silent() async throws {
      try await CacheWorld.run { world in
        try await world.write()
        try await world.readUntilHit()
        try await underLoad(world) {
          try await hitsAgain(world)
          await world.redis.signal(SIGSTOP)
          try await eventually("the breaker opens") { try await world.state() == .open }
          await world.redis.signal(SIGCONT)
          try await eventually("it closes", within: .seconds(60)) {
            try await world.state() == .closed
          }
          try await hitsAgain(world)
        }
        #expect(world.reading.process.errors.contains("the cache's breaker: "))
      }
    }

    @Test("emptied in the middle of everything, it begins anew")
    func flushed() async throws {
      try await CacheWorld.run { world in
        try await world.write()
        try await world.readUntilHit()
        let epochs = try await world.figure("cache.epochs")
        try await underLoad(world) {
          for _ in 0..<3 {
            try await hitsAgain(world)
            try await world.redis.command("flushall")
          }
          try await hitsAgain(world)
        }
        #expect(try await world.figure("cache.epochs") > epochs)
      }
    }

    @Test("taken out of the reads by an operator it answers nothing, and is told all the same")
    func drained() async throws {
      try await CacheWorld.run { world in
        let gateway = ["--gateway", "\(world.reading.address)"]
        try await world.write()
        try await world.readUntilHit()
        let drain = try await Command.run(GatewayProcess.program, ["drain", "cache"] + gateway)
        #expect(drain.status == 0 && drain.output.contains("DRAINED"), "\(drain.errors)")
        for _ in 0..<5 { #expect(try await world.read().freshness.cache == .bypass) }
        // The gateway that is drained writes; the other one reads.
        let value = AttributeValue(attributeID: world.attribute, value: .number(77))
        let request = UpsertEntityRequest(by: .entityID(world.entity), values: [value])
        let other = world.fixture.client
        try await eventually("the other one has it") {
          try await world.read(of: other).freshness.cache == .hit
        }
        _ = try await world.reader.upsertEntity(request)
        try await eventually("it was told") { try await world.read(of: other).number == 77 }
        let restore = try await Command.run(GatewayProcess.program, ["restore", "cache"] + gateway)
        #expect(restore.status == 0)
        try await world.readUntilHit()
      }
    }

    @Test("a gateway starts and serves without its Redis, and finds it later")
    func startsWithout() async throws {
      let redis = try await RedisProcess.start()
      try await redis.kill()
      try await Fixture.run(redis.options) { fixture in
        let check = ["serve", "--check", "--primary-dsn", fixture.database.dsn] + redis.options
        let refused = try await Command.run(GatewayProcess.program, check)
        #expect(refused.status == 69 && refused.errors.contains("redis: it cannot be reached"))
        let entity = try await fixture.client.resolveEntities(["e"])[0]
        let request = GetEntityRequest(by: .entityID(entity), read: CacheWorld.anyAge)
        #expect(try await fixture.client.getEntity(request).freshness?.cache != .hit)
        try await redis.restart()
        try await eventually("it is used") {
          try await fixture.client.getEntity(request).freshness?.cache == .hit
        }
        let accepted = try await Command.run(GatewayProcess.program, check)
        #expect(accepted.status == 0 && accepted.output.contains("redis: Redis "))
      }
      try await redis.kill()
    }

    @Test("gateways that disagree on having a cache say so")
    func mixed() async throws {
      let redis = try await RedisProcess.start()
      try await Fixture.run(redis.options) { fixture in
        let other = try await GatewayProcess.start(fixture.database.dsn)
        for gateway in [fixture.gateway, other] {
          try await eventually("it warns") {
            gateway.process.errors.contains("give all gateways the same setting")
          }
        }
        #expect(try await other.terminate() == 0)
      }
      try await redis.kill()
    }

    @Test("two databases of one cluster do not meet in one Redis")
    func twoDatabases() async throws {
      try await CacheWorld.run { world in
        try await world.write()
        try await world.readUntilHit()
        try await Fixture.run(world.redis.options) { other in
          // The same id, and another entity.
          let entity = try await other.client.resolveEntities(["stranger"])[0]
          #expect(entity == world.entity)
          let request = GetEntityRequest(by: .entityID(entity), read: CacheWorld.anyAge)
          try await eventually("it is kept") {
            let response = try await other.client.getEntity(request)
            #expect(response.entity?.externalKey == "stranger")
            return response.freshness?.cache == .hit
          }
        }
        #expect(try await world.read().number == 1)
      }
    }
  }
}
