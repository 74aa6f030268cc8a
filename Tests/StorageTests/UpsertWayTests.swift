import EventLoop
import Testing

@testable import Storage

@Suite("the two ways of an upsert", .needsDatabases)
struct UpsertWayTests {
  typealias Way = UpsertStatement.Way

  @Test("the cheap way is for values of hot attributes, each attribute of an entity once")
  func choice() {
    let one = UpsertWorld.number(1)
    #expect(Way([]) == .newest && Way([one]) == .newest)
    #expect(Way([one, UpsertWorld.number(1, of: 2)]) == .newest)
    #expect(Way([one, UpsertWorld.number(2, of: 2), UpsertWorld.number(3)]) == .any)
    var other = one
    other.values[0].attributeID = 2
    #expect(Way([one, other]) == .newest)
    other.tenant = 2
    other.values[0].attributeID = 1
    #expect(Way([one, other]) == .newest)
    other.values.append(UpsertValue(attributeID: 2, value: nil))
    #expect(Way([other]) == .any)
    other = one
    other.isHot = false
    #expect(Way([one, other]) == .any && Way([other]) == .any)
  }

  @Test("both leave the same documents and the same history, whatever the times")
  func sameResult() async throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    try await UpsertWorld.run { world in
      world.start()
      var dice = SplitMix(seed: seed)
      // Entities from 11 on get what those from 1 to 10 get, by the other way.
      for _ in 0..<60 {
        var places: Set<[UInt64]> = []
        var upserts: [Upsert] = []
        for _ in 0..<Int.random(in: 1...12, using: &dice) {
          let entity = Int64.random(in: 1...10, using: &dice)
          var upsert = Upsert(tenant: 1, entityID: entity, values: [], isHot: true)
          // Few times, so that many are equal and many come late.
          upsert.observedAtMicroseconds = UpsertTests.past + .random(in: 0...30, using: &dice)
          for value in ReadsTests.values.shuffled(using: &dice).prefix(3) {
            let attribute = UInt32(value.type.rawValue)
            guard places.insert([UInt64(entity), UInt64(attribute)]).inserted else { continue }
            upsert.values.append(UpsertValue(attributeID: attribute, value: value))
          }
          if !upsert.values.isEmpty { upserts.append(upsert) }
        }
        let twins = upserts.map { upsert in
          var twin = upsert
          twin.entityID += 10
          twin.isHot = false
          return twin
        }
        let (first, second) = (
          await world.write(upserts, starting: false), await world.write(twins, starting: false)
        )
        for (one, other) in zip(first, second) {
          let (one, other) = (try one.get(), try other.get())
          #expect(one.observedAtMicroseconds == other.observedAtMicroseconds, "seed \(seed)")
          #expect(one.version == other.version, "seed \(seed)")
        }
      }
      let documents = """
        SELECT string_agg(concat_ws(' ', entity_id - $1::int8, version, hot_attrs, hot_times), ',
          ' ORDER BY entity_id)
        FROM sluice.entity_jsonb WHERE entity_id - $1::int8 BETWEEN 1 AND 10
        """
      let history = """
        SELECT string_agg(v::text, ',' ORDER BY v::text) FROM (
          SELECT entity_id - $1::int8, observed_at, attribute_id, number, integer, flag, label,
            document
          FROM sluice.entity_values WHERE entity_id - $1::int8 BETWEEN 1 AND 10) AS v
        """
      for question in [documents, history] {
        let answers = [
          try await world.readers.database.value(question, [.int64(0)]),
          try await world.readers.database.value(question, [.int64(10)]),
        ]
        #expect(answers[0] == answers[1], "seed \(seed)")
        #expect(answers[0]?.isEmpty == false)
      }
    }
  }

  @Test("what cannot go the cheap way takes nothing else with it, and is written all the same")
  func leftOver() async throws {
    try await UpsertWorld.run { world in
      world.start()
      for id: Int64 in 1...3 {
        let first = UpsertWorld.number(0, of: id, at: UpsertTests.past)
        #expect(try await world.lane.write(first, deadline: soon()).version == 1)
      }
      let outcomes = await world.write(
        [
          UpsertWorld.number(1, of: 1), UpsertWorld.number(2, of: 2, at: UpsertTests.past - 1),
          UpsertWorld.number(3, of: 3, at: UpsertTests.past), UpsertWorld.number(4, of: 4),
        ],
        starting: false
      )
      let versions = try outcomes.map { try $0.get().version }
      #expect(versions == [2, 1, 2, 1])
      for (id, value) in [(1, 1.0), (2, 0), (3, 3), (4, 4)] as [(Int64, Double)] {
        let entity = try await world.entity(id)
        #expect(entity.values.map(\.value) == [.number(value)])
      }
      let transactions = try await world.readers.database.value(
        """
        SELECT string_agg(n::text, ' ' ORDER BY n) FROM (
          SELECT count(*) AS n FROM sluice.entity_values WHERE number > 0 GROUP BY xmin::text) AS t
        """
      )
      #expect(transactions == "1 3", "the one that could, and the others together")
    }
  }

  @Test("a document has no more room the cheap way, also one that compresses well")
  func full() async throws {
    try await UpsertWorld.run { world in
      world.start()
      func upsert(_ attribute: UInt32, _ value: StoredValue) -> Upsert {
        let value = UpsertValue(attributeID: attribute, value: value)
        return Upsert(tenant: 1, entityID: 1, values: [value], isHot: true)
      }
      let half = String(repeating: "x", count: 600_000)
      let written = await world.write([upsert(4, .label(half))], starting: false)
      var version = try written[0].get().version
      #expect(version == 1)
      for _ in 0..<2 {
        let document = upsert(5, .document("\"\(half)\""))
        #expect(await world.write([document], starting: false)[0] == .failure(.projectionFull))
      }
      let small = await world.write([UpsertWorld.number(1)], starting: false)
      version = try small[0].get().version
      #expect(version == 2)
    }
  }
}
