import EventLoop
import Testing

@testable import Storage

// What a warehouse with another feed answers, beside what the primary answers of the same rows.

@Suite("reads of a warehouse with another feed", .needsDatabases)
struct WarehouseReadTests {
  /// Values of all types, most of them with a key that others have, too, of four transactions.
  private static let fill = """
    SELECT setseed(0.25);
    INSERT INTO sluice.entity_values (tenant_id, entity_id, attribute_id, observed_at, ingested_at,
        number, integer, flag, label, document)
      SELECT 1, 1 + (random() * 2)::int, a,
        timestamptz '2024-03-30Z' + (random() * 20)::int * interval '2 h 30 min 0.000001 s',
        timestamptz '2024-04-02Z' + (random() * 3)::int * interval '1 microsecond',
        CASE a WHEN 1 THEN (ARRAY['NaN', '-0', '0', 'Infinity', '-Infinity', '1.7e308', '-1.7e308',
          '5e-324', '0.1', '-3.5'])[1 + (random() * 9)::int]::float8 END,
        CASE a WHEN 2 THEN (ARRAY[9223372036854775807, -9223372036854775808, 9007199254740993,
          9007199254740992, 0, -1])[1 + (random() * 5)::int] END,
        CASE a WHEN 3 THEN random() < 0.5 END,
        CASE a WHEN 4 THEN repeat(chr(97 + (random() * 3)::int), (random() * 40)::int) END,
        CASE a WHEN 5 THEN jsonb_build_object('n', (random() * 3)::int,
          'text', repeat('x', (random() * 300)::int)) END
      FROM generate_series(1, 4000) AS n, LATERAL (SELECT 1 + n % 5) AS t(a);
    """

  private static let query = HistoryQuery(
    tenant: 1,
    entityIDs: [3, 1, 2, 3],
    attributeIDs: [1, 2, 3, 4, 5],
    startMicroseconds: 1_711_756_800_000_000,
    endMicroseconds: 1_712_016_000_000_000
  )

  /// To the last bit.
  private static func text(_ seen: Seen) -> String {
    guard case .number(let number) = seen.value else { return "\(seen)" }
    return "\(seen.key) \(number.isNaN ? "NaN" : "\(number.bitPattern)")"
  }

  @Test("pages have the same values in the order of their keys, whatever their size")
  func pages() async throws {
    try await Readers.run(feed: .ordered) { readers in
      try await readers.makeAttributes()
      // Whatever a server writes of a number by itself, the last bit comes along.
      try await readers.database.script(
        """
        DO $$ BEGIN
          EXECUTE format('ALTER DATABASE %I SET extra_float_digits = 0', current_database());
        END $$;
        \(WarehouseReadTests.fill)
        """
      )
      let strong = ReadRequirement(.strong)
      // Of one value each there are thousands of pages: some hours will do.
      let cases: [(attributes: [UInt32], limits: [Int], hours: Int64)] = [
        ([1, 2, 3], [1], 6), ([1, 2, 3], [7, 10_000], 72), ([1, 2, 3, 4, 5], [3, 40, 600], 72),
      ]
      for (attributes, limits, hours) in cases {
        for isDescending in [false, true] {
          var query = WarehouseReadTests.query
          query.attributeIDs = attributes
          query.isDescending = isDescending
          query.endMicroseconds = query.startMicroseconds + hours * 3_600_000_000
          let expected = try await readers.all(query, limit: 10_000, strong).values
          try #require(expected.count > 100)
          let texts = expected.map(WarehouseReadTests.text).sorted()
          for limit in limits {
            let found = try await readers.all(query, limit: limit, bytesMax: 30_000).values
            #expect(found.map(\.key) == expected.map(\.key), "\(limit)")
            #expect(found.map(WarehouseReadTests.text).sorted() == texts, "\(limit)")
          }
        }
      }
    }
  }

  /// Grids that cut days of 23 and 25 hours, months, and days that a zone has not.
  private static let grids: [BucketGrid] =
    [.init(.width(1_000_003)), .init(.width(7_200_000_000)), .init(.width(BucketGrid.widthMax))]
    + ["Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Apia", "UTC"].flatMap {
      name -> [BucketGrid] in
      let zone = TimeZoneName(name)
      return BucketGrid.Unit.allCases.map { BucketGrid(.calendar($0), zone: zone) }
        + [7_000_000_000, 86_400_000_000].map { BucketGrid(.width($0), zone: zone) }
    } + BucketGrid.Unit.allCases.map { BucketGrid(.calendar($0)) }

  @Test("buckets have the same figures, to the last bit where that can be")
  func buckets() async throws {
    try await Readers.run(feed: .ordered) { readers in
      try await readers.makeAttributes()
      // Quarters, whose sums are exact in any order.
      try await readers.database.script(
        """
        \(WarehouseReadTests.fill)
        DELETE FROM sluice.entity_values WHERE abs(number) IN (1.7e308, 0.1, 5e-324);
        INSERT INTO sluice.entity_values
          (tenant_id, entity_id, attribute_id, observed_at, number)
          SELECT 1, 1 + (random() * 2)::int, 1,
            timestamptz '2024-03-30Z' + (random() * 259200)::int * interval '1 second',
            (random() * 8000000 - 4000000)::int / 4.0
          FROM generate_series(1, 3000)
        """
      )
      var query = WarehouseReadTests.query
      query.attributeIDs = [2, 1]
      for grid in WarehouseReadTests.grids {
        for fill in [Aggregate.Fill.none, .previous] {
          // A second's buckets of three days are more than an answer holds.
          if fill != .none, case .width(1_000_003) = grid.step { continue }
          let aggregate = Aggregate(
            grid,
            percentiles: [0, 0.1, 0.5, 0.999, 1],
            hasDeviation: false,
            fill: fill
          )
          let strong = ReadRequirement(.strong)
          let expected = try await readers.buckets(query, aggregate, strong)
          let found = try await readers.buckets(query, aggregate)
          WarehouseReadTests.compare(found, expected, "\(grid) \(fill)")
        }
      }
    }
  }

  private static func compare(_ found: HistoryBuckets, _ expected: HistoryBuckets, _ what: String) {
    #expect(found.startsMicroseconds == expected.startsMicroseconds, "\(what)")
    #expect(found.entityIDs == expected.entityIDs && found.attributeIDs == expected.attributeIDs)
    #expect(found.counts == expected.counts && found.integers == expected.integers, "\(what)")
    func same(_ column: KeyPath<HistoryBuckets, [Double]>, _ name: String) {
      let pairs = zip(found[keyPath: column], expected[keyPath: column])
      let count = found[keyPath: column].count
      let isSame = pairs.allSatisfy { $0 == $1 || $0.isNaN && $1.isNaN }
      #expect(isSame && count == expected[keyPath: column].count, "\(name) of \(what)")
    }
    same(\.minima, "minima")
    same(\.maxima, "maxima")
    same(\.firsts, "firsts")
    same(\.lasts, "lasts")
    same(\.percentiles, "percentiles")
    // Integers as large as that are summed up in another order with another end.
    for (index, attribute) in expected.attributeIDs.enumerated() where attribute == 1 {
      let (sum, other) = (found.sums[index], expected.sums[index])
      #expect(sum == other || sum.isNaN && other.isNaN, "sums of \(what)")
    }
  }

  @Test("existence is told of the same entities")
  func existence() async throws {
    try await Readers.run(feed: .ordered) { readers in
      try await readers.makeAttributes()
      try await readers.database.script(WarehouseReadTests.fill)
      var query = WarehouseReadTests.query
      for length: Int64 in [0, 1, 2, 9_000_000_000, 20_000_000_000, 100_000_000_000] {
        for attributes in [[], [5], [1, 2]] as [[UInt32]] {
          query.attributeIDs = attributes
          query.endMicroseconds = query.startMicroseconds + length
          var answers: [[Int64]] = []
          for requirement in [ReadRequirement(.strong), readers.requirement] {
            answers.append(
              try await readers.history.entitiesWithValues(
                query,
                scanRowsMax: nil,
                requirement,
                deadline: soon()
              ).entityIDs
            )
          }
          #expect(answers[0] == answers[1])
        }
      }
    }
  }

  // MARK: Lists

  @Test("texts that differ by blanks at the end differ, also where the server does not see them")
  func blanks() async throws {
    try await UpsertWorld.run(feed: .ordered) { world in
      let keys = ["k", "k ", "k  ", "ka", "l"]
      let ids = try await world.readers.catalog.resolveEntities(
        tenant: 1,
        keys: keys,
        existingOnly: false,
        deadline: soon()
      )
      let labels = ["x", "x ", "x", "x  ", "y"]
      _ = await world.write(
        zip(ids, labels).map { id, label in
          Upsert(
            tenant: 1,
            entityID: id,
            values: [UpsertValue(attributeID: 4, value: .label(label))]
          )
        }
      )
      try await world.readers.database.script(
        """
        CREATE COLLATION blind (provider = icu, locale = 'und-u-ka-shifted', deterministic = false);
        ALTER TABLE sluice.entities DROP CONSTRAINT entities_tenant_id_external_key_key,
          ALTER external_key TYPE text COLLATE blind
        """
      )
      func found(_ list: EntityList, limit: Int) async throws -> [String] {
        try await world.page(list, limit: limit).map(\.externalKey)
      }
      for limit in 1...6 {
        var list = EntityList(tenant: 1, prefix: "k")
        #expect(try await found(list, limit: limit) == ["k", "k ", "k  ", "ka"])
        list.order.isDescending = true
        #expect(try await found(list, limit: limit) == ["ka", "k  ", "k ", "k"])
        list = EntityList(tenant: 1, prefix: "k", order: EntityOrder(attributeID: 4))
        #expect(try await found(list, limit: limit) == ["k", "k  ", "k ", "ka"])
        list.prefix = "k "
        #expect(try await found(list, limit: limit) == ["k  ", "k "])
      }
      let expected: [(EntityFilter.Relation, [String])] = [
        (.equal, ["k "]), (.notEqual, ["k", "k  ", "ka", "l"]), (.less, ["k", "k  "]),
        (.lessOrEqual, ["k", "k ", "k  "]), (.greater, ["ka", "l"]),
        (.greaterOrEqual, ["k ", "ka", "l"]), (.prefix, ["k ", "ka"]),
      ]
      for (relation, keys) in expected {
        let step = EntityFilter.Step.comparison(attributeID: 4, relation, .label("x "))
        let list = EntityList(tenant: 1, filter: EntityFilter([step]))
        #expect(try await found(list, limit: 10) == keys, "\(relation)")
      }
    }
  }

  // MARK: Proofs

  @Test("an unordered feed proves nothing: estimates, no floors, nothing monotonic")
  func unordered() async throws {
    try await UpsertWorld.run(feed: .unordered) { world in
      _ = await world.write([UpsertWorld.number(1)])
      let readers = world.readers
      func failure(_ requirement: ReadRequirement) async -> StorageError? {
        await storageFailure { () throws(StorageError) in
          try await readers.entities.entities(
            named: [.id(1)],
            bytesMax: 1 << 20,
            tenant: 1,
            requirement,
            deadline: soon()
          )
        }
      }
      let (found, proof) = try await readers.entities.entities(
        named: [.id(1)],
        bytesMax: 1 << 20,
        tenant: 1,
        readers.requirement,
        deadline: soon()
      )
      #expect(found[0]?.values.first?.value == .number(1))
      #expect(proof.asOf.isEstimated && proof.staleness > .zero && !proof.isDegraded)
      var requirement = readers.requirement
      requirement.isMonotonic = true
      #expect(await failure(requirement) == .noveltyUnknown)
      requirement = readers.requirement
      var floor = proof.asOf
      floor.isEstimated = false
      requirement.floors = [floor]
      #expect(await failure(requirement) == .floorsUnprovable)
      requirement.allowsDegraded = true
      #expect(await failure(requirement) == nil)
      let (list, _, _) = try await readers.entities.entities(
        EntityList(tenant: 1),
        pageToken: [],
        limit: 1,
        bytesMax: 1 << 20,
        readers.requirement,
        deadline: soon()
      )
      #expect(list.map(\.id) == [1])
    }
  }

  @Test("an ordered feed proves floors, and still does not tell how new an answer is")
  func ordered() async throws {
    try await Readers.run(feed: .ordered) { readers in
      func read(_ requirement: ReadRequirement) async throws(StorageError) -> ReadProof {
        try await readers.router.read(
          [PostgresStatement("SELECT 1")],
          requirement,
          deadline: soon()
        ).proof
      }
      let proof = try await read(readers.requirement)
      #expect(!proof.asOf.isEstimated && FreshnessToken(proof.asOf.bytes) == proof.asOf)
      var requirement = readers.requirement
      requirement.floors = [proof.asOf]
      #expect(try await !read(requirement).isDegraded)
      requirement.isMonotonic = true
      let error = await storageFailure { [requirement] () throws(StorageError) in
        try await read(requirement)
      }
      #expect(error == .noveltyUnknown)
    }
  }
}
