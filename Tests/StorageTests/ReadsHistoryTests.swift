import EventLoop
import Testing

@testable import Storage

@Suite("pages of history", .needsDatabases)
struct ReadsHistoryTests {
  /// Many values with equal times, entities and attributes, over several partitions and the staging
  /// table.
  private static let fill = """
    SELECT setseed(0.5);
    SELECT sluice.ensure_partitions('day', 3);
    INSERT INTO sluice.entity_values (tenant_id, entity_id, attribute_id, observed_at, ingested_at, integer)
      SELECT 1, 1 + n % 3, 2, timestamptz '2024-01-01Z' + (n % 7) * interval '1 second',
        now() + (n % 3) * interval '1 day', n
      FROM generate_series(1, 2000) AS n ORDER BY random();
    """

  private static let query = HistoryQuery(
    tenant: 1,
    entityIDs: [1, 2, 3],
    attributeIDs: [2],
    startMicroseconds: 1_704_067_200_000_000,
    endMicroseconds: 1_704_067_300_000_000
  )

  @Test(
    "paging loses nothing and doubles nothing, whatever the page and the order",
    arguments: [1, 3, 94, 95, 96, 500, 5000],
    Readers.sources
  )
  func paging(limit: Int, feed: WarehouseFeed?) async throws {
    try await Readers.run(feed: feed) { readers in
      try await readers.makeAttributes()
      try await readers.database.script(ReadsHistoryTests.fill)
      for isDescending in [false, true] {
        var query = ReadsHistoryTests.query
        query.isDescending = isDescending
        // A page of one value walks over 2,000 pages: a few keys are enough there.
        if limit == 1 { query.endMicroseconds = query.startMicroseconds + 1 }
        let (seen, pages) = try await readers.all(query, limit: limit)
        let integers = seen.compactMap { seen -> Int64? in
          guard case .integer(let integer) = seen.value else { return nil }
          return integer
        }
        let expected = (1...2000).filter { limit != 1 || $0 % 7 == 0 }.map { Int64($0) }
        #expect(integers.sorted() == expected)
        let keys = seen.map { [$0.key.observedAtMicroseconds, $0.key.entityID] }
        let isSorted = zip(keys, keys.dropFirst()).allSatisfy { left, right in
          isDescending
            ? !left.lexicographicallyPrecedes(right) : !right.lexicographicallyPrecedes(left)
        }
        #expect(isSorted)
        #expect(pages >= expected.count / limit)
      }
    }
  }

  @Test(
    "pages are bounded by bytes, and one value that is too large is an error",
    arguments: Readers.sources
  )
  func bytes(feed: WarehouseFeed?) async throws {
    try await Readers.run(feed: feed) { readers in
      try await readers.makeAttributes()
      try await readers.database.script(
        """
        INSERT INTO sluice.entity_values (tenant_id, entity_id, attribute_id, observed_at, label)
          SELECT 1, 1, 4, timestamptz '2024-01-01Z' + (n / 5) * interval '1 second',
            repeat(chr(97 + n % 26), 100 + n)
          FROM generate_series(1, 300) AS n;
        INSERT INTO sluice.entity_values (tenant_id, entity_id, attribute_id, observed_at, document)
          SELECT 1, 1, 5, timestamptz '2024-01-01Z' + n * interval '1 second',
            jsonb_build_object('n', n, 'text', repeat('x', 20000))
          FROM generate_series(1, 60) AS n;
        """
      )
      var query = ReadsHistoryTests.query
      query.attributeIDs = [4, 5]
      for isDescending in [false, true] {
        query.isDescending = isDescending
        let (seen, pages) = try await readers.all(query, limit: 10_000, bytesMax: 50_000)
        #expect(seen.count == 360)
        #expect(Set(seen.map { "\($0)" }).count == 360)
        // 1.2 MB of documents, although they are stored in a few KB.
        #expect(pages >= 25)
      }
      let error = await storageFailure { [query] () throws(StorageError) in
        try await readers.history.values(
          query,
          pageToken: [],
          limit: 10,
          bytesMax: 100,
          scanRowsMax: nil,
          readers.requirement,
          deadline: soon()
        )
      }
      #expect(error == .valueTooLarge)
    }
  }

  @Test("a token of the primary is none of the warehouse, where rows have other places")
  func tokensOfSources() async throws {
    try await Readers.run { readers in
      try await readers.makeAttributes()
      try await readers.database.script(ReadsHistoryTests.fill)
      func page(
        _ level: ReadLevel,
        _ token: [UInt8]
      ) async throws(StorageError) -> HistoryPage {
        try await readers.history.values(
          ReadsHistoryTests.query,
          pageToken: token,
          limit: 10,
          bytesMax: 1 << 20,
          scanRowsMax: nil,
          ReadRequirement(level),
          deadline: soon()
        )
      }
      let token = try await page(.strong, []).nextPageToken
      let analytics = ReadLevel.analytics(maxStaleness: .seconds(300))
      let refused = await storageFailure { () throws(StorageError) in
        try await page(analytics, token)
      }
      #expect(refused == .badPageToken)
      let absent = await storageFailure { () throws(StorageError) in try await page(analytics, []) }
      #expect(absent == .noAnalyticsSource)
      #expect(try await page(.eventual(maxStaleness: .seconds(3)), token).nextPageToken != token)
    }
  }

  @Test("an altered page token, or one of another request, is refused", arguments: Readers.sources)
  func tokens(feed: WarehouseFeed?) async throws {
    try await Readers.run(feed: feed) { readers in
      try await readers.makeAttributes()
      try await readers.database.script(ReadsHistoryTests.fill)
      let query = ReadsHistoryTests.query
      func refusal(
        _ token: [UInt8],
        _ query: HistoryQuery,
        staged: Bool = false
      ) async -> StorageError? {
        await storageFailure { () throws(StorageError) in
          try await readers.history.values(
            query,
            pageToken: token,
            limit: 10,
            bytesMax: 1 << 20,
            scanRowsMax: nil,
            staged ? ReadRequirement(.strong, includesStaged: true) : readers.requirement,
            deadline: soon()
          )
        }
      }
      for limit in [10, 1000] {
        let token = try await readers.history.values(
          query,
          pageToken: [],
          limit: limit,
          bytesMax: 1 << 20,
          scanRowsMax: nil,
          readers.requirement,
          deadline: soon()
        ).nextPageToken
        #expect(await refusal(token, query) == nil)
        for index in token.indices {
          var altered = token
          altered[index] ^= 1
          #expect(await refusal(altered, query) == .badPageToken)
        }
        #expect(await refusal(Array(token.dropLast()), query) == .badPageToken)
        #expect(await refusal(token + [0], query) == .badPageToken)
        var others = Array(repeating: query, count: 5)
        others[0].entityIDs.append(4)
        others[1].attributeIDs = [2, 3]
        others[2].startMicroseconds += 1
        others[3].isDescending = true
        others[4].tenant = 2
        for other in others { #expect(await refusal(token, other) == .badPageToken) }
        #expect(await refusal(token, query, staged: true) == .badPageToken)
      }
    }
  }

  @Test("staged values come when they are asked for, once, before and after their promotion")
  func staged() async throws {
    try await Readers.run { readers in
      try await readers.makeAttributes()
      let producer = "00000000-0000-0000-0000-00000000000a"
      _ = try await readers.catalog.resolveEntities(
        tenant: 1,
        keys: ["a", "b", "c"],
        existingOnly: false,
        deadline: soon()
      )
      try await readers.database.script(
        """
        SELECT sluice.open_producer(1, '\(producer)', '\(producer)', 0::bigint);
        SELECT sluice.create_segment('\(producer)', 0);
        INSERT INTO sluice.entity_values (tenant_id, entity_id, attribute_id, observed_at, integer)
          SELECT 1, 1, 2, '2024-01-01Z', n FROM generate_series(1, 20) AS n;
        \(ReadsHistoryTests.stage(producer))
        """
      )
      let plain = try await readers.all(ReadsHistoryTests.query, limit: 7)
      #expect(plain.values.count == 20)
      let requirement = ReadRequirement(.strong, includesStaged: true)
      for isPromoted in [false, true] {
        if isPromoted {
          try await readers.database.script(
            "SELECT sluice.promote_staged('{1}', '{\(producer)}')"
          )
        }
        for limit in [1, 7, 100] {
          let (seen, _) = try await readers.all(
            ReadsHistoryTests.query,
            limit: limit,
            requirement
          )
          #expect(seen.count == 50)
          #expect(Set(seen.map { "\($0.value)" }).count == 50)
        }
        let (entity, _) = try await readers.entities.entity(
          .id(1),
          tenant: 1,
          requirement,
          deadline: soon()
        )
        #expect(entity.values.map(\.value) == [.integer(50)])
      }
    }
  }

  /// Thirty values of one key in the segment of a gateway that has the producer's id.
  static func stage(_ producer: String) -> String {
    let segment = "segment_" + producer.filter { $0 != "-" } + "_0"
    return """
      INSERT INTO sluice.\(segment)
        (entity_id, observed_at, seq, producer_id, tenant_id, attribute_id, integer)
        SELECT 1, '2024-01-01Z', n, '\(producer)', 1, 2, 20 + n FROM generate_series(1, 30) AS n;
      SELECT sluice.stage_group('\(segment)', '{1}', '{\(producer)}', '{1}', '{1}', '{30}', '{7}');
      """
  }

  @Test(
    "old partitions are pruned once the future limit is known, and nothing of the range with them"
  )
  func pruning() async throws {
    try await Readers.run { readers in
      try await readers.makeAttributes()
      try await readers.database.script(
        """
        CREATE TABLE sluice.old PARTITION OF sluice.entity_values FOR VALUES FROM ('2020-01-01') TO ('2020-02-01');
        INSERT INTO sluice.entity_values (tenant_id, entity_id, attribute_id, observed_at, ingested_at, integer)
          VALUES (1, 1, 2, '2020-01-02', '2020-01-02', 1), (1, 1, 2, '2020-01-02 00:59', '2020-01-02', 2);
        INSERT INTO sluice.settings VALUES ('future_limit_us', '3600000000');
        """
      )
      try await readers.catalog.refresh(deadline: soon())
      var query = ReadsHistoryTests.query
      query.startMicroseconds = 1_577_923_200_000_000
      #expect(try await readers.all(query, limit: 10).values.count == 2)
      let recent = HistoryStatement(
        query: ReadsHistoryTests.query,
        position: nil,
        limit: 10,
        bytesMax: 1000,
        includesStaged: false,
        hasTexts: false,
        futureLimit: 3_600_000_000
      ).statement
      let plan = try await readers.database.connection.query(
        "EXPLAIN " + recent.sql,
        recent.parameters,
        resultFormat: .text,
        deadline: soon()
      )
      let lines = (0..<plan.rowCount).compactMap { plan.text(row: $0, column: 0) }
      #expect(lines.contains { $0.contains("entity_values_p") })
      #expect(!lines.contains { $0.contains(" on old") })
    }
  }
}
