import Client
import Testing
import Wire

extension Integration {
  @Suite("hot values")
  struct HotTests {
    @Test(
      "history and projection are written by one transaction",
      arguments: [Durability.durable, .staged]
    )
    func oneTransaction(durability: Durability) async throws {
      try await Fixture.run { fixture in
        var series = try await fixture.series(isHot: true)[0]
        let producer = await fixture.producer(durability)
        for _ in 0..<5 {
          try await producer.send(series.columns(3))
          try await producer.waitUntilDurable(await producer.position.produced)
          let last = try await fixture.database.sql(
            """
            SELECT v.xmin = j.xmin, j.hot_attrs -> '\(series.attribute)' = to_jsonb(v.number)
            FROM sluice.entity_values v JOIN sluice.entity_jsonb j USING (tenant_id, entity_id)
            ORDER BY v.observed_at DESC LIMIT 1
            """
          )
          #expect(last == "t|t")
        }
        try await producer.finish()
        try await fixture.expectExact([series])
      }
    }

    @Test(
      "the newest observed time wins, in whatever order values come",
      arguments: [[1, 2, 3], [3, 2, 1], [2, 3, 1], [3, 1, 2], [1, 3, 2], [2, 1, 3]],
      [1, 3]
    )
    func newestWins(order: [Int64], perBatch: Int) async throws {
      try await Fixture.run { fixture in
        let series = try await fixture.series(isHot: true)[0]
        let producer = await fixture.producer()
        for start in stride(from: 0, to: 3, by: perBatch) {
          var columns = ColumnsBuilder()
          for place in order[start..<start + perBatch] {
            columns.appendNumber(
              Double(place),
              entityID: series.entity,
              attributeID: series.attribute,
              observedAtMicroseconds: Series.start + place
            )
          }
          try await producer.send(columns)
          try await producer.waitUntilDurable(await producer.position.produced)
        }
        let hot = try await fixture.database.sql(
          "SELECT (hot_attrs -> '\(series.attribute)')::float8 FROM sluice.entity_jsonb"
        )
        #expect(hot == "3")
        try await producer.finish()
      }
    }

    @Test("an attribute that becomes hot is folded from then on, one that is not never")
    func becomesHot() async throws {
      try await Fixture.run { fixture in
        var series = try await fixture.series()[0]
        let producer = await fixture.producer()
        try await producer.send(series.columns(5))
        try await producer.waitUntilDurable(5)
        #expect(try await fixture.database.count("SELECT count(*) FROM sluice.entity_jsonb") == 0)
        _ = try await fixture.client.updateAttribute(
          UpdateAttributeRequest(name: "count", isHot: true, unit: "1")
        )
        try await eventually("the gateway knows") {
          try await producer.send(series.columns(1))
          try await producer.waitUntilDurable(await producer.position.produced)
          return try await fixture.database.count("SELECT count(*) FROM sluice.entity_jsonb") == 1
        }
        try await producer.finish()
        try await fixture.expectExact([series])
      }
    }
  }
}
