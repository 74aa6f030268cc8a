import Client
import EventLoop
import Testing
import Wire

extension Integration {
  @Suite("bad values are named, the others are written")
  struct RejectTests {
    @Test("every reason, in both lanes", arguments: [Durability.durable, .staged])
    func reasons(durability: Durability) async throws {
      try await Fixture.run { fixture in
        let entity = try await fixture.client.resolveEntities(["e"])[0]
        let number = try await fixture.attribute("n", .number)
        let label = try await fixture.attribute("l", .label)
        let document = try await fixture.attribute("d", .document)
        let now = WallClock.nowUnixMicroseconds()
        var columns = ColumnsBuilder()
        var expected: [Reject] = []
        func add(_ reason: RejectReason?, _ append: (inout ColumnsBuilder) -> Void) {
          append(&columns)
          if let reason { expected.append(Reject(seq: UInt64(columns.count), reason: reason)) }
        }
        func addNumber(_ reason: RejectReason?, _ entity: Int64, _ attribute: UInt32, _ at: Int64) {
          add(reason) {
            $0.appendNumber(
              1,
              entityID: entity,
              attributeID: attribute,
              observedAtMicroseconds: at
            )
          }
        }
        addNumber(nil, entity, number, now)
        addNumber(.unknownEntity, 999_999, number, now)
        addNumber(nil, entity, number, now + 1)
        addNumber(.unknownAttribute, entity, 999, now)
        addNumber(.wrongType, entity, label, now)
        addNumber(.timeOutOfRange, entity, number, -62_135_596_800_000_001)
        addNumber(.timeInFuture, entity, number, now + 7_200_000_000)
        let texts: [(RejectReason?, [UInt8])] = [
          (nil, [0x61]), (.textHasNul, [0x61, 0, 0x62]), (.textNotUtf8, [0xC0, 0x80]),
          (.textNotUtf8, [0xED, 0xA0, 0x80]), (nil, []),
          (.tooLong, [UInt8](repeating: 0x61, count: (64 << 10) + 1)),
        ]
        for (reason, text) in texts {
          add(reason) { columns in
            unsafe columns.appendLabel(
              text.span.bytes,
              entityID: entity,
              attributeID: label,
              observedAtMicroseconds: now
            )
          }
        }
        let deep = String(repeating: "[", count: 5_000) + String(repeating: "]", count: 5_000)
        for (reason, text) in [
          (nil, "{}"), (.notJson, "{"), (.notJson, ""), (.notJson, "{\"a\":01}"),
          (.textHasNul, "\"\\u0000\""), (.jsonTooDeep, deep), (nil, "[1]"),
        ] as [(RejectReason?, String)] {
          add(reason) {
            $0.appendDocument(
              text,
              entityID: entity,
              attributeID: document,
              observedAtMicroseconds: now
            )
          }
        }
        let producer = await fixture.producer(durability)
        try await producer.send(columns)
        try await producer.finish()
        #expect(await producer.takeRejects() == expected)
        let counts = await producer.counts
        #expect(counts.rejected == UInt64(expected.count))
        #expect(counts.written == UInt64(columns.count - expected.count))
        let stored = try await fixture.database.sql(
          "SELECT seq, reason FROM sluice.rejected_values ORDER BY seq"
        )
        #expect(
          stored == expected.map { "\($0.seq)|\($0.reason.rawValue)" }.joined(separator: "\n")
        )
        let rows = try await fixture.database.count("SELECT count(*) FROM sluice.entity_values")
        #expect(rows == columns.count - expected.count)
      }
    }

    @Test("a batch of nothing but bad values is acknowledged and its producer goes on")
    func allBad() async throws {
      try await Fixture.run { fixture in
        var series = try await fixture.series()[0]
        var stray = Series(entity: 1_000_000, attribute: series.attribute)
        let producer = await fixture.producer()
        try await stray.send(3, of: 100, through: producer)
        try await series.send(3, of: 100, through: producer)
        try await producer.finish()
        #expect(await producer.takeRejects().count == 300)
        try await fixture.expectExact([series])
      }
    }

    @Test(
      "what an operator's constraint refuses is found by bisection, and only that",
      arguments: [Durability.durable, .staged]
    )
    func constraint(durability: Durability) async throws {
      try await Fixture.run { fixture in
        let series = try await fixture.series(2)
        try await fixture.database.sql(
          """
          ALTER TABLE sluice.entity_values ADD CONSTRAINT no_thirteens
            CHECK (entity_id <> \(series[0].entity) OR number::bigint % 100 <> 13)
          """
        )
        // Beside it, a producer whose values are all good.
        var good = Series(entity: series[1].entity, attribute: series[1].attribute)
        let innocent = await fixture.producer(durability)
        let producer = await fixture.producer(durability)
        var bad = series[0]
        for _ in 0..<5 {
          try await producer.send(bad.columns(100))
          try await innocent.send(good.columns(10))
        }
        try await finish([producer, innocent])
        #expect(
          await producer.takeRejects()
            == [13, 113, 213, 313, 413].map { Reject(seq: $0, reason: .refusedByDatabase) }
        )
        #expect(await innocent.takeRejects().isEmpty)
        #expect(await producer.counts.written == 495)
        #expect(
          try await fixture.database.sql(
            """
            SELECT count(*), count(DISTINCT number), count(*) FILTER (WHERE number::int % 100 = 13)
            FROM sluice.entity_values WHERE entity_id = \(bad.entity)
            """
          ) == "495|495|0"
        )
        #expect(
          try await fixture.database.sql(
            "SELECT seq, reason FROM sluice.rejected_values ORDER BY 1"
          )
            == "13|11\n113|11\n213|11\n313|11\n413|11"
        )
      }
    }

    @Test("times years ago and up to the limit in the future are written")
    func times() async throws {
      try await Fixture.run(["--future-limit", "2h"]) { fixture in
        let series = try await fixture.series()[0]
        let now = WallClock.nowUnixMicroseconds()
        let hour: Int64 = 3_600_000_000
        let times = [
          -62_135_596_800_000_000, -1, 0, now - 10 * 365 * 24 * hour, now, now + hour,
          now + 3 * hour, now + 400 * 24 * hour, Int64.max,
        ]
        var columns = ColumnsBuilder()
        for time in times {
          columns.appendNumber(
            1,
            entityID: series.entity,
            attributeID: series.attribute,
            observedAtMicroseconds: time
          )
        }
        let producer = await fixture.producer()
        try await producer.send(columns)
        try await producer.finish()
        #expect(
          await producer.takeRejects()
            == [7, 8, 9].map { Reject(seq: $0, reason: .timeInFuture) }
        )
        let stored = try await fixture.database.sql(
          """
          SELECT (extract(epoch FROM observed_at) * 1000000)::bigint FROM sluice.entity_values
          ORDER BY observed_at
          """
        )
        #expect(stored == times.prefix(6).map(String.init).joined(separator: "\n"))
        #expect(
          try await fixture.database.count("SELECT count(*) FROM sluice.entity_values_default") == 0
        )
      }
    }
  }
}
