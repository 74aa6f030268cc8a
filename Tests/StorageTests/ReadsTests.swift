import EventLoop
import Testing

@testable import Storage

/// What the tests of reads share.
struct Readers {
  let database: TestDatabase
  let catalog: Catalog
  let router: ReadRouter
  /// What reads ask for where nothing else is said.
  var requirement = ReadRequirement(.strong)
  var entities: EntityReader { EntityReader(router: router, catalog: catalog) }
  var history: HistoryReader { HistoryReader(router: router, catalog: catalog) }

  /// Runs `body` with readers over a database of its own.
  ///
  /// - Parameters:
  ///   - feed: not nil when the database is the warehouse, too, with its heartbeat as the proof,
  ///     and with an order of texts of its own.
  ///   - body: the test.
  /// - Throws: what the test throws.
  static func run(
    feed: WarehouseFeed? = nil,
    _ body: @escaping @Sendable (Readers) async throws -> Void
  ) async throws {
    try await TestDatabase.run(isEnglish: feed != nil) { database in
      let pool = database.pool()
      var readers = Readers(
        database: database,
        catalog: Catalog(pool: pool, loop: database.loop),
        router: ReadRouter(
          primary: pool,
          primaryDSN: database.dsn,
          nodes: feed.map { feed in
            let dsn = database.dsn
            return [ReadNodeSettings(name: "warehouse", origin: .warehouse, dsn: dsn, feed: feed)]
          } ?? [],
          connections: 4,
          loop: database.loop
        )
      )
      if feed != nil {
        try await readers.startWarehouse()
        readers.requirement = ReadRequirement(.analytics(maxStaleness: .seconds(3_600)))
      }
      try await body(readers)
      if feed != nil { await readers.router.shutDown() }
      await pool.shutdown(deadline: soon(.seconds(1)))
    }
  }

  /// The primary, and a warehouse that understands nothing of PostgreSQL's own.
  static let sources: [WarehouseFeed?] = [nil, .ordered]

  /// Starts the clock, and writes a heartbeat behind its first sample, once and for all: what is
  /// committed later is there all the same, and the bound is an hour.
  private func startWarehouse() async throws {
    let router = router
    nonisolated(unsafe) let running = router
    database.loop.spawn { await unsafe running.runClock() }
    database.loop.spawn { await unsafe running.runWatch(0) }
    while router.status.first?.proven == nil { await pause(.milliseconds(20), on: database.loop) }
    try await database.script("SELECT sluice.beat()")
    while router.status.last?.proven?.lsn.value ?? 0 == 0 {
      await pause(.milliseconds(20), on: database.loop)
    }
  }

  /// Point reads whose queries run in tasks of the loop.
  func pointReads() -> PointReads {
    let loop = database.loop
    nonisolated(unsafe) weak var running: PointReads?
    let reads = PointReads(entities) {
      loop.spawn { await unsafe running?.runNext() }
    }
    unsafe running = reads
    return reads
  }

  /// Attributes 1 to 5 of the five types, all hot.
  func makeAttributes() async throws {
    let types = ValueType.allCases
    _ = try await catalog.resolveAttributes(
      tenant: 1,
      types.map { WantedAttribute(name: "\($0)", type: $0, isHot: true) },
      deadline: soon()
    )
  }

  /// All pages of a query.
  func all(
    _ query: HistoryQuery,
    limit: Int,
    bytesMax: Int = 1 << 20,
    _ requirement: ReadRequirement? = nil
  ) async throws -> (values: [Seen], pages: Int) {
    var (collector, token, pages) = (Collector(), [UInt8](), 0)
    repeat {
      let page = try await history.values(
        query,
        pageToken: token,
        limit: limit,
        bytesMax: bytesMax,
        scanRowsMax: nil,
        requirement ?? self.requirement,
        deadline: soon()
      )
      #expect(page.count <= limit)
      try page.visit(&collector)
      token = page.nextPageToken
      pages += 1
      try #require(pages < 10_000, "pages come to an end")
    } while !token.isEmpty
    return (collector.seen, pages)
  }
}

/// A value and its key.
struct Seen: Equatable {
  var key: HistoryKey
  var value: StoredValue
}

/// Gathers the values of pages.
struct Collector: HistoryVisitor {
  var seen: [Seen] = []

  mutating func number(_ value: Double, _ key: HistoryKey) { add(.number(value), key) }
  mutating func integer(_ value: Int64, _ key: HistoryKey) { add(.integer(value), key) }
  mutating func flag(_ value: Bool, _ key: HistoryKey) { add(.flag(value), key) }
  mutating func label(_ text: RawSpan, _ key: HistoryKey) { add(.label(string(text)), key) }
  mutating func document(_ json: RawSpan, _ key: HistoryKey) { add(.document(string(json)), key) }

  private mutating func add(_ value: StoredValue, _ key: HistoryKey) {
    seen.append(Seen(key: key, value: value))
  }

  private func string(_ text: RawSpan) -> String {
    unsafe text.withUnsafeBytes { unsafe String(decoding: $0, as: UTF8.self) }
  }
}

/// Equal to the last bit, so that NaN equals NaN and -0.0 does not equal 0.
func isSame(_ left: StoredValue, _ right: StoredValue) -> Bool {
  guard case .number(let left) = left, case .number(let right) = right else { return left == right }
  return left.bitPattern == right.bitPattern || left.isNaN && right.isNaN
}

@Suite("reads", .needsDatabases)
struct ReadsTests {
  static let values: [StoredValue] = [
    .number(0), .number(-0.0), .number(1.5), .number(.nan), .number(.infinity),
    .number(-.infinity), .number(.leastNonzeroMagnitude), .number(.greatestFiniteMagnitude),
    .number(-1e-308), .number(0.1), .number(1e22), .number(9_007_199_254_740_992),
    .integer(0), .integer(.min), .integer(.max), .integer(-1), .integer(9_007_199_254_740_993),
    .flag(true), .flag(false),
    .label(""), .label("plain"), .label("\"q\" \\ / \u{8}\u{c}\n\r\t\u{1f} 𝄞 é \u{7f}"),
    .label("NaN"), .label("{\"a\": [1, \"}\"]}"), .label("'; DROP TABLE sluice.entities; --"),
    .document("null"), .document("{}"), .document("[]"), .document("\"text\""),
    .document("{\"a\": [1, 2.50, {\"b\": \"} , : \\\" \\\\\"}], \"c\": null}"),
    .document("12345678901234567890.123456789"),
  ]

  @Test(
    "every value comes back from the projection as it was",
    arguments: values,
    Readers.sources
  )
  func projection(_ value: StoredValue, feed: WarehouseFeed?) async throws {
    try await Readers.run(feed: feed) { readers in
      try await readers.makeAttributes()
      let id = try await readers.catalog.resolveEntities(
        tenant: 1,
        keys: ["it"],
        existingOnly: false,
        deadline: soon()
      )[0]
      try await readers.insert(value, entity: id, at: 1_700_000_000_000_001)
      // As the lanes fold it.
      try await readers.database.script(
        """
        SELECT sluice.upsert_hot_attrs(array_agg(tenant_id), array_agg(entity_id),
          array_agg(attribute_id), array_agg((extract(epoch FROM observed_at) * 1000000)::bigint),
          array_agg(sluice.hot_text(number, integer, flag, label, document)), 1048576)
        FROM sluice.entity_values
        """
      )
      for key in [EntityReader.Key.id(id), .externalKey("it")] {
        let (entity, proof) = try await readers.pointReads().entity(
          key,
          tenant: 1,
          readers.requirement,
          deadline: soon()
        )
        #expect(entity.id == id && entity.externalKey == "it" && entity.version == 1)
        #expect(entity.values.count == 1)
        let newest = try #require(entity.values.first)
        #expect(isSame(newest.value, value))
        #expect(newest.observedAtMicroseconds == 1_700_000_000_000_001)
        #expect(newest.name == "\(value.type)")
        #expect(proof.origin == (feed == nil ? .primary : .warehouse))
        #expect(proof.asOf.lsn.value > 0)
      }
    }
  }

  @Test(
    "every value comes back from history as it was, at every time there is",
    arguments: Readers.sources
  )
  func history(feed: WarehouseFeed?) async throws {
    try await Readers.run(feed: feed) { readers in
      try await readers.makeAttributes()
      let times: [Int64] = [
        -62_135_596_800_000_000, -1, 0, 1, 946_684_800_000_000, 1_700_000_000_123_456,
      ]
      var expected: [Seen] = []
      for (index, value) in ReadsTests.values.enumerated() {
        let time = times[index % times.count]
        try await readers.insert(value, entity: Int64(index), at: time)
        let key = HistoryKey(
          entityID: Int64(index),
          attributeID: UInt32(value.type.rawValue),
          observedAtMicroseconds: time
        )
        expected.append(Seen(key: key, value: value))
      }
      expected.sort {
        ($0.key.observedAtMicroseconds, $0.key.entityID) < (
          $1.key.observedAtMicroseconds, $1.key.entityID
        )
      }
      let query = HistoryQuery(
        tenant: 1,
        entityIDs: Array(0..<Int64(expected.count)),
        attributeIDs: Array(1...5),
        startMicroseconds: .min,
        endMicroseconds: .max
      )
      for limit in [1, 7, 1000] {
        let (seen, _) = try await readers.all(query, limit: limit)
        #expect(seen.map(\.key) == expected.map(\.key))
        #expect(zip(seen, expected).allSatisfy { isSame($0.value, $1.value) })
      }
      let error = await storageFailure { () throws(StorageError) in
        var stranger = query
        stranger.tenant = 2
        return try await readers.history.values(
          stranger,
          pageToken: [],
          limit: 10,
          bytesMax: 1 << 20,
          scanRowsMax: nil,
          ReadRequirement(.strong),
          deadline: soon()
        )
      }
      #expect(error == .attributeNotFound(index: 0))
    }
  }

  @Test("there is no such entity, or nothing of it was folded, or part of its name is asked for")
  func missing() async throws {
    try await Readers.run { readers in
      let id = try await readers.catalog.resolveEntities(
        tenant: 1,
        keys: ["a"],
        existingOnly: false,
        deadline: soon()
      )[0]
      let (entity, _) = try await readers.entities.entity(
        .id(id),
        tenant: 1,
        ReadRequirement(.strong),
        deadline: soon()
      )
      #expect(entity == HotEntity(id: id, externalKey: "a", version: 0, values: []))
      for (key, tenant) in [
        (EntityReader.Key.id(id + 1), Int32(1)), (.id(id), 2), (.externalKey("%"), 1),
        (.externalKey("a' OR '1'='1"), 1),
      ] {
        let error = await storageFailure { () throws(StorageError) in
          try await readers.entities.entity(
            key,
            tenant: tenant,
            ReadRequirement(.strong),
            deadline: soon()
          )
        }
        guard case .absentEntity(let proof) = error else {
          Issue.record("\(String(describing: error))")
          continue
        }
        #expect(proof.origin == .primary && proof.staleness == .zero)
      }
    }
  }

  @Test("entities are listed in pages by bytes and by number, without gaps")
  func list() async throws {
    try await Readers.run { readers in
      try await readers.makeAttributes()
      let keys = (0..<40).map { "k\($0)" } + ["other"]
      let ids = try await readers.catalog.resolveEntities(
        tenant: 1,
        keys: keys,
        existingOnly: false,
        deadline: soon()
      )
      let label = String(repeating: "x", count: 1000)
      for id in ids { try await readers.insert(.label(label), entity: id, at: 5) }
      try await readers.database.script(
        """
        SELECT sluice.upsert_hot_attrs(array_agg(tenant_id), array_agg(entity_id),
          array_agg(attribute_id), array_agg(5::bigint), array_agg(to_json(label)::text), 1048576)
        FROM sluice.entity_values
        """
      )
      for (limit, bytesMax) in [(7, 1 << 20), (100, 5_000), (1000, 1 << 20)] {
        var (seen, hasMore) = ([HotEntity](), true)
        while hasMore {
          let list = EntityList(tenant: 1, prefix: "k")
          let page = try await readers.entities.entities(
            list,
            pageToken: seen.last.map { list.pageToken(after: $0) } ?? [],
            limit: limit,
            bytesMax: bytesMax,
            ReadRequirement(.strong),
            deadline: soon()
          )
          #expect(page.entities.count <= limit && page.entities.count * 1000 <= bytesMax)
          seen += page.entities
          hasMore = page.hasMore
        }
        #expect(seen.map(\.externalKey) == keys.filter { $0.hasPrefix("k") }.sorted())
        #expect(seen.allSatisfy { $0.values.map(\.value) == [.label(label)] })
      }
    }
  }

  @Test("levels: tokens are placed or refused, and analytics never falls back to the primary")
  func levels() async throws {
    try await Readers.run { readers in
      func proof(
        _ level: ReadLevel,
        _ floors: [FreshnessToken] = []
      ) async throws(StorageError) -> ReadProof {
        try await readers.router.read(
          [PostgresStatement("SELECT 1")],
          ReadRequirement(level, floors: floors),
          deadline: soon()
        ).proof
      }
      let token = try await proof(.strong).asOf
      #expect(FreshnessToken(token.bytes) == token)
      var report = token
      report.seen = PostgresLSN(value: token.lsn.value + 7)
      report.isOfWarehouse = true
      #expect(FreshnessToken(report.bytes) == report)
      #expect(try await proof(.atLeast(token)).asOf.lsn >= token.lsn)
      #expect(try await proof(.eventual(maxStaleness: .seconds(3))).staleness == .zero)
      let identifier = try await readers.database.value(
        "SELECT system_identifier FROM pg_control_system()"
      )
      #expect(identifier == "\(token.systemIdentifier)" && token.timeline == 1)

      var ahead = token
      ahead.lsn.value += 1 << 40
      var timeline = token
      timeline.timeline += 1
      var cluster = token
      cluster.systemIdentifier += 1
      let refused: [(ReadLevel, [FreshnessToken], StorageError)] = [
        (.atLeast(ahead), [token], .tokenAhead(.ofLevel)),
        (.atLeast(timeline), [], .tokenOfOtherTimeline(.ofLevel)),
        (.atLeast(cluster), [], .tokenOfOtherCluster(.ofLevel)),
        (.atLeast(token), [token, ahead], .tokenAhead(.floor(1))),
        (.strong, [timeline], .tokenOfOtherTimeline(.floor(0))),
        (.strong, [token, token, cluster], .tokenOfOtherCluster(.floor(2))),
        (.analytics(maxStaleness: .seconds(300)), [], .noAnalyticsSource),
      ]
      for (level, floors, expected) in refused {
        let error = await storageFailure { () throws(StorageError) in
          try await proof(level, floors)
        }
        #expect(error == expected)
      }
      for index in token.bytes.indices {
        var bytes = token.bytes
        bytes[index] ^= 0x10
        #expect(FreshnessToken(bytes) == nil, "byte \(index) altered")
      }
      #expect(FreshnessToken([]) == nil && FreshnessToken(Array(token.bytes.dropLast())) == nil)
    }
  }

  @Test("a read that takes longer than its deadline is cancelled in the database")
  func deadline() async throws {
    try await Readers.run { readers in
      // A connection that is there: on a busy machine making one could take the whole deadline.
      _ = try await readers.router.read(
        [PostgresStatement("SELECT 1")],
        ReadRequirement(.strong),
        deadline: soon(.seconds(60))
      )
      let start = MonotonicTime.now()
      let error = await storageFailure { () throws(StorageError) in
        try await readers.router.read(
          [PostgresStatement("SELECT pg_sleep(30)")],
          ReadRequirement(.strong),
          deadline: soon(.seconds(2))
        )
      }
      #expect(error == .postgres(.timedOut(outcomeUnknown: false)))
      #expect(MonotonicTime.now() - start < .seconds(30))
      let running = try await readers.database.value(
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%'"
          + " AND state = 'active' AND datname = current_database() AND pid <> pg_backend_pid()"
      )
      #expect(running == "0")
    }
  }
}

extension StoredValue {
  var type: ValueType {
    switch self {
    case .number: .number
    case .integer: .integer
    case .flag: .flag
    case .label: .label
    case .document: .document
    }
  }
}

extension Readers {
  /// Writes one value with plain SQL.
  func insert(_ value: StoredValue, entity: Int64, at time: Int64) async throws {
    let parameter: PostgresParameter =
      switch value {
      case .number(let number): .double(number)
      case .integer(let integer): .int64(integer)
      case .flag(let flag): .bool(flag)
      case .label(let text): .text(text)
      case .document(let json): .jsonb(json)
      }
    _ = try await database.connection.query(
      """
      INSERT INTO sluice.entity_values (tenant_id, entity_id, attribute_id, observed_at, \(value.type))
      VALUES (1, $1, $2, $3, $4)
      """,
      [.int64(entity), .int32(Int32(value.type.rawValue)), StoredTime.parameter(time), parameter],
      deadline: soon()
    )
  }
}
