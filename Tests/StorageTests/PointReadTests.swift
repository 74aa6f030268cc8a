import EventLoop
import Testing

@testable import Storage

@Suite("reads of many entities", .needsDatabases)
struct PointReadTests {
  @Test(
    "a batch keeps its order, names what is absent, and answers repeats",
    arguments: Readers.sources
  )
  func batch(feed: WarehouseFeed?) async throws {
    try await UpsertWorld.run(feed: feed) { world in
      _ = await world.write([UpsertWorld.number(1), UpsertWorld.number(2, of: 2)])
      let (found, proof) = try await world.readers.entities.entities(
        named: [
          .externalKey("e02"), .id(99), .id(1), .externalKey("nobody"), .externalKey("e02"), .id(3),
          .id(-1),
        ],
        bytesMax: 1 << 20,
        tenant: 1,
        world.readers.requirement,
        deadline: soon()
      )
      #expect(found.map { $0?.id } == [2, nil, 1, nil, 2, 3, nil])
      #expect(found[0]?.values.first?.value == .number(2))
      #expect(found[2]?.values.first?.value == .number(1))
      #expect(found[5]?.values.isEmpty == true)
      #expect(proof.origin == (feed == nil ? .primary : .warehouse))
    }
  }

  @Test(
    "a batch that would be too large ends early, and never answers nothing",
    arguments: Readers.sources
  )
  func batchBytes(feed: WarehouseFeed?) async throws {
    try await UpsertWorld.run(feed: feed) { world in
      let label = StoredValue.label(String(repeating: "x", count: 10_000))
      world.start()
      for entity: Int64 in 1...5 {
        let upsert = Upsert(
          tenant: 1,
          entityID: entity,
          values: [UpsertValue(attributeID: 4, value: label)]
        )
        _ = try await world.lane.write(upsert, deadline: soon())
      }
      var answered: [Int] = []
      for bytesMax in [1, 25_000, 1_000_000] {
        let (found, _) = try await world.readers.entities.entities(
          named: [.id(50), .id(1), .id(2), .id(51), .id(3), .id(4), .id(5), .id(52)],
          bytesMax: bytesMax,
          tenant: 1,
          world.readers.requirement,
          deadline: soon()
        )
        answered.append(found.count)
      }
      // Up to the last entity that fits; what is absent behind it is left for the next request, but
      // where it is known.
      #expect(answered == [2, feed == nil ? 3 : 4, 8])
    }
  }

  @Test("an entity with large documents is read by itself, beside small ones")
  func largeBesideSmall() async throws {
    try await UpsertWorld.run { world in
      _ = await world.write([UpsertWorld.number(1)])
      // Of random digits, since what compresses well is small where it is stored.
      let digits = (0..<400).map { _ in String(UInt64.random(in: 0...UInt64.max)) }
      let label = StoredValue.label(digits.joined())
      let upsert = Upsert(
        tenant: 1,
        entityID: 2,
        values: [UpsertValue(attributeID: 4, value: label)]
      )
      _ = try await world.lane.write(upsert, deadline: soon())
      let (found, _) = try await world.readers.entities.smallEntities(
        named: [.id(1), .id(2), .id(99)],
        names: [nil, nil, nil],
        tenant: 1,
        ReadRequirement(.strong),
        deadline: soon()
      )
      guard case .entity(let small) = found[0], case .alone = found[1], case .absent = found[2]
      else {
        Issue.record("one small, one large, one absent were expected")
        return
      }
      #expect(small.values.first?.value == .number(1))
      let reads = world.readers.pointReads()
      for (key, value) in [(EntityReader.Key.id(2), label), (.id(1), .number(1))] {
        let read = try await reads.entity(
          key,
          tenant: 1,
          ReadRequirement(.strong),
          deadline: soon()
        )
        #expect(read.entity.values.first?.value == value)
      }
    }
  }

  @Test("of an entity that was met before only the projection is read, which proves that it exists")
  func metBefore() async throws {
    try await UpsertWorld.run { world in
      _ = await world.write([UpsertWorld.number(1), UpsertWorld.number(2, of: 2)])
      let database = world.readers.database
      let reads = world.readers.pointReads()
      func read(_ id: Int64) async throws -> (name: String, version: Int64)? {
        let (entity, _) = try await reads.find(
          .id(id),
          tenant: 1,
          ReadRequirement(.strong),
          deadline: soon()
        )
        return entity.map { ($0.externalKey, $0.version) }
      }
      #expect(try await read(1)?.name == "e01")
      #expect(try await read(2)?.name == "e02")
      // By hand, which nothing in the gateway does: shows that the name was not looked up.
      try await database.script(
        "UPDATE sluice.entities SET external_key = 'renamed' WHERE entity_id = 1"
      )
      #expect(try await read(1)?.name == "e01")
      try await database.script("DELETE FROM sluice.entity_jsonb WHERE entity_id = 1")
      #expect(try await read(1)?.name == "renamed", "without a projection it is looked up")
      #expect(try await read(1)?.version == 0)
      try await database.script(
        """
        DELETE FROM sluice.entity_jsonb WHERE entity_id = 2;
        DELETE FROM sluice.entities WHERE entity_id = 2
        """
      )
      #expect(try await read(2) == nil)
    }
  }

  @Test("reads that come together share one query, each with its own answer")
  func grouping() async throws {
    try await UpsertWorld.run { world in
      _ = await world.write((1...20).map { UpsertWorld.number(Double($0), of: Int64($0)) })
      let reads = world.readers.pointReads()
      nonisolated(unsafe) let shared = reads
      let loop = world.readers.database.loop
      let answers = await withTaskGroup(of: (Int64, Double?).self) { group in
        for id: Int64 in 1...60 {
          group.addTask(executorPreference: loop) {
            let key: EntityReader.Key = id % 2 == 0 ? .id(id) : .externalKey(UpsertWorld.key(id))
            let found = try? await unsafe shared.entity(
              key,
              tenant: 1,
              ReadRequirement(.strong),
              deadline: soon()
            )
            guard case .number(let number)? = found?.entity.values.first?.value else {
              return (id, nil)
            }
            return (id, number)
          }
        }
        return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
      }
      #expect(answers == Dictionary(uniqueKeysWithValues: (1...20).map { (Int64($0), Double($0)) }))
      #expect(reads.readCount == 60)
      // Half of them, and then the other half.
      #expect(reads.queryCount == 2)
    }
  }

  @Test("reads of another freshness or tenant are not put together")
  func classes() async throws {
    try await UpsertWorld.run { world in
      let outcome = try await world.write([UpsertWorld.number(1)])[0].get()
      let reads = world.readers.pointReads()
      nonisolated(unsafe) let shared = reads
      let loop = world.readers.database.loop
      let failures = await withTaskGroup(of: StorageError?.self) { group in
        for (level, tenant) in [
          (ReadLevel.strong, Int32(1)), (.strong, 2), (.atLeast(outcome.token), 1),
        ] {
          group.addTask(executorPreference: loop) {
            await storageFailure { () throws(StorageError) in
              try await unsafe shared.entity(
                .id(1),
                tenant: tenant,
                ReadRequirement(level),
                deadline: soon()
              )
            }
          }
        }
        return await group.reduce(into: []) { $0.append($1) }
      }
      #expect(failures.count { if case .absentEntity = $0 { true } else { false } } == 1)
      #expect(failures.count { $0 == nil } == 2)
      #expect(reads.queryCount == 3)
    }
  }

  @Test("a read after a durable write sees it, however many reads go together")
  func readAfterWrite() async throws {
    try await UpsertWorld.run { world in
      world.start()
      let reads = world.readers.pointReads()
      nonisolated(unsafe) let shared = reads
      nonisolated(unsafe) let own = world
      let loop = world.readers.database.loop
      let stale = try await withThrowingTaskGroup(of: Int.self) { group in
        for entity: Int64 in 1...20 {
          group.addTask(executorPreference: loop) {
            var stale = 0
            for turn in 1...10 {
              let written = Double(turn)
              let upsert = UpsertWorld.number(written, of: entity)
              _ = try await unsafe own.lane.write(upsert, deadline: soon())
              let read = try await unsafe shared.entity(
                .id(entity),
                tenant: 1,
                ReadRequirement(.strong),
                deadline: soon()
              )
              if read.entity.values.first?.value != .number(written) { stale += 1 }
            }
            return stale
          }
        }
        return try await group.reduce(0, +)
      }
      #expect(stale == 0)
    }
  }
}
