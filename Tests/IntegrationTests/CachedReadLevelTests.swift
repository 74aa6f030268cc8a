import Client
import EventLoop
import Testing
import Wire

extension Integration.ReadLevelTests {
  @Test("a cache over replicas keeps every promise, though nobody tells it of writes", .needsRedis)
  func cached() async throws {
    let redis = try await RedisProcess.start()
    // Its own gateway has no cache, and writes: positions alone protect the readers of the other.
    try await ReadWorld.run { world in
      let gateway = try await GatewayProcess.start(
        world.stack.dsn(.primary),
        options: world.stack.options + redis.options
      )
      let client = try SluiceClient([gateway.address])
      do {
        try await world.stack.pauseReplay(.replica1)
        var hits: [String: Int] = [:]
        for _ in 0..<40 {
          let written = try await world.write()
          for options in [
            ReadWorld.eventual(250), ReadWorld.eventual(1_000), ReadWorld.eventual(3_600_000),
            ReadWorld.atLeast(written.token), ReadOptions(level: .strong),
          ] {
            let seen = try await world.read(options, of: client)
            if options.level != .eventual { #expect(seen.number >= written.number) }
            if seen.freshness.cache == .hit { hits["\(options.level)", default: 0] += 1 }
          }
        }
        // The last token is held by what is kept after it.
        let written = try await world.write()
        try await eventually("a token is answered by the cache") {
          let seen = try await world.read(ReadWorld.atLeast(written.token), of: client)
          #expect(seen.number == written.number)
          return seen.freshness.cache == .hit
        }
        #expect(hits["eventual", default: 0] > 0 && hits["strong"] == nil, "\(hits)")
      } catch {
        await client.close()
        throw HarnessError("\(error); the log: \(gateway.process.errors)")
      }
      await client.close()
      #expect(try await gateway.terminate() == 0)
      try await world.stack.resumeReplay(.replica1)
      try await world.waitForAll()
    }
    try await redis.kill()
  }
}
