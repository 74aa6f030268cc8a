import Client
import Foundation
import Testing
import Wire

extension Integration {
  @Suite("warehouses with another feed")
  struct WarehouseFeedTests {
    /// What the tests write and ask for.
    private struct World {
      let fixture: Fixture
      let warehouse: FeedWarehouse
      let entity: Int64
      let attributes: [UInt32]
      let producer: Producer

      static let start: Int64 = 1_711_753_200_000_000
      static let hour: Int64 = 3_600_000_000

      init(_ fixture: Fixture, _ warehouse: FeedWarehouse) async throws {
        self.fixture = fixture
        self.warehouse = warehouse
        entity = try await fixture.client.resolveEntities(["web1"])[0]
        attributes = [
          try await fixture.attribute("load", .number, isHot: true),
          try await fixture.attribute("requests", .integer, isHot: true),
          try await fixture.attribute("state", .label, isHot: true),
          try await fixture.attribute("setup", .document, isHot: true),
        ]
        producer = await fixture.producer()
      }

      /// Values of three days, the last of them 100.
      func write() async throws {
        var columns = ColumnsBuilder()
        let numbers = [Double.nan, -0.0, .infinity, -.infinity, 0.1, 1e-300]
        for index in 0...100 {
          let time = World.start + Int64(index) * World.hour * 7 / 10
          columns.appendNumber(
            index < 6 ? numbers[index] : Double(index),
            entityID: entity,
            attributeID: attributes[0],
            observedAtMicroseconds: time
          )
          columns.appendInteger(
            Int64(index) << 40,
            entityID: entity,
            attributeID: attributes[1],
            observedAtMicroseconds: time
          )
          columns.appendLabel(
            "it's \"\(index)\" é",
            entityID: entity,
            attributeID: attributes[2],
            observedAtMicroseconds: time
          )
          columns.appendDocument(
            "{\"n\": [\(index), null]}",
            entityID: entity,
            attributeID: attributes[3],
            observedAtMicroseconds: time
          )
        }
        try await producer.send(columns)
        try await producer.waitUntilDurable(await producer.position.produced)
      }

      /// Brings everything that is there now, and a heartbeat that says so.
      func feed() async throws {
        try await fixture.database.sql(
          "UPDATE sluice.heartbeat SET beat = 0; SELECT sluice.beat()"
        )
        try await warehouse.feed(from: fixture.database)
      }

      func get(_ options: ReadOptions) async throws -> GetEntityResponse {
        try await fixture.client.getEntity(
          GetEntityRequest(by: .externalKey("web1"), read: options)
        )
      }

      func history(_ options: ReadOptions) async throws -> [QueryHistoryResponse] {
        var request = QueryHistoryRequest(
          entityIDs: [entity],
          attributeIDs: attributes,
          startMicroseconds: World.start,
          endMicroseconds: World.start + 100 * World.hour,
          read: options
        )
        request.pageSize = 50
        var pages: [QueryHistoryResponse] = []
        repeat {
          let page = try await fixture.client.queryHistory(request)
          request.pageToken = page.nextPageToken
          pages.append(page)
        } while !request.pageToken.isEmpty
        return pages
      }

      func aggregate(_ options: ReadOptions) async throws -> AggregateHistoryResponse {
        var request = AggregateHistoryRequest(
          entityIDs: [entity],
          attributeIDs: Array(attributes.prefix(2)),
          startMicroseconds: World.start,
          endMicroseconds: World.start + 200 * World.hour,
          read: options,
          bucketUnit: .day,
          timeZone: "Europe/Berlin"
        )
        request.percentiles = [0.1, 0.5]
        request.fill = .previous
        return try await fixture.client.aggregateHistory(request)
      }

      func exists(_ options: ReadOptions) async throws -> ExistsInRangeResponse {
        try await fixture.client.call(
          "sluice.v1.HistoryService",
          "ExistsInRange",
          ExistsInRangeRequest(
            entityIDs: [entity, entity + 1],
            startMicroseconds: World.start,
            endMicroseconds: World.start + World.hour,
            read: options
          )
        )
      }

      /// Values of each attribute that a server or a text could get wrong.
      var odd: [[Value]] {
        [
          [.number(.nan), .number(-0.0), .number(.infinity), .number(0.1), .number(-1e300)],
          [.integer(.min), .integer(.max), .integer(0), .integer(9_007_199_254_740_993)],
          ["", "a", "A", "é", "a\"\\", "'; --", "{\"1\": 2}"].map { .label($0) },
          ["null", "{\"a\": [1, \"'\"]}", "1.0", "1"].map { .document($0) },
        ]
      }

      /// Keys and values of a list, over all of its pages.
      func all(_ request: ListEntitiesRequest, _ level: ReadLevel) async throws -> [String] {
        var request = request
        request.read = ReadOptions(level: level)
        var entities: [String] = []
        repeat {
          let page = try await fixture.client.listEntities(request)
          request.pageToken = page.nextPageToken
          entities += page.entities.map { "\($0)" }
        } while !request.pageToken.isEmpty
        return entities
      }

      func refusal(_ options: ReadOptions) async throws -> (reason: String?, message: String) {
        do {
          _ = try await get(options)
          return (nil, "")
        } catch let error as ClientError {
          guard case .status(let status) = error else { throw error }
          return (status.reason, status.message)
        }
      }
    }

    private func run(
      _ feed: String,
      _ body: (World) async throws -> Void
    ) async throws {
      try await FeedWarehouse.run { warehouse in
        // One worker: what it has seen of the warehouse all readers know.
        let options = [
          "--warehouse-dsn", warehouse.database.dsn, "--warehouse-feed", feed, "--workers", "1",
        ]
        try await Fixture.run(options) { fixture in
          let world = try await World(fixture, warehouse)
          try await world.write()
          try await world.feed()
          try await eventually("the warehouse answers") {
            try await world.refusal(ReadOptions(level: .analytics)).reason == nil
          }
          try await body(world)
        }
      }
    }

    @Test("they answer what the primary does", arguments: ["ordered", "unordered"])
    func answers(feed: String) async throws {
      try await run(feed) { world in
        let (strong, report) = (ReadOptions(level: .strong), ReadOptions(level: .analytics))
        func check(_ freshness: Freshness?) throws {
          let freshness = try #require(freshness)
          #expect(freshness.source == .analytics && freshness.node == "warehouse")
          #expect(freshness.estimated == (feed == "unordered") && !freshness.degraded)
          #expect(freshness.asOfToken.isEmpty == freshness.estimated)
        }
        let entity = try await world.get(report)
        try check(entity.freshness)
        #expect(entity.entity == (try await world.get(strong)).entity)
        #expect(entity.entity?.values.count == 4)
        let (pages, expected) = (try await world.history(report), try await world.history(strong))
        try check(pages[0].freshness)
        let text = pages.map { "\($0.columns)" }
        #expect(text.count > 5 && text == expected.map { "\($0.columns)" })
        var (buckets, other) = (
          try await world.aggregate(report), try await world.aggregate(strong)
        )
        try check(buckets.freshness)
        (buckets.freshness, other.freshness) = (nil, nil)
        // NaN is not equal to itself, and has no sign as text.
        let (figures, others) = ("\(buckets)", "\(other)".replacing("-nan", with: "nan"))
        #expect(figures == others && buckets.counts.contains(0))
        let exists = try await world.exists(report)
        try check(exists.freshness)
        #expect(exists.entityIDs == [world.entity])
      }
    }

    @Test("lists there are those of the primary, in every order and under every condition")
    func lists() async throws {
      try await run("ordered") { world in
        try await world.warehouse.addFunctions()
        let client = world.fixture.client
        let values = world.odd
        for index in 0..<24 {
          let key = "key \(index % 12 * 7)|\(index)"
          var request = UpsertEntityRequest(by: .externalKey(key))
          for (place, some) in values.enumerated() where index % (place + 3) > 0 {
            let attribute = world.attributes[place]
            let value = some[index % some.count]
            request.values.append(AttributeValue(attributeID: attribute, value: value))
          }
          // One has nothing at all.
          guard !request.values.isEmpty else {
            _ = try await client.resolveEntities([key])
            continue
          }
          _ = try await client.upsertEntity(request)
        }
        try await world.feed()
        var requests: [ListEntitiesRequest] = [ListEntitiesRequest(externalKeyPrefix: "key 7")]
        for place in 0..<3 {
          for isDescending in [false, true] {
            requests.append(
              ListEntitiesRequest(
                orderByAttributeID: world.attributes[place],
                isDescending: isDescending
              )
            )
          }
        }
        for (place, some) in values.enumerated() {
          for relation in Relation.allCases.dropFirst() {
            if relation == .prefix, place != 2 { continue }
            if place == 3, ![.exists, .equal, .notEqual].contains(relation) { continue }
            for value in some {
              let comparison = Comparison(
                attributeID: world.attributes[place],
                relation: relation,
                value: relation == .exists ? nil : value
              )
              requests.append(
                ListEntitiesRequest(filter: EntityFilter(steps: [.comparison(comparison), .not]))
              )
            }
          }
        }
        var counts: Set<Int> = []
        for var request in requests {
          request.pageSize = 5
          let expected = try await world.all(request, .strong)
          let found = try await world.all(request, .analytics)
          #expect(found == expected, "\(request)")
          counts.insert(found.count)
        }
        // All, some and none.
        #expect(counts.count > 5)
      }
    }

    @Test(
      "what cannot be proven there is refused with its reason",
      arguments: ["ordered", "unordered"]
    )
    func refusals(feed: String) async throws {
      try await run(feed) { world in
        let isOrdered = feed == "ordered"
        var options = ReadOptions(level: .analytics)
        // A token of what has arrived, and one of what has not.
        options.floorTokens = [
          try #require(try await world.get(ReadOptions(level: .strong)).freshness).asOfToken
        ]
        try await world.feed()
        if isOrdered {
          try await eventually("what arrived is proven") {
            try await world.refusal(options).reason == nil
          }
          #expect(try await world.get(options).freshness?.degraded == false)
          try await world.write()
          options.floorTokens = [await world.producer.token]
        }
        let floor = try await world.refusal(options)
        #expect(
          floor.reason == "NO_ANALYTICS_SOURCE" && floor.message.contains("order") != isOrdered
        )
        options.allowDegraded = true
        let degraded = try #require(try await world.get(options).freshness)
        #expect(degraded.degraded && degraded.estimated != isOrdered)

        let monotonic = try await world.refusal(ReadOptions(level: .analytics, isMonotonic: true))
        #expect(monotonic.reason == "NO_ANALYTICS_SOURCE")
        #expect(monotonic.message.contains("is_monotonic"))
        do {
          var request = ListEntitiesRequest(read: ReadOptions(level: .analytics))
          #expect(try await world.fixture.client.listEntities(request).entities.count == 1)
          request.orderByAttributeID = world.attributes[0]
          _ = try await world.fixture.client.listEntities(request)
          Issue.record("a list was answered without the functions it needs")
        } catch ClientError.status(let status) {
          #expect(status.code == .unimplemented && status.reason == "LIST_NOT_ON_THIS_WAREHOUSE")
          #expect(status.message.contains("functions"))
        }
      }
    }

    @Test("older than was asked for is refused, or marked", arguments: ["ordered", "unordered"])
    func bound(feed: String) async throws {
      try await run(feed) { world in
        let options = ReadOptions(level: .analytics, maxStalenessMilliseconds: 1_000)
        try await eventually("what arrived is too old") {
          // The primary goes on.
          try await world.write()
          return try await world.refusal(options).reason == "NO_ANALYTICS_SOURCE"
        }
        var older = options
        older.allowDegraded = true
        let freshness = try #require(try await world.get(older).freshness)
        #expect(freshness.degraded && freshness.stalenessBoundMilliseconds > 1_000)
      }
    }

    @Test(
      "the command line says what is proven and what is estimated",
      arguments: ["ordered", "unordered"]
    )
    func commandLine(feed: String) async throws {
      try await run(feed) { world in
        let isOrdered = feed == "ordered"
        let gateway = ["--gateway", "\(world.fixture.gateway.address)"]
        let commands = [
          ["get", "web1"],
          [
            "history", "web1", "load", "--from", "2024-03-29T23:00:00Z", "--to",
            "2024-03-31T00:00:00Z",
          ],
          ["exists", "web1", "--from", "2024-03-29T23:00:00Z", "--to", "2024-03-31T00:00:00Z"],
        ]
        for command in commands {
          let result = try await Command.run(
            GatewayProcess.program,
            command + ["--analytics"] + gateway
          )
          #expect(result.status == 0, "\(command): \(result.errors)")
          let words = result.output + result.errors
          #expect(words.contains(isOrdered ? "warehouse, at most" : "warehouse, about"), "\(words)")
          #expect(words.contains("(estimated)") != isOrdered)
        }
        let status = try await Command.run(GatewayProcess.program, ["status"] + gateway)
        #expect(status.output.contains("about ") != isOrdered, "\(status.output)")
        let json = try await Command.run(
          GatewayProcess.program,
          ["get", "web1", "--analytics", "--json"] + gateway
        )
        #expect(json.output.contains("\"estimated\": \(!isOrdered)"), "\(json.output)")
        let check = try await Command.run(
          GatewayProcess.program,
          [
            "serve", "--check", "--primary-dsn", world.fixture.database.dsn, "--warehouse-dsn",
            world.warehouse.database.dsn, "--warehouse-feed", feed,
          ]
        )
        #expect(check.status == 0 && check.output.contains("warehouse-dsn: warehouse"))
      }
    }
  }
}
