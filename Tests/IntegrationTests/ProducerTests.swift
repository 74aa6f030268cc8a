import Client
import EventLoop
import Foundation
import Testing
import Wire

extension Integration {
  @Suite("producers")
  struct ProducerTests {
    @Test("two producers in one gateway do not mix", arguments: [Durability.durable, .staged])
    func two(durability: Durability) async throws {
      try await Fixture.run { fixture in
        var series = try await fixture.series(2)
        let producers = [await fixture.producer(durability), await fixture.producer(durability)]
        for _ in 0..<20 {
          for index in 0..<2 { try await series[index].send(1, of: 37, through: producers[index]) }
        }
        try await finish(producers)
        try await fixture.expectExact(series)
        for producer in producers {
          let counts = await producer.counts
          #expect(counts == Counts(received: 740, written: 740, duplicate: 0, rejected: 0))
          #expect(await !producer.token.isEmpty)
        }
      }
    }

    @Test("200 producers at once, half of them staged: every count is exact")
    func many() async throws {
      try await Fixture.run { fixture in
        let series = try await fixture.series(200)
        var producers: [Producer] = []
        for index in series.indices {
          producers.append(await fixture.producer(index % 2 == 0 ? .durable : .staged))
        }
        let sent = try await withThrowingTaskGroup(of: (Int, Series).self) { group in
          for (index, producer) in producers.enumerated() {
            let start = series[index]
            group.addTask {
              var series = start
              try await series.send(10, of: 10 + index % 7, through: producer)
              try await producer.finish()
              return (index, series)
            }
          }
          var sent = series
          for try await (index, series) in group { sent[index] = series }
          return sent
        }
        try await fixture.expectExact(sent)
      }
    }

    @Test(
      "what cannot be written is told by the status and to whoever waits, and written later",
      arguments: [Durability.durable, .staged]
    )
    func trouble(durability: Durability) async throws {
      let stack = try #require(Stack.shared)
      try await Fixture.run { fixture in
        let name = fixture.database.name
        var series = try await fixture.series()[0]
        let producer = await fixture.producer(durability)
        try await series.send(1, of: 10, through: producer)
        try await producer.waitUntilDurable(10)
        #expect(try await fixture.client.status().trouble.isEmpty)
        try await stack.sql(
          """
          ALTER DATABASE \(name) SET default_transaction_read_only = on;
          SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '\(name)'
          """
        )
        try await series.send(1, of: 10, through: producer)
        try await eventually("the status tells it") {
          let status = try await fixture.client.status()
          let lag = status.figures.first { $0.name == "ingest.flush_lag" }?.value ?? 0
          return status.trouble.contains("read-only") && lag > 0
        }
        try await eventually("who waits is told") {
          if case .gatewaySlow = await producer.wait { true } else { false }
        }
        try await stack.sql(
          """
          ALTER DATABASE \(name) RESET default_transaction_read_only;
          SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '\(name)'
          """
        )
        try await producer.waitUntilDurable(20)
        try await eventually("the trouble is over") {
          try await fixture.client.status().trouble.isEmpty
        }
        #expect(await producer.wait == nil)
        try await producer.finish()
        try await fixture.expectExact([series])
      }
    }

    @Test("a spool whose positions are of another database is not sent: the client says so")
    func otherDatabase() async throws {
      let folder = FileManager.default.temporaryDirectory
        .appendingPathComponent("sluice-spools-\(UInt32.random(in: 0 ... .max))").path
      defer { try? FileManager.default.removeItem(atPath: folder) }
      let options = SpoolOptions(folder: folder, name: "test")
      try await Fixture.run { fixture in
        var series = try await fixture.series()[0]
        do {
          let spool = try Spool.claim(options).spool
          // Only a client that is gone leaves its spool to the next one.
          let client = try SluiceClient([fixture.gateway.address])
          let producer = await client.producer(ProducerOptions(spool: spool))
          try await producer.send(series.columns(10))
          try await producer.finish()
          try spool.close()
          await client.close()
        }
        let spool = try Spool.claim(options).spool
        #expect(spool.produced == 10)
        try await Fixture.run { other in
          let producer = await other.client.producer(ProducerOptions(spool: spool))
          let error = await #expect(throws: ClientError.self) {
            try await producer.send(series.columns(10))
            try await producer.waitUntilDurable(20)
          }
          guard case .status(let status) = error else { throw HarnessError("no status") }
          #expect(status.reason == "OTHER_DATABASE")
        }
        // Nothing of it is lost: its own database gets it.
        let producer = await fixture.client.producer(ProducerOptions(spool: spool))
        try await producer.waitUntilDurable(20)
        try await producer.finish()
        try await fixture.expectExact([series])
      }
    }

    @Test("a client that starts anew with its identity goes on where it stood")
    func goesOn() async throws {
      try await Fixture.run { fixture in
        var series = try await fixture.series()[0]
        let id = RandomID.bytes()
        for round in 0..<3 {
          let producer = await fixture.producer(id: id)
          try await series.send(2, of: 50, through: producer)
          #expect(await producer.position.produced == UInt64(round + 1) * 100)
          #expect(await producer.epoch == UInt64(round + 1))
          try await producer.finish()
        }
        try await fixture.expectExact([series])
      }
    }

    @Test(
      "of two clients with one identity the older one is fenced, and nothing is doubled",
      arguments: [Durability.durable, .staged]
    )
    func fenced(durability: Durability) async throws {
      try await Fixture.run { fixture in
        var series = try await fixture.series()[0]
        let id = RandomID.bytes()
        let old = await fixture.producer(durability, id: id)
        try await old.send(series.columns(10))
        try await old.waitUntilDurable(10)
        let new = await fixture.producer(durability, id: id)
        try await new.waitUntilOpen()
        #expect(await new.position.durable == 10)
        var stray = series
        let error = await #expect(throws: ClientError.self) {
          try await old.send(stray.columns(5))
          try await old.waitUntilDurable(15)
        }
        guard case .status(let status)? = error else {
          Issue.record("another error: \(String(describing: error))")
          return
        }
        #expect(status.reason == "FENCED")
        #expect(status.metadata == [KeyValue("epoch", "2")])
        try await new.send(series.columns(10))
        try await new.finish()
        try await fixture.expectExact([series])
      }
    }

    @Test(
      "a batch larger than the gateway takes is refused by the client, and its producer goes on"
    )
    func tooLarge() async throws {
      try await Fixture.run { fixture in
        var series = try await fixture.series()[0]
        let producer = await fixture.producer()
        var large = series
        await #expect {
          try await producer.send(large.columns(40_000))
        } throws: { error in
          if case .tooLarge(_, 1 << 20)? = error as? ClientError { true } else { false }
        }
        try await series.send(1, of: 37_000, through: producer)
        try await producer.finish()
        try await fixture.expectExact([series])
      }
    }

    @Test("the connection beyond connections-max is closed at once, and its client is told")
    func connectionsMax() async throws {
      try await Fixture.run(["--workers", "1", "--connections-max", "4"]) { fixture in
        var series = try await fixture.series(4)
        var producers: [Producer] = []
        for _ in 0..<3 { producers.append(await fixture.producer()) }
        for index in 0..<3 { try await series[index].send(1, of: 5, through: producers[index]) }
        let late = await fixture.client.producer(
          ProducerOptions(producerID: RandomID.bytes(), connectWithin: .milliseconds(500))
        )
        let error = await #expect(throws: ClientError.self) { try await late.waitUntilOpen() }
        #expect(error?.isRetryable == true)
        try await producers.removeFirst().finish()
        let next = await fixture.producer()
        try await series[3].send(1, of: 5, through: next)
        try await finish(producers + [next])
        try await fixture.expectExact(series)
      }
    }
  }
}
