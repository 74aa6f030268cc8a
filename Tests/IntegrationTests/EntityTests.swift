import Client
import Foundation
import Testing
import Wire

extension Integration {
  @Suite("entities")
  struct EntityTests {
    @Test("callers at once write and read what they wrote, sharing transactions and queries")
    func readAfterWrite() async throws {
      try await Fixture.run { fixture in
        let attribute = try await fixture.attribute("count", .number, isHot: true)
        let client = fixture.client
        try await withThrowingTaskGroup(of: Void.self) { group in
          for caller in 0..<32 {
            group.addTask {
              for turn in 1...5 {
                let key = GetEntityRequest.Key.externalKey("e\(caller)")
                let value = AttributeValue(attributeID: attribute, value: .number(Double(turn)))
                let written = try await client.upsertEntity(
                  UpsertEntityRequest(by: key, values: [value])
                )
                #expect(written.version == Int64(turn) && !written.token.isEmpty)
                let read = try await client.getEntity(
                  GetEntityRequest(by: key, read: ReadOptions(level: .strong))
                )
                #expect(read.entity?.values.first?.value == .number(Double(turn)))
                #expect(read.entity?.entityID == written.entityID)
              }
            }
          }
          try await group.waitForAll()
        }
        let rows = try await fixture.database.count("SELECT count(*) FROM sluice.entity_values")
        #expect(rows == 160)
        let figures = try await client.status().figures
        func figure(_ name: String) -> Double { figures.first { $0.name == name }?.value ?? -1 }
        #expect(figure("upserts.committed") == 160)
        #expect((1..<160).contains(figure("upserts.groups_committed")))
        #expect(figure("reads.points") == 160)
      }
    }

    @Test("a batch keeps its order and names what is absent")
    func batch() async throws {
      try await Fixture.run { fixture in
        let ids = try await fixture.client.resolveEntities(["a", "b"])
        let request = BatchGetEntitiesRequest(
          entities: [
            EntityName(.externalKey("b")), EntityName(.entityID(999)),
            EntityName(.entityID(ids[0])),
          ],
          read: ReadOptions(level: .strong)
        )
        let response = try await fixture.client.batchGetEntities(request)
        #expect(response.entities.map(\.externalKey) == ["b", "a"])
        #expect(response.missing == [1] && response.answered == 3)
        #expect(response.freshness?.source == .primary)
      }
    }

    @Test("requests that cannot be meant get the right code, reason and field")
    func refused() async throws {
      try await Fixture.run { fixture in
        let number = try await fixture.attribute("n", .number, isHot: true)
        let document = try await fixture.attribute("d", .document, isHot: true)
        let good = AttributeValue(attributeID: number, value: .number(1))
        let wrong: [(UpsertEntityRequest, String, String)] = [
          (UpsertEntityRequest(by: .externalKey("e")), "BAD_REQUEST", "values"),
          (
            UpsertEntityRequest(by: .externalKey("e"), values: [good, good]), "BAD_REQUEST",
            "values[1].attribute_id"
          ),
          (
            UpsertEntityRequest(
              by: .externalKey("e"),
              values: [AttributeValue(attributeID: number, value: .label("1"))]
            ), "WRONG_TYPE", "values[0].value"
          ),
          (
            UpsertEntityRequest(
              by: .externalKey("e"),
              values: [good, AttributeValue(attributeID: document, value: .document("{"))]
            ), "NOT_JSON", "values[1].value"
          ),
          (
            UpsertEntityRequest(
              by: .externalKey("e"),
              values: [AttributeValue(attributeID: 99, value: .number(1))]
            ), "ATTRIBUTE_NOT_FOUND", "values[0]"
          ),
          (
            UpsertEntityRequest(
              by: .externalKey("e"),
              values: [good],
              observedAtMicroseconds: WallClockTime.inAWeek
            ), "TIME_IN_FUTURE", "observed_at_unix_us"
          ),
          (
            UpsertEntityRequest(
              by: .externalKey("e"),
              values: [AttributeValue(attributeID: number)],
              observedAtMicroseconds: .max
            ), "TIME_IN_FUTURE", "observed_at_unix_us"
          ),
          (
            UpsertEntityRequest(
              by: .externalKey("e"),
              values: [AttributeValue(attributeID: document)],
              observedAtMicroseconds: .min
            ), "TIME_OUT_OF_RANGE", "observed_at_unix_us"
          ),
          (UpsertEntityRequest(by: .entityID(0), values: [good]), "ENTITY_NOT_FOUND", ""),
        ]
        for (request, reason, field) in wrong {
          do throws(ClientError) {
            _ = try await fixture.client.upsertEntity(request)
            Issue.record("\(reason) was not found")
          } catch {
            guard case .status(let status) = error else { throw error }
            #expect(status.reason == reason)
            #expect((status.metadata.first { $0.key == "field" }?.value ?? "") == field)
          }
        }
        let entities = try await fixture.database.count("SELECT count(*) FROM sluice.entities")
        #expect(entities == 0, "no entity is made for values that cannot be written")
      }
    }

    @Test("an upsert that the database does not answer is of unknown outcome at its deadline")
    func deadline() async throws {
      try await Fixture.run { fixture in
        let attribute = try await fixture.attribute("n", .number, isHot: true)
        func write(within limit: Duration) async throws(ClientError) {
          let value = AttributeValue(attributeID: attribute, value: .number(1))
          let request = UpsertEntityRequest(by: .externalKey("e"), values: [value])
          _ = try await fixture.client.upsertEntity(request, within: limit)
        }
        try await write(within: .seconds(30))
        let lock = "LOCK TABLE sluice.entity_jsonb IN ACCESS EXCLUSIVE MODE"
        try await fixture.database.holding(lock) {
          // The client's own patience ends a quarter of a second later.
          do throws(ClientError) {
            try await write(within: .milliseconds(500))
            Issue.record("it was written through a lock")
          } catch {
            guard case .status(let status) = error else { throw error }
            #expect(status.code == .unavailable && status.reason == "OUTCOME_UNKNOWN")
          }
        }
        try await eventually("it is written after all") {
          try await fixture.database.count("SELECT count(*) FROM sluice.entity_values") == 2
        }
      }
    }

    @Test("an attribute that is made cold is not shown, and a list by it is refused")
    func cold() async throws {
      try await Fixture.run { fixture in
        let attribute = try await fixture.attribute("n", .number, isHot: true)
        let client = fixture.client
        let written = try await client.upsertEntity(
          UpsertEntityRequest(
            by: .externalKey("e"),
            values: [AttributeValue(attributeID: attribute, value: .number(1))]
          )
        )
        _ = try await client.updateAttribute(UpdateAttributeRequest(name: "n", isHot: false))
        let entity = try await client.getEntity(
          GetEntityRequest(by: .externalKey("e"), read: ReadOptions(level: .strong))
        ).entity
        #expect(entity?.values == [] && entity.map { $0.version > written.version } ?? false)
        let filter = Wire.EntityFilter(steps: [
          .comparison(Comparison(attributeID: attribute, relation: .exists))
        ])
        for (request, field) in [
          (ListEntitiesRequest(filter: filter), "filter.steps[0]"),
          (ListEntitiesRequest(orderByAttributeID: attribute), "order_by_attribute_id"),
        ] {
          do throws(ClientError) {
            _ = try await client.listEntities(request)
            Issue.record("\(field) is on a cold attribute")
          } catch {
            guard case .status(let status) = error else { throw error }
            #expect(status.code == .failedPrecondition && status.reason == "ATTRIBUTE_NOT_HOT")
            #expect(status.metadata.first { $0.key == "field" }?.value == field)
          }
        }
      }
    }

    @Test("what the command line sets is listed by condition, in order")
    func commands() async throws {
      try await Fixture.run { fixture in
        let gateway = ["--gateway", "\(fixture.gateway.address)"]
        for (key, site, temperature) in [("x", "a", "30"), ("y", "b", "5"), ("z", "a", "7.5")] {
          let set = try await Command.run(
            GatewayProcess.program,
            ["set", key, "site=\(site)", "temperature=\(temperature)", "--json"] + gateway
          )
          #expect(set.status == 0, "\(set.errors)")
          #expect(set.output.contains("\"version\": 1"))
        }
        let condition = "site = \"a\" and temperature > 5"
        let list = try await Command.run(
          GatewayProcess.program,
          ["list", "--where", condition, "--order-by", "temperature", "--csv", "--strong"] + gateway
        )
        #expect(list.status == 0, "\(list.errors)")
        let lines = list.output.split(whereSeparator: \.isNewline)
        #expect(lines.first == "entity,id,site,temperature")
        #expect(lines.dropFirst().map { $0.prefix(1) } == ["z", "x"])
        let wrong: [([String], Int32)] = [
          (["list", "--where", "nothing = 1"], 66), (["list", "--where", "site ="], 64),
          (["list", "--where", "temperature = warm"], 64), (["set", "x", "temperature=warm"], 65),
        ]
        for (arguments, status) in wrong {
          let result = try await Command.run(GatewayProcess.program, arguments + gateway)
          #expect(result.status == status, "\(arguments): \(result.errors)")
        }
      }
    }
  }
}

/// Times for requests.
private enum WallClockTime {
  static var inAWeek: Int64 { Int64(Date().timeIntervalSince1970 * 1_000_000) + 604_800_000_000 }
}
