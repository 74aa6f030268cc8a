import Client
import EventLoop
import Testing
import Wire

extension Integration {
  @Suite("the staged lane")
  struct StagedTests {
    /// Holds up promotion and lets staging go on.
    private let noPromotion = "LOCK TABLE sluice.entity_values IN SHARE MODE"

    @Test("the staged ack comes before the durable one")
    func ackOrder() async throws {
      try await Fixture.run { fixture in
        var series = try await fixture.series()[0]
        let producer = await fixture.producer(.staged)
        try await producer.waitUntilOpen()
        try await fixture.database.holding(noPromotion) {
          let range = try await producer.send(series.columns(100))
          try await producer.waitUntilStaged(range.upperBound)
          let position = await producer.position
          #expect([position.produced, position.staged, position.durable] == [100, 100, 0])
          let staged = "SELECT count(*) FROM sluice.entity_values_ingest"
          #expect(try await fixture.database.count(staged) == 100)
          #expect(
            try await fixture.database.count("SELECT count(*) FROM sluice.entity_values") == 0
          )
        }
        try await producer.waitUntilDurable(100)
        try await producer.finish()
        try await fixture.expectExact([series])
        let staged = "SELECT count(*) FROM sluice.entity_values_ingest"
        #expect(try await fixture.database.count(staged) == 0)
      }
    }

    @Test("segments are emptied when nothing is to be staged")
    func truncated() async throws {
      try await Fixture.run { fixture in
        var series = try await fixture.series()[0]
        let producer = await fixture.producer(.staged)
        try await series.send(20, of: 500, through: producer)
        try await producer.finish()
        try await eventually("the segments are empty") {
          try await fixture.database.count("SELECT count(*) FROM sluice.staged_rows") == 0
        }
        #expect(try await fixture.database.count("SELECT count(*) FROM sluice.staged_batches") == 0)
        try await fixture.expectExact([series])
      }
    }

    @Test("trouble with an idle staging area is over when it works again")
    func troubleEnds() async throws {
      try await Fixture.run { fixture in
        var series = try await fixture.series()[0]
        let producer = await fixture.producer(.staged)
        try await series.send(1, of: 50, through: producer)
        try await producer.finish()
        let function = "ALTER FUNCTION sluice.staging_incarnation"
        _ = try await fixture.database.sql("\(function)() RENAME TO staging_away")
        try await eventually("the trouble is told") {
          try await fixture.client.status().trouble.contains("looking after staging")
        }
        _ = try await fixture.database.sql(
          "ALTER FUNCTION sluice.staging_away() RENAME TO staging_incarnation"
        )
        try await eventually("the trouble is over") {
          try await fixture.client.status().trouble.isEmpty
        }
      }
    }

    @Test(
      "whether staging is still there is looked up when nothing is to be staged, not in between"
    )
    func lookedAfter() async throws {
      try await Fixture.run { fixture in
        _ = try await fixture.database.sql(
          """
          ALTER FUNCTION sluice.staging_incarnation() RENAME TO true_incarnation;
          CREATE SEQUENCE sluice.looks;
          GRANT ALL ON SEQUENCE sluice.looks TO PUBLIC;
          CREATE FUNCTION sluice.staging_incarnation() RETURNS bigint LANGUAGE sql AS $$
            SELECT nextval('sluice.looks'); SELECT sluice.true_incarnation() $$
          """
        )
        var series = try await fixture.series()[0]
        let producer = await fixture.producer(.staged)
        for _ in 0..<50 {
          let range = try await producer.send(series.columns(1))
          try await producer.waitUntilStaged(range.upperBound)
        }
        let looks = "SELECT last_value FROM sluice.looks"
        let between = try await fixture.database.count(looks)
        #expect(between < 25)
        try await eventually("it is looked up again") {
          try await fixture.database.count(looks) > between
        }
        try await producer.finish()
        try await fixture.expectExact([series])
      }
    }

    @Test("what a dead gateway had staged is adopted by another one, once")
    func adopted() async throws {
      try await Fixture.run { fixture in
        var series = try await fixture.series()[0]
        let id = RandomID.bytes()
        let producer = await fixture.producer(.staged, id: id)
        try await producer.waitUntilOpen()
        try await fixture.database.holding(noPromotion) {
          try await series.send(10, of: 50, through: producer)
          try await producer.waitUntilStaged(500)
          // Neither gateway nor client comes back.
          await producer.close()
          try await fixture.gateway.kill()
        }
        let next = try await GatewayProcess.start(fixture.database.dsn)
        try await fixture.waitForValues(500)
        try await fixture.expectExact([series])
        // The producer goes on behind what was adopted.
        let client = try await fixture.connect(next.address)
        let again = await fixture.producer(.staged, id: id, of: client)
        try await again.waitUntilOpen()
        #expect(await again.position.durable == 500)
        try await series.send(2, of: 50, through: again)
        try await again.finish()
        try await fixture.expectExact([series])
        #expect(try await next.terminate() == 0)
      }
    }

    @Test("a client that is still there and the adoption do not double anything")
    func resentAndAdopted() async throws {
      try await Fixture.run { fixture in
        let series = try await fixture.series(4)
        var producers: [Producer] = []
        for _ in series { producers.append(await fixture.producer(.staged)) }
        for producer in producers { try await producer.waitUntilOpen() }
        let load = Load(producers, series, batchOf: 20)
        try await fixture.waitForValues(400)
        var next: GatewayProcess?
        try await fixture.database.holding(noPromotion) {
          try await eventually("much is staged and not durable") {
            try await fixture.database.count("SELECT count(*) FROM sluice.entity_values_ingest")
              > 400
          }
          try await fixture.gateway.kill()
        }
        next = try await GatewayProcess.start(
          fixture.database.dsn,
          port: fixture.gateway.address.port
        )
        try await eventually("every producer is back") {
          for producer in producers where await producer.reopenings < 1 { return false }
          return true
        }
        let sent = try await load.stop()
        try await finish(producers)
        try await fixture.expectExact(sent)
        #expect(try await next?.terminate() == 0)
      }
    }
  }
}
