import EventLoop
import Testing

@testable import Storage

@Suite("the catalog", .needsDatabases)
struct CatalogTests {
  @Test("many resolvers of the same new names, on connections of their own, get the same ids")
  func together() async throws {
    try await TestDatabase.run { database in
      let dsn = database.dsn
      let outcomes = try await withThrowingTaskGroup(of: [[Int64]].self) { group in
        for turn in 0..<6 {
          group.addTask {
            try await onLoop { loop in
              let pool = PostgresPool(dsn, role: .pooled("test"), on: loop)
              let catalog = Catalog(pool: pool, loop: loop)
              var names = (0..<200).map { "name-\($0)" }
              // Another order each: who sorts does not deadlock.
              if turn % 2 == 1 { names.reverse() }
              let entities = try await catalog.resolveEntities(
                tenant: 1,
                keys: names,
                existingOnly: false,
                deadline: soon()
              )
              let attributes = try await catalog.resolveAttributes(
                tenant: 1,
                names.map { WantedAttribute(name: $0, type: .integer) },
                deadline: soon()
              )
              await pool.shutdown(deadline: soon(.seconds(1)))
              let ids = attributes.map { Int64($0.id) }
              return turn % 2 == 1 ? [entities.reversed(), ids.reversed()] : [entities, ids]
            }
          }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(Set(outcomes).count == 1)
      let first = try #require(outcomes.first)
      #expect(Set(first[0]).count == 200)
      #expect(Set(first[1]) == Set(1...200))
    }
  }

  @Test("10,000 keys come back in their order, are known afterwards and found again")
  func manyKeys() async throws {
    try await withCatalog { database, catalog in
      let keys = (0..<10_000).map { "entity/\($0)" }
      let ids = try await catalog.resolveEntities(
        tenant: 1,
        keys: keys,
        existingOnly: false,
        deadline: soon()
      )
      #expect(Set(ids).count == 10_000)
      #expect(catalog.entityCount == 10_000)
      let index = catalog.index(of: 1)
      #expect(ids.allSatisfy { index.hasEntity($0) })
      let again = try await catalog.resolveEntities(
        tenant: 1,
        keys: keys.reversed(),
        existingOnly: true,
        deadline: soon()
      )
      #expect(again == ids.reversed())
      let key = try await database.value(
        "SELECT external_key FROM sluice.entities WHERE entity_id = $1",
        [.int64(ids[4711])]
      )
      #expect(key == keys[4711])
    }
  }

  @Test("what is missing or of another type is named by its place, and the others are created")
  func mismatches() async throws {
    try await withCatalog { _, catalog in
      _ = try await catalog.resolveAttributes(
        tenant: 1,
        [WantedAttribute(name: "a", type: .number, unit: "m", isHot: true)],
        deadline: soon()
      )
      let mismatch = await storageFailure { () throws(StorageError) in
        try await catalog.resolveAttributes(
          tenant: 1,
          [WantedAttribute(name: "b", type: .flag), WantedAttribute(name: "a", type: .label)],
          deadline: soon()
        )
      }
      #expect(mismatch == .attributeTypeMismatch(index: 1, existing: .number))
      let missing = await storageFailure { () throws(StorageError) in
        try await catalog.resolveAttributes(
          tenant: 1,
          [WantedAttribute(name: "b", type: nil), WantedAttribute(name: "c", type: nil)],
          deadline: soon()
        )
      }
      #expect(missing == .attributeNotFound(index: 1))
      let entity = await storageFailure { () throws(StorageError) in
        try await catalog.resolveEntities(
          tenant: 1,
          keys: ["nobody"],
          existingOnly: true,
          deadline: soon()
        )
      }
      #expect(entity == .entityNotFound(index: 0))
      let stranger = await storageFailure { () throws(StorageError) in
        try await catalog.resolveEntities(
          tenant: 99,
          keys: ["x"],
          existingOnly: false,
          deadline: soon()
        )
      }
      #expect(stranger == .mayNotCreateNames)
      let known = try await catalog.attributes(
        of: 1,
        prefix: "",
        after: nil,
        limit: 10,
        deadline: soon()
      )
      #expect(known.map(\.name) == ["a", "b"])
      #expect(known[0] == CatalogAttribute(id: 1, name: "a", type: .number, unit: "m", isHot: true))
    }
  }

  @Test("names that look like SQL, patterns or escapes are names")
  func injection() async throws {
    try await withCatalog { database, catalog in
      let names = [
        "'; DROP TABLE sluice.entities; --", "\\", "%", "_", "\"", "$1", "{a,b}", "NULL", "x'00'",
        "ünï©ødé 𝄞", "a\tb\nc", " ", "\u{1}", "{\"a\":1}",
      ]
      let ids = try await catalog.resolveEntities(
        tenant: 1,
        keys: names,
        existingOnly: false,
        deadline: soon()
      )
      #expect(Set(ids).count == names.count)
      let attributes = try await catalog.resolveAttributes(
        tenant: 1,
        names.map { WantedAttribute(name: $0, type: .label, unit: $0) },
        deadline: soon()
      )
      #expect(attributes.map(\.name) == names)
      #expect(attributes.map(\.unit) == names)
      for (name, attribute) in zip(names, attributes) {
        let found = try await catalog.attributes(
          of: 1,
          prefix: name,
          after: nil,
          limit: 100,
          deadline: soon()
        )
        #expect(found == [attribute], "\(name) is a prefix of itself alone")
        let updated = try await catalog.updateAttribute(
          tenant: 1,
          name: name,
          isHot: true,
          unit: "'",
          deadline: soon()
        )
        #expect(updated.id == attribute.id && updated.unit == "'" && updated.isHot)
      }
      let count = try await database.value("SELECT count(*) FROM sluice.entities")
      #expect(count == "\(names.count)")
    }
  }

  @Test("attributes are listed in pages without gaps, and a token of another prefix is refused")
  func pages() async throws {
    try await withCatalog { _, catalog in
      let names = (0..<57).map { "m.\($0)" } + ["n", "M"]
      _ = try await catalog.resolveAttributes(
        tenant: 1,
        names.map { WantedAttribute(name: $0, type: .number) },
        deadline: soon()
      )
      var seen: [String] = []
      while true {
        let page = try await catalog.attributes(
          of: 1,
          prefix: "m.",
          after: seen.last,
          limit: 10,
          deadline: soon()
        )
        seen += page.map(\.name)
        guard page.count == 10 else { break }
      }
      #expect(seen == names.filter { $0.hasPrefix("m.") }.sorted())
      let token = PageToken.seal(text: "m.1", kind: "attributes", tenant: 1, prefix: "m.")
      #expect(try PageToken.text(token, kind: "attributes", tenant: 1, prefix: "m.") == "m.1")
      for (kind, tenant, prefix) in [
        ("entities", Int32(1), "m."), ("attributes", 2, "m."), ("attributes", 1, "m"),
      ] {
        #expect(throws: StorageError.badPageToken) {
          _ = try PageToken.text(token, kind: kind, tenant: tenant, prefix: prefix)
        }
      }
    }
  }

  @Test("ids that others made are learned by one question for all who wait")
  func learning() async throws {
    try await withCatalog { database, catalog in
      try await database.script(
        """
        INSERT INTO sluice.entities (tenant_id, external_key)
          SELECT 1, 'e' || n FROM generate_series(1, 100) AS n;
        INSERT INTO sluice.attributes (tenant_id, attribute_id, value_type, name) VALUES (1, 7, 3, 'f');
        """
      )
      #expect(!catalog.index(of: 1).hasEntity(5))
      let loop = database.loop
      // The first asks at once; the others gather meanwhile and share the second question.
      nonisolated(unsafe) let shared = catalog
      try await withThrowingTaskGroup(of: Void.self) { group in
        for turn in 0..<20 {
          group.addTask(executorPreference: loop) {
            try await unsafe shared.learn(
              tenant: 1,
              entityIDs: [Int64(turn + 1), Int64(turn + 40)],
              attributeIDs: [7],
              deadline: soon()
            )
          }
        }
        try await group.waitForAll()
      }
      let index = catalog.index(of: 1)
      #expect((1...20).allSatisfy { index.hasEntity($0) && index.hasEntity($0 + 39) })
      #expect(index.type(of: 7) == .flag)
      #expect(catalog.questionCount <= 2)
    }
  }

  @Test("ids that do not exist are asked for at most twenty times a second")
  func negative() async throws {
    try await withCatalog { _, catalog in
      let start = MonotonicTime.now()
      for _ in 0..<10 {
        try await catalog.learn(
          tenant: 1,
          entityIDs: [123, 456, -1],
          attributeIDs: [9, 0, .max],
          deadline: soon()
        )
      }
      #expect(catalog.questionCount == 10)
      #expect(MonotonicTime.now() - start >= UnknownIDs.pause * 9)
    }
  }

  @Test("an id that did not exist a moment ago is known as soon as it does")
  func madeSince() async throws {
    try await withCatalog { database, catalog in
      try await catalog.learn(tenant: 1, entityIDs: [1], attributeIDs: [7], deadline: soon())
      try await database.script(
        """
        INSERT INTO sluice.entities (tenant_id, external_key) VALUES (1, 'e');
        INSERT INTO sluice.attributes (tenant_id, attribute_id, value_type, name) VALUES (1, 7, 3, 'f');
        """
      )
      try await catalog.learn(tenant: 1, entityIDs: [1], attributeIDs: [7], deadline: soon())
      #expect(catalog.index(of: 1).hasEntity(1))
      #expect(catalog.index(of: 1).type(of: 7) == .flag)
    }
  }

  @Test("more ids than one question has room for are all learned")
  func manyIDs() async throws {
    let count = Int64(UnknownIDs.questionMax) + 2_000
    try await withCatalog { database, catalog in
      try await database.script(
        """
        INSERT INTO sluice.entities (tenant_id, external_key)
          SELECT 1, 'e' || n FROM generate_series(1, \(count)) AS n
        """
      )
      let ids = Array(1...count)
      try await catalog.learn(tenant: 1, entityIDs: ids, attributeIDs: [], deadline: soon())
      let index = catalog.index(of: 1)
      #expect(ids.allSatisfy { index.hasEntity($0) })
      #expect(catalog.questionCount == 2)
    }
  }

  @Test("a change made elsewhere is seen after a refresh")
  func versions() async throws {
    try await withCatalog { database, catalog in
      _ = try await catalog.resolveAttributes(
        tenant: 1,
        [WantedAttribute(name: "a", type: .number)],
        deadline: soon()
      )
      #expect(!catalog.index(of: 1).isHot(1))
      try await database.script(
        """
        SELECT sluice.update_attribute(1, 'a', true, 'K');
        SELECT sluice.resolve_attributes(1, '{b}', '{2}', '{""}', '{t}');
        INSERT INTO sluice.settings VALUES ('future_limit_us', '5');
        """
      )
      #expect(catalog.futureLimitMicroseconds == nil)
      try await catalog.refresh(deadline: soon())
      #expect(catalog.index(of: 1).isHot(1))
      #expect(catalog.attribute(1, of: 1)?.unit == "K")
      #expect(catalog.index(of: 1).type(of: 2) == .integer)
      #expect(catalog.futureLimitMicroseconds == 5)
    }
  }

  @Test("memory is bounded: the tenant not used for longest is forgotten")
  func bounds() {
    var names = KnownNames()
    var now = MonotonicTime(nanoseconds: 0)
    for tenant in Int32(1)...3 {
      now = now + .seconds(1)
      // One entity in each page, the most expensive way there is.
      let pages = Int64(KnownNames.pagesMax / 3)
      names.add(entities: (0..<pages).map { ($0 << 16) + 1 }, to: tenant, now: now)
    }
    #expect(names.index(of: 1).hasEntity(1))
    names.add(entities: (0..<16).map { Int64($0 + 100_000) << 16 }, to: 2, now: now + .seconds(1))
    #expect(!names.index(of: 1).hasEntity(1))
    #expect(names.index(of: 2).hasEntity(100_000 << 16) && names.index(of: 3).hasEntity(1))
    #expect(names.pageCount <= KnownNames.pagesMax)
  }
}

/// Runs `body` with a catalog over a database of its own.
private func withCatalog(
  _ body: @escaping @Sendable (TestDatabase, Catalog) async throws -> Void
) async throws {
  try await TestDatabase.run { database in
    let pool = database.pool()
    try await body(database, Catalog(pool: pool, loop: database.loop))
    await pool.shutdown(deadline: soon(.seconds(1)))
  }
}

/// The error that `body` throws.
func storageFailure<T>(_ body: () async throws(StorageError) -> T) async -> StorageError? {
  do throws(StorageError) {
    _ = try await body()
    return nil
  } catch {
    return error
  }
}
