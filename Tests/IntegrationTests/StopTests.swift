import EventLoop
import Foundation
import Testing
import Wire

@testable import Client

extension Integration {
  @Suite("starting and stopping")
  struct StopTests {
    @Test(
      "SIGTERM under load: exit code 0 within the grace time, and what was acknowledged is there",
      arguments: [Durability.durable, .staged]
    )
    func drain(durability: Durability) async throws {
      try await Fixture.run(["--drain-grace", "10s"]) { fixture in
        let second = try await GatewayProcess.start(fixture.database.dsn)
        let client = try await fixture.connect(fixture.gateway.address, second.address)
        let series = try await fixture.series(8)
        var producers: [Producer] = []
        for _ in series { producers.append(await fixture.producer(durability, of: client)) }
        let load = Load(producers, series, batchOf: 50)
        try await fixture.waitForValues(2_000)
        let clock = ContinuousClock()
        let start = clock.now
        #expect(try await fixture.gateway.terminate(within: .seconds(15)) == 0)
        #expect(clock.now - start < .seconds(9), "the grace time was not needed")
        var acknowledged = 0
        for producer in producers { acknowledged += Int(await producer.position.durable) }
        let stored = try await fixture.database.count("SELECT count(*) FROM sluice.entity_values")
        #expect(stored >= acknowledged)
        try await fixture.waitForValues(stored + 1_000)
        let sent = try await load.stop()
        try await finish(producers)
        for producer in producers { #expect(await producer.reopenings >= 1) }
        try await fixture.expectExact(sent)
        #expect(try await second.terminate() == 0)
      }
    }

    @Test("when the database does not answer, the gateway stops at the end of the grace time")
    func graceIsBounded() async throws {
      try await Fixture.run(["--drain-grace", "1s"]) { fixture in
        var series = try await fixture.series()[0]
        let producer = await fixture.producer()
        try await producer.waitUntilOpen()
        try await fixture.database.holding("LOCK TABLE sluice.entity_values IN SHARE MODE") {
          try await producer.send(series.columns(10))
          try await eventually("the writer waits") {
            try await fixture.database.count(
              "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'"
            ) > 0
          }
          #expect(try await fixture.gateway.terminate(within: .seconds(8)) == 0)
        }
        #expect(await producer.position.durable == 0)
      }
    }

    /// Notes what a health watch says.
    private final class HealthLog: ClientStreamHandler {
      var statuses: [ServingStatus] = []
      var isOver = false

      func received(_ body: RawSpan) {
        if let response = try? HealthCheckResponse(decoding: body, arena: MessageArena()) {
          statuses.append(response.status)
        }
      }

      func ended(_ status: Status?) { isOver = true }
    }

    @Test("whoever watches the health is told NOT_SERVING before the connection closes")
    func health() async throws {
      try await Fixture.run { fixture in
        let address = fixture.gateway.address
        let process = fixture.gateway.process
        let owner = try ClientLoop()
        let statuses = await withTaskExecutorPreference(owner.loop) { () -> [ServingStatus] in
          do {
            let connection = try await GatewayConnection.connect(
              to: address,
              loop: owner.loop,
              within: .seconds(5)
            )
            let log = HealthLog()
            _ = connection.openStream("grpc.health.v1.Health", "Watch", log)
            for _ in 0..<500 where log.statuses.isEmpty {
              await owner.loop.sleep(for: .milliseconds(20))
            }
            process.signal(SIGTERM)
            for _ in 0..<500 where !log.isOver {
              await owner.loop.sleep(for: .milliseconds(20))
            }
            connection.close()
            return log.statuses
          } catch {
            return []
          }
        }
        #expect(statuses == [.serving, .notServing])
        #expect(try await process.wait(within: .seconds(10)) == 0)
      }
    }

    /// Runs `serve` where it cannot serve.
    private func refusal(
      _ arguments: [String]
    ) async throws -> (status: Int32, sentence: String) {
      let result = try await Command.run(GatewayProcess.program, ["serve"] + arguments)
      let lines = result.errors.split(separator: "\n")
      #expect(result.output.isEmpty)
      #expect(lines.count == 1, "one sentence: \(result.errors)")
      return (result.status, result.errors)
    }

    @Test("what cannot be served is refused in one sentence with its exit code")
    func refusals() async throws {
      let stack = try #require(Stack.shared)
      let nowhere = try await refusal([
        "--listen", "127.0.0.1:0", "--primary-dsn", "postgresql://sluice@127.0.0.1:1/sluice",
      ])
      #expect(nowhere.status == 69)
      #expect(nowhere.sentence.contains("primary-dsn"))
      let noDatabase = try await refusal([
        "--listen", "127.0.0.1:0", "--primary-dsn",
        Stack.dsn(stack.primaryDSN, database: "there_is_none"),
      ])
      #expect(noDatabase.status == 69)
      #expect(noDatabase.sentence.contains("database does not exist"))
      let malformed = try await refusal([
        "--listen", "127.0.0.1:0", "--primary-dsn", "postgresql://[",
      ])
      #expect(malformed.status == 78)
      let missing = try await refusal(["--listen", "127.0.0.1:0"])
      #expect(missing.status == 78)
      #expect(missing.sentence.contains("--primary-dsn"))
      let open = try await refusal([
        "--listen", "0.0.0.0:0", "--primary-dsn", stack.primaryDSN,
      ])
      #expect(open.status == 78)
      #expect(open.sentence.contains("--insecure-listen"))
    }

    @Test("a database without the schema is refused with what to do")
    func noSchema() async throws {
      let database = try await Database.create(in: #require(Stack.shared))
      let result = try await Command.run(
        GatewayProcess.program,
        ["serve", "--listen", "127.0.0.1:0", "--primary-dsn", database.dsn]
      )
      try await database.drop()
      #expect(result.status == 69)
      #expect(result.errors.contains("sluice migrate"))
    }

    @Test("an address that another gateway listens on is refused")
    func addressInUse() async throws {
      try await Fixture.run { fixture in
        let (status, sentence) = try await refusal([
          "--listen", "\(fixture.gateway.address)", "--primary-dsn", fixture.database.dsn,
        ])
        #expect(status == 69)
        #expect(sentence.contains("\(fixture.gateway.address)"))
      }
    }

    @Test("two gateways on one database share the work")
    func twoGateways() async throws {
      try await Fixture.run { fixture in
        let second = try await GatewayProcess.start(fixture.database.dsn)
        let client = try await fixture.connect(second.address)
        var series = try await fixture.series(2)
        let producers = [await fixture.producer(), await fixture.producer(.staged, of: client)]
        for index in 0..<2 { try await series[index].send(20, of: 50, through: producers[index]) }
        try await finish(producers)
        try await fixture.expectExact(series)
        #expect(try await second.terminate() == 0)
        #expect(try await fixture.gateway.terminate() == 0)
      }
    }
  }
}
