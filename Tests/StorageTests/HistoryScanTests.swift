import EventLoop
import Testing

@testable import Storage

// What reads of history scan: which rows, by which index, and when they refuse to.

@Suite("scans of history", .needsDatabases)
struct HistoryScanTests {
  /// A day of values of a hundred entities in a closed partition, one in a hundred of them observed
  /// a day before they came in together, and one entity that was there for a minute only.
  private static let day = """
    CREATE TABLE sluice.old PARTITION OF sluice.entity_values
      FOR VALUES FROM ('2024-01-02Z') TO ('2024-01-03Z');
    INSERT INTO sluice.entity_values
      (tenant_id, entity_id, attribute_id, observed_at, ingested_at, number)
      SELECT 1, 1 + n % 100, 1,
        t - CASE WHEN n BETWEEN 100000 AND 101999 THEN interval '1 day' ELSE '0' END, t, n
      FROM generate_series(0, 199999) AS n,
        LATERAL (SELECT timestamptz '2024-01-02Z' + n * interval '430 ms') AS at(t);
    INSERT INTO sluice.entity_values
      (tenant_id, entity_id, attribute_id, observed_at, ingested_at, number)
      SELECT 1, 500, 1, timestamptz '2024-01-02 20:00Z' + n * interval '1 s', '2024-01-02 23:59Z', n
      FROM generate_series(0, 59) AS n;
    SELECT brin_summarize_new_values(indexrelid) FROM pg_index
      WHERE indrelid = 'sluice.old'::regclass;
    ANALYZE sluice.old;
    INSERT INTO sluice.settings VALUES ('future_limit_us', '3600000000');
    """

  private static let midnight: Int64 = 1_704_153_600_000_000
  private static let hour: Int64 = 3_600_000_000

  private static func query(
    _ entities: [Int64],
    _ attributes: [UInt32] = [1],
    hours: Range<Int64>
  ) -> HistoryQuery {
    HistoryQuery(
      tenant: 1,
      entityIDs: entities,
      attributeIDs: attributes,
      startMicroseconds: midnight + hours.lowerBound * hour,
      endMicroseconds: midnight + hours.upperBound * hour
    )
  }

  /// Runs `body` over the day.
  private static func run(
    feed: WarehouseFeed? = nil,
    _ body: @escaping @Sendable (Readers) async throws -> Void
  ) async throws {
    try await Readers.run(feed: feed) { readers in
      try await readers.makeAttributes()
      try await readers.database.script(day)
      try await readers.catalog.refresh(deadline: soon())
      try await body(readers)
    }
  }

  /// The plan of a statement, a line each.
  private static func plan(
    _ statement: PostgresStatement,
    _ readers: Readers,
    options: String = ""
  ) async throws -> [String] {
    let plan = try await readers.database.connection.query(
      "EXPLAIN \(options) " + statement.sql,
      statement.parameters,
      resultFormat: .text,
      deadline: soon()
    )
    return (0..<plan.rowCount).compactMap { plan.text(row: $0, column: 0) }
  }

  @Test("raw values, buckets and existence are found by the index on observed times")
  func index() async throws {
    try await HistoryScanTests.run { readers in
      let query = HistoryScanTests.query([1, 2], hours: 5..<6)
      let range = HistoryRange(
        query: query,
        futureLimit: readers.catalog.futureLimitMicroseconds
      )
      let raw = HistoryStatement(
        query: query,
        limit: 10_000,
        bytesMax: 1 << 20,
        includesStaged: false,
        hasTexts: false,
        futureLimit: readers.catalog.futureLimitMicroseconds
      )
      let buckets = AggregateStatement(
        range: range,
        aggregate: Aggregate(BucketGrid(.width(60_000_000)), percentiles: [0.5]),
        bucketsMax: 100,
        includesStaged: false,
        hasIntegers: true
      )
      let exists = ExistsStatement(range: range, includesStaged: false)
      let ofWarehouse = [
        PortableHistoryStatement(page: raw).statement,
        PortableAggregateStatement(
          range: range,
          aggregate: buckets.aggregate,
          bucketsMax: 100,
          hasIntegers: true
        ).statement,
        PortableExistsStatement(range: range).statement,
      ]
      for statement in [raw.statement, buckets.statement, exists.statement] + ofWarehouse {
        let lines = try await HistoryScanTests.plan(
          statement,
          readers,
          options: "(ANALYZE, TIMING off, BUFFERS)"
        )
        #expect(lines.contains { $0.contains("old_observed_at_idx") }, "\(lines)")
        #expect(!lines.contains { $0.contains("Seq Scan on old") }, "\(lines)")
      }
      // An hour of a day, and what came late: far from all of its 2,000 pages and more.
      let lines = try await HistoryScanTests.plan(
        buckets.statement,
        readers,
        options: "(ANALYZE, TIMING off)"
      )
      let blocks = lines.compactMap { line -> Int? in
        line.split(separator: "lossy=").last.flatMap { line.contains("lossy=") ? Int($0) : nil }
      }
      let size = try await readers.database.value("SELECT pg_relation_size('sluice.old') / 8192")
      let pages = try #require(size.flatMap { Int($0) })
      #expect(blocks.reduce(0, +) > 0 && blocks.reduce(0, +) < pages / 3, "\(blocks) of \(pages)")
    }
  }

  @Test("values that came in late are found by their observed time", arguments: Readers.sources)
  func late(feed: WarehouseFeed?) async throws {
    try await HistoryScanTests.run(feed: feed) { readers in
      // They came in together around noon of the next day.
      let query = HistoryScanTests.query(Array(1...100), hours: -13..<(-11))
      let found = try await readers.all(query, limit: 1_000).values.count
      #expect(found == 2_000)
      let buckets = try await readers.buckets(
        query,
        Aggregate(BucketGrid(.width(HistoryScanTests.hour)))
      )
      #expect(buckets.counts.reduce(0, +) == UInt64(found))
      let exists = try await HistoryScanTests.exists(readers, query)
      #expect(exists == Array(1...100))
    }
  }

  // MARK: The guard

  private static func refusal(
    _ readers: Readers,
    _ query: HistoryQuery,
    _ rowsMax: Int64?
  ) async -> [StorageError?] {
    let raw = await storageFailure { () throws(StorageError) in
      try await readers.history.values(
        query,
        pageToken: [],
        limit: 10,
        bytesMax: 1 << 20,
        scanRowsMax: rowsMax,
        readers.requirement,
        deadline: soon()
      )
    }
    let buckets = await storageFailure { () throws(StorageError) in
      try await readers.history.buckets(
        query,
        Aggregate(BucketGrid(.width(hour))),
        bucketsMax: 100,
        bytesMax: 4 << 20,
        scanRowsMax: rowsMax,
        readers.requirement,
        deadline: soon()
      )
    }
    let exists = await storageFailure { () throws(StorageError) in
      try await readers.history.entitiesWithValues(
        query,
        scanRowsMax: rowsMax,
        readers.requirement,
        deadline: soon()
      )
    }
    return [raw, buckets, exists]
  }

  @Test("a warehouse that has no planner to ask is not guarded")
  func unguarded() async throws {
    try await HistoryScanTests.run(feed: .ordered) { readers in
      let day = HistoryScanTests.query([1], hours: 0..<24)
      #expect(await HistoryScanTests.refusal(readers, day, 100_000) == [nil, nil, nil])
    }
  }

  @Test("a read that would scan too much says how much, and goes on when it is told to")
  func guarded() async throws {
    try await HistoryScanTests.run { readers in
      let day = HistoryScanTests.query([1], hours: 0..<24)
      for error in await HistoryScanTests.refusal(readers, day, 100_000) {
        guard case .tooExpensive(let cost, rowsMax: 100_000)? = error else {
          Issue.record("\(String(describing: error))")
          continue
        }
        #expect((180_000...220_000).contains(cost.rows), "\(cost)")
        #expect((1_000...4_000).contains(cost.pages), "\(cost)")
      }
      #expect(await HistoryScanTests.refusal(readers, day, nil) == [nil, nil, nil])
      #expect(await HistoryScanTests.refusal(readers, day, 1_000_000) == [nil, nil, nil])
      // An hour of it is some 8,400 rows.
      let hour = HistoryScanTests.query([1], hours: 5..<6)
      #expect(await HistoryScanTests.refusal(readers, hour, 20_000) == [nil, nil, nil])
      for error in await HistoryScanTests.refusal(readers, hour, 4_000) {
        guard case .tooExpensive? = error else {
          Issue.record("\(String(describing: error))")
          continue
        }
      }
      // A minute is not asked for; what lies before all partitions costs nothing.
      var minute = hour
      minute.endMicroseconds = minute.startMicroseconds + ScanGuard.freeMicroseconds
      #expect(await HistoryScanTests.refusal(readers, minute, 1) == [nil, nil, nil])
      var future = day
      future.startMicroseconds += 10 * 365 * 24 * HistoryScanTests.hour
      future.endMicroseconds += 11 * 365 * 24 * HistoryScanTests.hour
      #expect(await HistoryScanTests.refusal(readers, future, 1) == [nil, nil, nil])
    }
  }

  @Test("a partition without statistics counts as full")
  func unanalyzed() async throws {
    try await Readers.run { readers in
      try await readers.makeAttributes()
      try await readers.database.script(
        """
        ALTER TABLE sluice.entity_values_default SET (autovacuum_enabled = off);
        INSERT INTO sluice.entity_values
          (tenant_id, entity_id, attribute_id, observed_at, ingested_at, number)
          SELECT 1, 1, 1, timestamptz '2024-01-02Z' + n * interval '1 s', '2024-01-03Z', n
          FROM generate_series(0, 9999) AS n
        """
      )
      let query = HistoryScanTests.query([1], hours: 0..<24)
      for error in await HistoryScanTests.refusal(readers, query, 5_000) {
        guard case .tooExpensive(let cost, rowsMax: 5_000)? = error else {
          Issue.record("\(String(describing: error))")
          continue
        }
        #expect((8_000...20_000).contains(cost.rows), "\(cost)")
      }
    }
  }

  // MARK: Existence

  private static func exists(
    _ readers: Readers,
    _ query: HistoryQuery,
    staged: Bool = false
  ) async throws -> [Int64] {
    try await readers.history.entitiesWithValues(
      query,
      scanRowsMax: nil,
      staged ? ReadRequirement(.strong, includesStaged: true) : readers.requirement,
      deadline: soon()
    ).entityIDs
  }

  @Test(
    "existence is told of each entity, in the range and of the attributes alone",
    arguments: Readers.sources
  )
  func existence(feed: WarehouseFeed?) async throws {
    try await HistoryScanTests.run(feed: feed) { readers in
      // More of them than are looked for one by one.
      let many = Array(90...120) + [500] as [Int64]
      let found = Array(90...100) + [500] as [Int64]
      let cases: [(entities: [Int64], attributes: [UInt32], hours: Range<Int64>, found: [Int64])] =
        [
          ([500, 3, 999, 3], [1], 0..<24, [3, 500]), ([500, 3], [1], 0..<20, [3]),
          ([500], [1], 20..<21, [500]), ([500, 3], [2], 0..<24, []),
          ([500, 3], [2, 1], 0..<24, [3, 500]), ([500, 3], [], 0..<24, [3, 500]),
          (many, [1], 0..<24, found), (many, [], 20..<21, found), (many, [2], 0..<24, []),
        ]
      for one in cases {
        let query = HistoryScanTests.query(one.entities, one.attributes, hours: one.hours)
        let exists = try await HistoryScanTests.exists(readers, query)
        #expect(exists == one.found, "\(one)")
      }
      // Start included, end excluded.
      var query = HistoryScanTests.query([500], hours: 20..<21)
      query.endMicroseconds = query.startMicroseconds
      #expect(try await HistoryScanTests.exists(readers, query) == [])
      query.endMicroseconds += 1
      #expect(try await HistoryScanTests.exists(readers, query) == [500])
      let unknown = await storageFailure { () throws(StorageError) in
        try await readers.history.entitiesWithValues(
          HistoryScanTests.query([1], [1, 77], hours: 0..<1),
          scanRowsMax: nil,
          readers.requirement,
          deadline: soon()
        )
      }
      #expect(unknown == .attributeNotFound(index: 1))
    }
  }

  @Test("staged values exist when they are asked for", arguments: [1, 20])
  func staged(count: Int) async throws {
    try await Readers.run { readers in
      try await readers.makeAttributes()
      let producer = "00000000-0000-0000-0000-00000000000a"
      _ = try await readers.catalog.resolveEntities(
        tenant: 1,
        keys: ["a"],
        existingOnly: false,
        deadline: soon()
      )
      try await readers.database.script(
        """
        SELECT sluice.open_producer(1, '\(producer)', '\(producer)', 0::bigint);
        SELECT sluice.create_segment('\(producer)', 0);
        \(ReadsHistoryTests.stage(producer))
        """
      )
      let query = HistoryQuery(
        tenant: 1,
        entityIDs: (1...Int64(count)).map { $0 },
        attributeIDs: [],
        startMicroseconds: 1_704_067_200_000_000,
        endMicroseconds: 1_704_067_300_000_000
      )
      #expect(try await HistoryScanTests.exists(readers, query) == [])
      #expect(try await HistoryScanTests.exists(readers, query, staged: true) == [1])
    }
  }

  @Test("closed partitions get an index of their entities, once, and existence is told by it")
  func bloom() async throws {
    try await HistoryScanTests.run { readers in
      let sql = "SELECT string_agg(p, ',') FROM sluice.index_closed_partitions(10) AS p"
      #expect(try await readers.database.value(sql) == "old")
      #expect(try await readers.database.value(sql) == nil)
      let rare = HistoryScanTests.query([500], hours: 0..<24)
      #expect(try await HistoryScanTests.exists(readers, rare) == [500])
      #expect(try await readers.all(rare, limit: 100).values.count == 60)
      // This one has too few pages for the planner to prefer it; alone it is taken.
      try await readers.database.script(
        """
        DROP INDEX sluice.entity_values_observed, sluice.entity_values_ingested;
        SET enable_seqscan = off
        """
      )
      let query = HistoryScanTests.query([7_777], hours: 0..<24)
      let statement = ExistsStatement(
        range: HistoryRange(query: query, futureLimit: readers.catalog.futureLimitMicroseconds),
        includesStaged: false
      ).statement
      let lines = try await HistoryScanTests.plan(
        statement,
        readers,
        options: "(ANALYZE, TIMING off)"
      )
      #expect(lines.contains { $0.contains("old_entity_id_idx") }, "\(lines)")
      // No page is read, but for one range in a hundred that is taken for another.
      let removed = lines.filter { $0.contains("Rows Removed by Index Recheck") }
        .compactMap { $0.split(separator: " ").last.flatMap { Int($0) } }
      #expect(removed.reduce(0, +) < 30_000, "\(lines)")
      #expect(try await HistoryScanTests.exists(readers, query) == [])
    }
  }
}
