import Client
import EventLoop
import Foundation
import Testing
import Wire

extension Integration {
  @Suite("history")
  struct HistoryTests {
    /// A number attribute of an entity with values each minute of a day of 23 hours in Berlin, and
    /// a label.
    private struct World {
      static let start: Int64 = 1_711_839_600_000_000
      static let minute: Int64 = 60_000_000
      static let minutes: Int64 = 23 * 60

      let entity: Int64
      let number: UInt32
      let label: UInt32

      init(_ fixture: Fixture) async throws {
        entity = try await fixture.client.resolveEntities(["web1"])[0]
        number = try await fixture.attribute("load", .number)
        label = try await fixture.attribute("state", .label)
        var columns = ColumnsBuilder()
        for index in 0..<World.minutes {
          columns.appendNumber(
            Double(index),
            entityID: entity,
            attributeID: number,
            observedAtMicroseconds: World.start + index * World.minute
          )
        }
        let producer = await fixture.producer()
        try await producer.send(columns)
        try await producer.finish()
      }

      func aggregate() -> AggregateHistoryRequest {
        AggregateHistoryRequest(
          entityIDs: [entity],
          attributeIDs: [number],
          startMicroseconds: World.start,
          endMicroseconds: World.start + World.minutes * World.minute,
          read: ReadOptions(level: .strong),
          bucketUnit: .day,
          timeZone: "Europe/Berlin"
        )
      }

      func raw() -> QueryHistoryRequest {
        QueryHistoryRequest(
          entityIDs: [entity],
          attributeIDs: [number],
          startMicroseconds: World.start,
          endMicroseconds: World.start + World.minutes * World.minute,
          read: ReadOptions(level: .strong)
        )
      }

      func exists() -> ExistsInRangeRequest {
        ExistsInRangeRequest(
          entityIDs: [entity],
          startMicroseconds: World.start,
          endMicroseconds: World.start + World.minutes * World.minute,
          read: ReadOptions(level: .strong)
        )
      }
    }

    @Test("buckets of the calendar with percentiles, deviations and gaps come over the wire")
    func aggregate() async throws {
      try await Fixture.run { fixture in
        let world = try await World(fixture)
        var request = world.aggregate()
        request.percentiles = [0.5, 1]
        request.stddev = true
        request.fill = .previous
        request.endMicroseconds += 24 * 60 * World.minute
        let answer = try await fixture.client.aggregateHistory(request)
        #expect(
          answer.bucketStartsMicroseconds == [World.start, World.start + 1_380 * World.minute]
        )
        #expect(answer.counts == [1_380, 0] && answer.lasts == [1_379, 1_379])
        #expect(answer.percentiles == [689.5, 1_379, 1_379, 1_379])
        #expect(answer.stddevs.count == 2 && abs(answer.stddevs[0] - 398.516) < 0.001)
        #expect(answer.freshness?.source == .primary)
        let exists = try await fixture.client.existsInRange(world.exists())
        #expect(exists.entityIDs == [world.entity])
      }
    }

    @Test("requests that cannot be meant get the right code, reason and field")
    func refused() async throws {
      try await Fixture.run { fixture in
        let world = try await World(fixture)
        func aggregate(
          _ change: (inout AggregateHistoryRequest) -> Void
        ) -> @Sendable () async throws(ClientError) -> Void {
          var request = world.aggregate()
          change(&request)
          return { [request] () throws(ClientError) in
            _ = try await fixture.client.aggregateHistory(request)
          }
        }
        func raw(
          _ change: (inout QueryHistoryRequest) -> Void
        ) -> @Sendable () async throws(ClientError) -> Void {
          var request = world.raw()
          change(&request)
          return { [request] () throws(ClientError) in
            _ = try await fixture.client.queryHistory(request)
          }
        }
        func exists(
          _ change: (inout ExistsInRangeRequest) -> Void
        ) -> @Sendable () async throws(ClientError) -> Void {
          var request = world.exists()
          change(&request)
          return { [request] () throws(ClientError) in
            _ = try await fixture.client.existsInRange(request)
          }
        }
        let injection = "UTC'; DROP TABLE sluice.entities; --"
        let wrong: [(@Sendable () async throws(ClientError) -> Void, Status.Code, String, String)] =
          [
            (
              aggregate { $0.timeZone = injection }, .invalidArgument, "UNKNOWN_TIME_ZONE",
              "time_zone"
            ),
            (
              aggregate { $0.timeZone = "Europe/Atlantis" }, .invalidArgument, "UNKNOWN_TIME_ZONE",
              "time_zone"
            ),
            (
              aggregate { $0.bucketWidthMicroseconds = 1_000 }, .invalidArgument, "BAD_REQUEST",
              "bucket_width_us"
            ),
            (
              aggregate { $0.bucketUnit = .unspecified }, .invalidArgument, "BAD_REQUEST",
              "bucket_width_us"
            ),
            (
              aggregate { $0.percentiles = [0.5, .nan] }, .invalidArgument, "BAD_REQUEST",
              "percentile[1]"
            ),
            (
              aggregate { $0.percentiles = Array(repeating: 0, count: 17) }, .invalidArgument,
              "BAD_REQUEST", "percentile"
            ),
            (
              aggregate { $0.attributeIDs = [world.number, world.label] }, .invalidArgument,
              "NOT_AGGREGABLE", "attribute_id[1]"
            ),
            (
              aggregate { $0.attributeIDs = [77] }, .notFound, "ATTRIBUTE_NOT_FOUND",
              "attribute_id[0]"
            ),
            (
              aggregate { swap(&$0.startMicroseconds, &$0.endMicroseconds) }, .invalidArgument,
              "BAD_REQUEST", "end_unix_us"
            ),
            (
              aggregate {
                $0.fill = .empty; $0.startMicroseconds = .min
              }, .outOfRange, "TOO_MANY_BUCKETS", ""
            ),
            (
              raw { $0.attributeIDs = [world.number, 77] }, .notFound, "ATTRIBUTE_NOT_FOUND",
              "attribute_id[1]"
            ),
            (raw { $0.entityIDs = [] }, .invalidArgument, "BAD_REQUEST", "entity_id"),
            (
              raw { $0.pageToken = Array(injection.utf8) }, .invalidArgument, "BAD_PAGE_TOKEN",
              "page_token"
            ),
            (exists { $0.entityIDs = [] }, .invalidArgument, "BAD_REQUEST", "entity_id"),
            (
              exists { $0.attributeIDs = [77] }, .notFound, "ATTRIBUTE_NOT_FOUND", "attribute_id[0]"
            ),
            (
              exists { swap(&$0.startMicroseconds, &$0.endMicroseconds) }, .invalidArgument,
              "BAD_REQUEST", "end_unix_us"
            ),
          ]
        for (call, code, reason, field) in wrong {
          do throws(ClientError) {
            try await call()
            Issue.record("\(reason) of \(field) was not found")
          } catch {
            guard case .status(let status) = error else { throw error }
            #expect(status.code == code && status.reason == reason, "\(status)")
            #expect((status.metadata.first { $0.key == "field" }?.value ?? "") == field)
          }
        }
        #expect(try await fixture.client.queryHistory(world.raw()).columns.count == 1_380)
      }
    }

    @Test("what would scan too much says what it would cost, and goes on when it is told to")
    func expensive() async throws {
      try await Fixture.run(["--scan-rows-max", "500"]) { fixture in
        let world = try await World(fixture)
        do throws(ClientError) {
          _ = try await fixture.client.aggregateHistory(world.aggregate())
          Issue.record("it was not refused")
        } catch {
          guard case .status(let status) = error else { throw error }
          #expect(status.code == .outOfRange && status.reason == "QUERY_TOO_EXPENSIVE")
          let facts = status.metadata.reduce(into: [:]) { $0[$1.key] = $1.value }
          #expect(Int(facts["rows"] ?? "").map { $0 > 500 } == true, "\(facts)")
          #expect(Int(facts["pages"] ?? "").map { $0 > 0 } == true, "\(facts)")
          #expect(facts["rows_max"] == "500" && facts["field"] == "allow_expensive")
        }
        var request = world.aggregate()
        request.allowExpensive = true
        #expect(try await fixture.client.aggregateHistory(request).counts == [1_380])
        let gateway = ["--gateway", "\(fixture.gateway.address)"]
        let range = ["--from", "2024-03-30T23:00:00Z", "--to", "2024-03-31T22:00:00Z"]
        let arguments = ["history", "web1", "load", "--csv", "--strong"] + range + gateway
        let refused = try await Command.run(GatewayProcess.program, arguments)
        #expect(refused.status == 64 && refused.errors.contains("QUERY_TOO_EXPENSIVE"))
        let told = try await Command.run(GatewayProcess.program, arguments + ["--allow-expensive"])
        #expect(told.status == 0 && told.output.split(separator: "\n").count == 1_381)
      }
    }

    @Test(
      "what a read does in the database ends with its deadline, or when its caller is gone",
      arguments: ["raw", "aggregate", "exists"],
      ["deadline", "gone"]
    )
    func cancelled(kind: String, reason: String) async throws {
      try await Fixture.run { fixture in
        let world = try await World(fixture)
        let client = try await fixture.connect(fixture.gateway.address)
        let running = """
          SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
            AND application_name = 'sluice/read' AND state <> 'idle' AND query LIKE '%sluice.%'
            AND wait_event_type = 'Lock'
          """
        // Every read of values stands still here, as long as it is not cancelled.
        let lock = "LOCK TABLE sluice.entity_values IN ACCESS EXCLUSIVE MODE"
        try await fixture.database.holding(lock) {
          let limit: Duration = reason == "deadline" ? .seconds(3) : .seconds(60)
          async let outcome = read(kind, world, client, within: limit)
          try await eventually("the read is under way") {
            try await fixture.database.count(running) == 1
          }
          if reason == "gone" { await client.close() }
          try await eventually("the read has ended", within: .seconds(20)) {
            try await fixture.database.count(running) == 0
          }
          #expect(await outcome != nil)
        }
      }
    }

    /// How a read ended; nil when it was answered.
    private func read(
      _ kind: String,
      _ world: World,
      _ client: SluiceClient,
      within limit: Duration
    ) async -> ClientError? {
      do throws(ClientError) {
        switch kind {
        case "raw":
          let _: QueryHistoryResponse = try await client.read(
            "sluice.v1.HistoryService",
            "QueryHistory",
            world.raw(),
            within: limit
          )
        case "aggregate":
          let _: AggregateHistoryResponse = try await client.read(
            "sluice.v1.HistoryService",
            "AggregateHistory",
            world.aggregate(),
            within: limit
          )
        default:
          let _: ExistsInRangeResponse = try await client.read(
            "sluice.v1.HistoryService",
            "ExistsInRange",
            world.exists(),
            within: limit
          )
        }
        return nil
      } catch {
        return error
      }
    }

    @Test("the command line shows buckets of the calendar, several entities, and who has values")
    func commands() async throws {
      try await Fixture.run { fixture in
        _ = try await World(fixture)
        _ = try await fixture.client.resolveEntities(["web2"])
        let gateway = ["--strong", "--gateway", "\(fixture.gateway.address)"]
        let range = ["--from", "2024-03-30T23:00:00Z", "--to", "2024-04-01T22:00:00Z"]
        let day = ["--every", "day", "--zone", "Europe/Berlin", "--percentiles", "50"]
        func run(_ arguments: [String]) async throws -> (status: Int32, lines: [String]) {
          let result = try await Command.run(GatewayProcess.program, arguments + gateway)
          return (result.status, result.output.split(separator: "\n").map(String.init))
        }
        let csv = try await run(
          ["aggregate", "web1", "load", "--entity", "web2", "--fill", "empty", "--csv"] + day
            + range
        )
        #expect(csv.lines.first == "from,entity,attribute,count,min,average,max,sum,first,last,p50")
        #expect(csv.lines.count == 5 && csv.status == 0)
        let expected = "2024-03-30T23:00:00Z,web1,load,1380,0,689.5,1379,951510,0,1379,689.5"
        #expect(csv.lines.dropFirst().first == expected)
        let chart = try await run(
          ["aggregate", "web1", "load", "--chart", "--every", "1h"] + range
        )
        #expect(chart.status == 0 && chart.lines.first == "web1  average of load")
        let both = try await run(
          ["history", "web1", "load", "--entity", "web2", "--order", "desc", "--limit", "2"] + range
        )
        #expect(both.lines.first?.contains("entity") == true && both.lines.count >= 4)
        let yes = try await run(["exists", "web1", "--attribute", "load"] + range)
        #expect(yes.status == 0 && yes.lines.contains { $0.contains("yes") })
        let no = try await run(["exists", "web1", "web2", "--csv"] + range)
        #expect(no.status == 1 && no.lines == ["entity,exists", "web1,true", "web2,false"])
        let zone = try await run(["aggregate", "web1", "load", "--zone", "Nowhere/At_All"] + range)
        #expect(zone.status == 64)
      }
    }
  }
}
