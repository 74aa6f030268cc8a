import Client
import Foundation
import Testing
import Wire

extension Integration {
  @Suite("values come back exactly as they were sent")
  struct ValueTests {
    static let numbers: [Double] = [
      0, -0.0, 1, -1, 0.1, 0.1 + 0.2, .pi, .greatestFiniteMagnitude, -.greatestFiniteMagnitude,
      .leastNonzeroMagnitude, .leastNormalMagnitude, .infinity, -.infinity, .nan, 1e22,
    ]
    static let integers: [Int64] = [0, 1, -1, .max, .min, 1 << 53, (1 << 53) + 1]
    static let labels = [
      "", "plain", "ünïcödé 🧪 \u{10FFFF}", "quote ' double \" back \\ dollar $1", "a\tb\nc\r",
      "\\N", "NULL", "{}", "\u{1}\u{7F}\u{FEFF}", String(repeating: "x", count: 64 << 10),
    ]
    static let documents = [
      "{}", "[]", "null", "true", "\"text\"", "12345678901234567890.1234567890", "-0.0", "1e300",
      #"{"a":{"b":[1,2,{"c":"\u00e9\n"}]},"":null}"#, #"["\ud83e\uddea"]"#,
      "{\"big\": \"" + String(repeating: "y", count: 300 << 10) + "\"}",
      "[" + String(repeating: "1,", count: 5_000) + "2]",
    ]

    @Test(
      "in both lanes, all five types, by psql and by the gateway",
      arguments: [Durability.durable, .staged]
    )
    func exact(durability: Durability) async throws {
      try await Fixture.run { fixture in
        let entity = try await fixture.client.resolveEntities(["e"])[0]
        var ids: [ValueType: UInt32] = [:]
        for (name, type) in [
          ("n", ValueType.number), ("i", .integer), ("f", .flag), ("l", .label), ("d", .document),
        ] {
          ids[type] = try await fixture.attribute(name, type, isHot: true)
        }
        let columns = Self.columns(entity, ids)
        let producer = await fixture.producer(durability)
        let range = try await producer.send(columns)
        try await producer.waitUntilDurable(range.upperBound)
        let counts = await producer.counts
        #expect(counts.written == UInt64(columns.count))
        #expect(await producer.takeRejects().isEmpty)
        try await compare(fixture.database)
        try await compareHistory(fixture, entity, ids, columns)
        try await compareHot(fixture.client, entity)
        try await producer.finish()
      }
    }

    private static func columns(_ entity: Int64, _ ids: [ValueType: UInt32]) -> ColumnsBuilder {
      var columns = ColumnsBuilder()
      for (index, value) in numbers.enumerated() {
        columns.appendNumber(
          value,
          entityID: entity,
          attributeID: ids[.number] ?? 0,
          observedAtMicroseconds: time(index)
        )
      }
      for (index, value) in integers.enumerated() {
        columns.appendInteger(
          value,
          entityID: entity,
          attributeID: ids[.integer] ?? 0,
          observedAtMicroseconds: time(index)
        )
      }
      for (index, value) in [true, false].enumerated() {
        columns.appendFlag(
          value,
          entityID: entity,
          attributeID: ids[.flag] ?? 0,
          observedAtMicroseconds: time(index)
        )
      }
      for (index, value) in labels.enumerated() {
        columns.appendLabel(
          value,
          entityID: entity,
          attributeID: ids[.label] ?? 0,
          observedAtMicroseconds: time(index)
        )
      }
      for (index, value) in documents.enumerated() {
        columns.appendDocument(
          value,
          entityID: entity,
          attributeID: ids[.document] ?? 0,
          observedAtMicroseconds: time(index)
        )
      }
      return columns
    }

    private static func time(_ index: Int) -> Int64 { Series.start + Int64(index) }

    /// PostgreSQL's own view, in hex where text could hide something.
    private func compare(_ database: Database) async throws {
      func rows(_ expression: String, _ column: String) async throws -> [String] {
        try await database.sql(
          """
          SELECT \(expression) FROM sluice.entity_values
          WHERE \(column) IS NOT NULL ORDER BY observed_at
          """
        ).split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
      }
      let bits = Self.numbers.map { value in
        let hex = String(value.bitPattern, radix: 16)
        return String(repeating: "0", count: 16 - hex.count) + hex
      }
      #expect(try await rows("encode(float8send(number), 'hex')", "number") == bits)
      #expect(try await rows("integer", "integer") == Self.integers.map(String.init))
      #expect(try await rows("flag", "flag") == ["t", "f"])
      let hex = Self.labels.map { text in
        text.utf8.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
      }
      let labels = "replace(encode(convert_to(label, 'UTF8'), 'hex'), E'\\n', '')"
      #expect(try await rows(labels, "label") == hex)
      for (index, document) in Self.documents.enumerated() {
        let same = try await database.sql(
          """
          SELECT document::text = $json$\(document)$json$::jsonb::text FROM sluice.entity_values
          WHERE document IS NOT NULL ORDER BY observed_at OFFSET \(index) LIMIT 1
          """
        )
        #expect(same == "t", "document \(index)")
      }
      #expect(
        try await database.count(
          """
          SELECT count(*) FROM sluice.entity_values
          WHERE num_nonnulls(number, integer, flag, label, document) <> 1
          """
        ) == 0
      )
    }

    private func compareHistory(
      _ fixture: Fixture,
      _ entity: Int64,
      _ ids: [ValueType: UInt32],
      _ sent: ColumnsBuilder
    ) async throws {
      let answer = try await fixture.client.queryHistory(
        QueryHistoryRequest(
          entityIDs: [entity],
          attributeIDs: Array(ids.values),
          startMicroseconds: Series.start - 1,
          endMicroseconds: Series.start + 1_000,
          read: ReadOptions(level: .strong)
        )
      )
      #expect(answer.nextPageToken.isEmpty)
      let found = answer.columns
      #expect(found.numbers.values.map(\.bitPattern) == sent.numbers.values.map(\.bitPattern))
      #expect(found.integers == sent.integers)
      #expect(found.flags == sent.flags)
      #expect(found.labels == sent.labels)
      let documents = (0..<found.documents.count).map {
        String(decoding: found.documents.text(at: $0), as: UTF8.self)
      }
      let stored = try await fixture.database.sql(
        """
        SELECT document::text FROM sluice.entity_values WHERE document IS NOT NULL
        ORDER BY observed_at
        """
      )
      #expect(documents.count == sent.documents.count)
      #expect(documents == stored.split(separator: "\n").map(String.init))
    }

    /// The newest value of each attribute.
    private func compareHot(_ client: SluiceClient, _ entity: Int64) async throws {
      let answer = try await client.getEntity(
        GetEntityRequest(by: .entityID(entity), read: ReadOptions(level: .strong))
      )
      let values = (answer.entity?.values ?? []).reduce(into: [:]) { $0[$1.name] = $1.value }
      #expect(values["n"] == Self.numbers.last.map { .number($0) })
      #expect(values["i"] == Self.integers.last.map { .integer($0) })
      #expect(values["f"] == .flag(false))
      #expect(values["l"] == Self.labels.last.map { .label($0) })
      guard case .document(let text)? = values["d"] else {
        Issue.record("no document")
        return
      }
      #expect(text.filter { $0 != " " } == Self.documents.last)
    }

    @Test(
      "special numbers survive the hot projection",
      arguments: [
        -0.0, .nan, .infinity, -.infinity, .leastNonzeroMagnitude, 0.1 + 0.2,
      ]
    )
    func hotNumber(value: Double) async throws {
      try await Fixture.run { fixture in
        let series = try await fixture.series(isHot: true)[0]
        var columns = ColumnsBuilder()
        columns.appendNumber(
          value,
          entityID: series.entity,
          attributeID: series.attribute,
          observedAtMicroseconds: Series.start
        )
        let producer = await fixture.producer()
        try await producer.send(columns)
        try await producer.finish()
        let answer = try await fixture.client.getEntity(
          GetEntityRequest(by: .entityID(series.entity), read: ReadOptions(level: .strong))
        )
        guard case .number(let found)? = answer.entity?.values.first?.value else {
          Issue.record("no number")
          return
        }
        #expect(found.bitPattern == value.bitPattern)
      }
    }
  }
}
