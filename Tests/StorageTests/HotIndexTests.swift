import EventLoop
import Testing

@testable import Storage

@Suite("indexes on newest values", .needsDatabases)
struct HotIndexTests {
  private static let count = 50_000

  /// Entities with a value of each type; attribute 6 is a label that one in a thousand has.
  private static func fill(_ readers: Readers) async throws {
    try await readers.makeAttributes()
    _ = try await readers.catalog.resolveAttributes(
      tenant: 1,
      [WantedAttribute(name: "rare", type: .label, isHot: true)],
      deadline: soon()
    )
    try await readers.database.script(
      """
      INSERT INTO sluice.entities (tenant_id, external_key)
      SELECT 1, 'host-' || lpad(i::text, 6, '0') FROM generate_series(1, \(count)) AS i;
      INSERT INTO sluice.entity_jsonb (entity_id, version, tenant_id, hot_attrs, hot_times)
      SELECT e.entity_id, 1, 1,
        jsonb_build_object('1', i * 0.5, '2', i, '3', i % 1000 = 0, '4',
          CASE WHEN i % 5000 = 0 THEN repeat('x', 200) || i ELSE 'site-' || i % 2000 END,
          '5', jsonb_build_object('rack', i % 3000))
          || CASE WHEN i % 1000 = 1 THEN '{"6": "yes"}' ELSE '{}' END::jsonb,
        jsonb_build_object('1', i, '2', i, '3', i, '4', i, '5', i)
          || CASE WHEN i % 1000 = 1 THEN '{"6": 1}' ELSE '{}' END::jsonb
      FROM sluice.entities e, LATERAL substr(e.external_key, 6) AS s, LATERAL (SELECT s::int AS i) n;
      ANALYZE sluice.entities; ANALYZE sluice.entity_jsonb;
      """
    )
  }

  /// Indexes over a connection of their own; close it.
  private struct Session {
    let connection: PostgresConnection
    let indexes: HotIndexes

    init(_ database: TestDatabase) async throws {
      connection = try await PostgresConnection.connect(
        to: database.dsn,
        role: HotIndexes.role,
        on: database.loop,
        deadline: soon()
      )
      indexes = HotIndexes(connection, tenant: 1, deadline: soon(.seconds(60)))
    }
  }

  /// A list, and the index that it must use.
  private struct Case {
    var steps: [EntityFilter.Step]
    var order = EntityOrder()
    var attribute: UInt32
    var sinceVersion = 0

    var list: EntityList {
      EntityList(tenant: 1, filter: EntityFilter(steps), order: order)
    }
  }

  private static func one(
    _ id: UInt32,
    _ relation: EntityFilter.Relation,
    _ value: StoredValue? = nil
  ) -> [EntityFilter.Step] {
    [.comparison(attributeID: id, relation, value)]
  }

  private static let long = String(repeating: "x", count: 200)

  private static var cases: [Case] {
    func ordered(_ id: UInt32, _ isDescending: Bool = false) -> EntityOrder {
      EntityOrder(attributeID: id, isDescending: isDescending)
    }
    return [
      Case(steps: one(1, .equal, .number(35)), attribute: 1),
      Case(steps: one(1, .greater, .number(24_900)), attribute: 1),
      Case(
        steps: one(1, .greaterOrEqual, .number(10)) + one(1, .less, .number(50)) + [.all(2)],
        attribute: 1
      ),
      Case(steps: one(1, .exists), order: ordered(1), attribute: 1),
      Case(steps: one(1, .exists), order: ordered(1, true), attribute: 1),
      Case(steps: one(2, .equal, .integer(77)), attribute: 2),
      Case(steps: one(2, .lessOrEqual, .integer(100)), order: ordered(2, true), attribute: 2),
      Case(steps: one(3, .equal, .flag(true)), attribute: 3),
      Case(steps: one(3, .notEqual, .flag(false)), attribute: 3),
      Case(steps: one(4, .equal, .label("site-7")), attribute: 4),
      Case(steps: one(4, .equal, .label(long + "10000")), attribute: 4),
      Case(steps: one(4, .prefix, .label("site-199")), attribute: 4, sinceVersion: 150_000),
      Case(steps: one(4, .prefix, .label(long + "1")), attribute: 4, sinceVersion: 150_000),
      Case(steps: one(4, .greater, .label("site-998")), attribute: 4),
      Case(steps: one(4, .greater, .label(long)), attribute: 4),
      Case(steps: one(4, .less, .label("site-10")), order: ordered(4), attribute: 4),
      Case(steps: one(4, .exists), order: ordered(4, true), attribute: 4),
      Case(steps: one(5, .equal, .document("{\"rack\": 12}")), attribute: 5),
      Case(steps: one(6, .exists), attribute: 6),
      Case(steps: one(6, .equal, .label("yes")), order: ordered(6), attribute: 6),
    ]
  }

  /// The plan of a page of a list, in the words that the reader sends.
  private static func plan(
    _ list: EntityList,
    _ position: EntityListPosition?,
    _ readers: Readers
  ) async throws -> String {
    let types: [UInt32: ValueType] = [
      1: .number, 2: .integer, 3: .flag, 4: .label, 5: .document, 6: .label,
    ]
    let page = EntityListPage(list: list, position: position, limit: 100, bytesMax: 1 << 20)
    let statement = try EntityListStatement(page) { id in
      types[id].map { CatalogAttribute(id: id, name: "\(id)", type: $0, unit: "", isHot: true) }
    }.statement
    let rows = try await readers.database.connection.query(
      "EXPLAIN \(statement.sql)",
      statement.parameters,
      resultFormat: .text,
      deadline: soon()
    )
    return (0..<rows.rowCount).compactMap { rows.text(row: $0, column: 0) }
      .joined(separator: "\n")
  }

  @Test("lists of 50,000 entities use them and find the same: each type, relation and order")
  func planned() async throws {
    try await Readers.run { readers in
      try await HotIndexTests.fill(readers)
      let world = UpsertWorld(readers: readers, lanes: [])
      let cases = HotIndexTests.cases
      var before: [[Int64]] = []
      for one in cases { before.append(try await world.once(one.list, []).entities.map(\.id)) }
      let session = try await Session(readers.database)
      let indexes = session.indexes
      for type in ValueType.allCases {
        #expect(try await indexes.create("\(type)") == .built(hasReplaced: false))
      }
      #expect(try await indexes.create("rare") == .built(hasReplaced: false))
      let version = readers.database.connection.serverVersion
      for (one, before) in zip(cases, before) {
        let what = "\(one.steps) \(one.order)"
        #expect(!before.isEmpty, "\(what) finds nothing")
        let first = try await world.once(one.list, [])
        #expect(first.entities.map(\.id) == before, "\(what)")
        guard version >= one.sinceVersion else { continue }
        let name = HotIndex(tenant: 1, attributeID: one.attribute).name
        let plan = try await HotIndexTests.plan(one.list, nil, readers)
        #expect(plan.contains(name), "\(what): \(plan)")
        guard one.order.attributeID != nil, let middle = first.entities.dropFirst(40).first
        else { continue }
        // Further pages start inside the index.
        let token = one.list.pageToken(after: middle)
        let position = try one.list.position(token)
        let next = try await HotIndexTests.plan(one.list, position, readers)
        #expect(next.contains(name), "\(what), next page: \(next)")
        let page = try await world.once(one.list, token)
        #expect(page.entities.prefix(59).map(\.id) == Array(before.dropFirst(41)), "\(what)")
      }
      let status = try await indexes.list()
      #expect(
        status.map(\.attribute) == ["document", "flag", "integer", "label", "number", "rare"]
      )
      #expect(status.map(\.method) == ["hash"] + Array(repeating: "btree", count: 5))
      #expect(status.allSatisfy { $0.state == .valid && $0.isHot && $0.bytes > 0 })
      session.connection.close()
    }
  }

  @Test("values of every size can be written beside them, and are found")
  func sizes() async throws {
    try await UpsertWorld.run { world in
      world.start()
      let session = try await Session(world.readers.database)
      for type in ValueType.allCases { _ = try await session.indexes.create("\(type)") }
      // Characters without a pattern, or it would be compressed into any index.
      var random = SplitMix(seed: 3)
      let scalars = (0..<15_000).map { _ in
        Character(Unicode.Scalar(UInt32.random(in: 0x4e00..<0x9000, using: &random)) ?? "a")
      }
      let label = String(scalars)
      let values = [
        UpsertValue(attributeID: 4, value: .label(label)),
        UpsertValue(attributeID: 5, value: .document("\"\(label)\"")),
      ]
      let upsert = Upsert(tenant: 1, entityID: 1, values: values)
      _ = try await world.lane.write(upsert, deadline: soon())
      for (id, value) in [(UInt32(4), values[0].value), (5, values[1].value)] {
        let filter = EntityFilter([.comparison(attributeID: id, .equal, value)])
        let found = try await world.page(EntityList(tenant: 1, filter: filter), limit: 10)
        #expect(found.map(\.id) == [1])
      }
      session.connection.close()
    }
  }

  @Test("only what is hot gets one, only ours are listed and dropped, whatever it is called")
  func names() async throws {
    try await Readers.run { readers in
      try await readers.makeAttributes()
      let name = "a'\"; DROP INDEX sluice.entity_jsonb_hot_t1_a1; --"
      _ = try await readers.catalog.resolveAttributes(
        tenant: 1,
        [
          WantedAttribute(name: "cold", type: .number),
          WantedAttribute(name: name, type: .number, isHot: true),
        ],
        deadline: soon()
      )
      try await readers.database.script(
        """
        CREATE INDEX entity_jsonb_hot_tx_a1 ON sluice.entity_jsonb (version);
        CREATE INDEX entity_jsonb_hot_t2_a1 ON sluice.entity_jsonb (version);
        CREATE INDEX entity_jsonb_hot_t99999999999_a1 ON sluice.entity_jsonb (version);
        """
      )
      let session = try await Session(readers.database)
      let indexes = session.indexes
      #expect(try await indexes.list() == [])
      let cold = await failure { () throws(HotIndexError) in try await indexes.create("cold") }
      #expect(cold == .notHot("cold"))
      let none = await failure { () throws(HotIndexError) in try await indexes.create("none") }
      #expect(none == .attributeNotFound("none"))
      let bare = await failure { () throws(HotIndexError) in try await indexes.drop("number") }
      #expect(bare == .notIndexed("number"))
      #expect(try await indexes.create(name) == .built(hasReplaced: false))
      #expect(try await indexes.create("number") == .built(hasReplaced: false))
      #expect(try await indexes.create(name) == .wasThere)
      #expect(try await indexes.list().map(\.attribute) == [name, "number"])
      #expect(try await indexes.drop(name).attribute == name)
      #expect(try await indexes.list().map(\.attribute) == ["number"])
      _ = try await readers.catalog.updateAttribute(
        tenant: 1,
        name: "number",
        isHot: false,
        unit: "",
        deadline: soon()
      )
      #expect(try await indexes.list().map(\.isHot) == [false])
      #expect(try await indexes.drop("number").state == .valid)
      session.connection.close()
      let left = try await readers.database.value(
        "SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'entity_jsonb_hot%'"
      )
      #expect(left == "3")
      let statistics = try await readers.database.value("SELECT count(*) FROM pg_statistic_ext")
      #expect(statistics == "0")
    }
  }

  @Test("a cancelled build leaves nothing; one whose session was ended is seen and replaced")
  func failedBuilds() async throws {
    try await Readers.run { readers in
      try await readers.makeAttributes()
      for (way, isRemoved) in [("cancel", true), ("terminate", false)] {
        let session = try await Session(readers.database)
        let saboteur = Saboteur(readers.database, way, session.connection.backendID)
        await saboteur.isReady()
        let error = await failure { () throws(HotIndexError) in
          try await session.indexes.create("number")
        }
        await saboteur.isDone()
        session.connection.close()
        guard case .buildFailed(_, isRemoved) = error else {
          Issue.record("\(way): \(String(describing: error))")
          continue
        }
        let next = try await Session(readers.database)
        #expect(try await next.indexes.list().map(\.state) == (isRemoved ? [] : [.invalid]))
        next.connection.close()
      }
      let session = try await Session(readers.database)
      #expect(try await session.indexes.create("number") == .built(hasReplaced: true))
      #expect(try await session.indexes.list().map(\.state) == [.valid])
      let other = try await Session(readers.database)
      let error = await failure { () throws(HotIndexError) in
        try await other.indexes.create("integer")
      }
      #expect(error == .busy)
      other.connection.close()
      session.connection.close()
    }
  }
}

/// Opens once, for one who waits already or comes later; on one loop.
private final class Latch {
  private let cell = WaitCell<Bool>()
  private var isOpen = false

  func open() {
    isOpen = true
    cell.resume(true)
  }

  func wait() async {
    guard !isOpen else { return }
    _ = await cell.wait()
  }
}

/// Keeps a build waiting for a transaction that writes, and then ends it.
private final class Saboteur {
  private let ready = Latch()
  private let done = Latch()

  /// Begins to; `way` is what is done with the backend, "cancel" or "terminate".
  init(_ database: TestDatabase, _ way: String, _ backend: Int32) {
    let (dsn, loop) = (database.dsn, database.loop)
    nonisolated(unsafe) let saboteur = self
    loop.spawn {
      do {
        let writer = try await Saboteur.connect(dsn, loop)
        let other = try await Saboteur.connect(dsn, loop)
        defer {
          writer.close()
          other.close()
        }
        let insert =
          "BEGIN; INSERT INTO sluice.entity_jsonb (entity_id, version, tenant_id) VALUES (1, 1, 1)"
        _ = try await writer.script(insert, deadline: soon())
        unsafe saboteur.ready.open()
        // Waiting means that the index is in the catalog: ended before, a build leaves nothing.
        while try await HotIndexes.progress(of: backend, on: other)?.phase.hasPrefix("waiting")
          != true
        {
          await pause(.milliseconds(5), on: loop)
        }
        _ = try await other.query("SELECT pg_\(way)_backend(\(backend))", deadline: soon())
        // The removal of what is left has to wait, too.
        await pause(.milliseconds(300), on: loop)
        _ = try await writer.script("ROLLBACK", deadline: soon())
      } catch {
        Issue.record(error)
        unsafe saboteur.ready.open()
      }
      unsafe saboteur.done.open()
    }
  }

  func isReady() async { await ready.wait() }
  func isDone() async { await done.wait() }

  private static func connect(
    _ dsn: PostgresDSN,
    _ loop: EventLoop
  ) async throws -> PostgresConnection {
    try await PostgresConnection.connect(
      to: dsn,
      role: .direct("test"),
      on: loop,
      deadline: soon()
    )
  }
}

/// The error that `body` throws.
private func failure<Value>(
  _ body: () async throws(HotIndexError) -> Value
) async -> HotIndexError? {
  do throws(HotIndexError) {
    _ = try await body()
    return nil
  } catch {
    return error
  }
}
