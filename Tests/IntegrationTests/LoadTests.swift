import Client
import EventLoop
import Foundation
import Testing
import Wire

extension Integration {
  @Suite("under load")
  struct LoadTests {
    @Test(
      "a blocked writer holds its producers back: memory is bounded and nothing is lost",
      arguments: [Durability.durable, .staged]
    )
    func backPressure(durability: Durability) async throws {
      try await Fixture.run(["--ingest-memory", "32MiB"]) { fixture in
        let series = try await fixture.series(50)
        var producers: [Producer] = []
        for _ in series {
          producers.append(await fixture.producer(durability, windowBytesMax: 1 << 20))
        }
        for producer in producers { try await producer.waitUntilOpen() }
        let before = fixture.gateway.residentBytes
        var load: Load?
        var most = 0
        try await fixture.database.holding("LOCK TABLE sluice.entity_values IN SHARE MODE") {
          load = Load(producers, series, batchOf: 500)
          // Time itself is what is tested: so long must the gateway bear it.
          for _ in 0..<40 {
            most = max(most, fixture.gateway.residentBytes)
            try await Task.sleep(for: .milliseconds(100))
          }
        }
        #expect(before > 0)
        // A sanitizer keeps books on memory that are several times as large as the memory.
        let isSanitized = ProcessInfo.processInfo.environment["SLUICE_TEST_SANITIZER"] != nil
        let limit = (isSanitized ? 512 : 64) << 20
        #expect(most - before < limit, "grew from \(before) to \(most) bytes")
        let sent = try await load?.stop() ?? []
        try await finish(producers)
        try await fixture.expectExact(sent)
      }
    }

    @Test("partitions made while values come in take them, and the default one stays empty")
    func partitions() async throws {
      try await Fixture.run { fixture in
        let series = try await fixture.series(4)
        var producers: [Producer] = []
        for index in series.indices {
          producers.append(await fixture.producer(index % 2 == 0 ? .durable : .staged))
        }
        let load = Load(producers, series, batchOf: 50)
        try await fixture.waitForValues(500)
        for (width, ahead) in [("day", 10), ("day", 40), ("week", 20), ("month", 12)] {
          try await fixture.database.sql("SELECT sluice.ensure_partitions('\(width)', \(ahead))")
          let before = try await fixture.database.count("SELECT count(*) FROM sluice.entity_values")
          try await fixture.waitForValues(before + 500)
        }
        let sent = try await load.stop()
        try await finish(producers)
        try await fixture.expectExact(sent)
        #expect(
          try await fixture.database.count("SELECT count(*) FROM sluice.partition_ranges") >= 40
        )
      }
    }
  }
}
