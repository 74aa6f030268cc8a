import EventLoop
import Testing

@testable import Storage

@Suite("attributes that are made cold", .needsDatabases)
struct ColdAttributeTests {
  private static func setHot(_ isHot: Bool, _ world: UpsertWorld) async throws {
    let attribute = try await world.readers.catalog.updateAttribute(
      tenant: 1,
      name: "number",
      isHot: isHot,
      unit: "",
      deadline: soon()
    )
    #expect(attribute.isHot == isHot)
  }

  private static func write(_ world: UpsertWorld, entities: ClosedRange<Int64>) async throws {
    for id in entities {
      let upsert = Upsert(
        tenant: 1,
        entityID: id,
        values: [
          UpsertValue(attributeID: 1, value: .number(7)),
          UpsertValue(attributeID: 2, value: .integer(id)),
        ]
      )
      _ = try await world.lane.write(upsert, deadline: soon())
    }
  }

  @Test("their values are not shown and do not come back when they are hot again")
  func frozen() async throws {
    try await UpsertWorld.run { world in
      world.start()
      try await ColdAttributeTests.write(world, entities: 1...20)
      try await ColdAttributeTests.setHot(false, world)
      #expect(try await world.entity(1).values.map(\.attributeID) == [2])
      // A gateway that does not know yet folds one more.
      try await world.readers.database.script(
        "SELECT sluice.fold_hot_values('{1}', '{3}', '{1}', '{1000}', '{8}', 1048576)"
      )
      #expect(try await world.entity(3).values.map(\.attributeID) == [2])
      let before = try await world.entity(3).version
      try await ColdAttributeTests.setHot(true, world)
      for id: Int64 in 1...20 {
        #expect(try await world.entity(id).values.map(\.attributeID) == [2])
      }
      #expect(try await world.entity(3).version == before + 1)
      let times = try await world.readers.database.value(
        "SELECT count(*) FROM sluice.entity_jsonb WHERE hot_attrs ? '1' OR hot_times ? '1'"
      )
      #expect(times == "0")
      // It begins anew, also with values that are older than the dropped ones.
      _ = try await world.lane.write(UpsertWorld.number(9, of: 3, at: 5), deadline: soon())
      #expect(try await world.entity(3).values.first?.value == .number(9))
      // What is hot stays as it is.
      try await ColdAttributeTests.setHot(true, world)
      #expect(try await world.entity(3).values.first?.value == .number(9))
    }
  }

  @Test("dropping them and folding others of the same entities at once loses nothing")
  func concurrent() async throws {
    try await UpsertWorld.run { world in
      world.start()
      try await ColdAttributeTests.write(world, entities: 1...20)
      let upserts = (0..<300).map { index in
        Upsert(
          tenant: 1,
          entityID: Int64(index % 20) + 1,
          values: [UpsertValue(attributeID: 2, value: .integer(Int64(index)))]
        )
      }
      nonisolated(unsafe) let changed = world
      let outcomes = try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask(executorPreference: world.readers.database.loop) {
          for _ in 0..<10 {
            try await unsafe ColdAttributeTests.setHot(false, changed)
            try await unsafe ColdAttributeTests.setHot(true, changed)
          }
        }
        let outcomes = await world.write(upserts, starting: false)
        try await group.waitForAll()
        return outcomes
      }
      for outcome in outcomes { _ = try outcome.get() }
      for id: Int64 in 1...20 {
        let own = upserts.indices.filter { upserts[$0].entityID == id }
        let times = try own.map { try outcomes[$0].get().observedAtMicroseconds[0] }
        let last = try #require(zip(times, own).max { $0.0 < $1.0 }?.1)
        #expect(try await world.entity(id).values.map(\.value) == [.integer(Int64(last))])
      }
    }
  }

  @Test("conditions and orders on them are refused, and accepted at once when they are hot again")
  func lists() async throws {
    try await UpsertWorld.run { world in
      world.start()
      try await ColdAttributeTests.write(world, entities: 1...3)
      try await ColdAttributeTests.setHot(false, world)
      let steps: [EntityFilter.Step] = [
        .comparison(attributeID: 2, .exists, nil), .comparison(attributeID: 1, .exists, nil),
        .any(2),
      ]
      let filtered = EntityList(tenant: 1, filter: EntityFilter(steps))
      let ordered = EntityList(tenant: 1, order: EntityOrder(attributeID: 1))
      for (list, step) in [(filtered, 1), (ordered, nil)] {
        let error = await storageFailure { () throws(StorageError) in
          try await world.once(list, [])
        }
        #expect(error == .attributeNotHot(step: step))
      }
      // By another gateway: this one's catalog has not looked since.
      try await world.readers.database.script(
        "SELECT FROM sluice.update_attribute(1, 'number', true, NULL)"
      )
      #expect(try await world.once(filtered, []).entities.count == 3)
      #expect(try await world.once(ordered, []).entities.count == 20)
    }
  }
}
