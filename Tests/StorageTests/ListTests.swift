import EventLoop
import Testing

@testable import Storage

@Suite("lists of entities", .needsDatabases)
struct ListTests {
  /// Numbers that jsonb or an order could get wrong.
  private static let numbers: [Double] = [
    0, -0.0, 1, -1, 1.5, .nan, .infinity, -.infinity, 1e300, 1e-300, 0.1,
  ]
  private static let integers: [Int64] = [0, 1, -1, .min, .max, 9_007_199_254_740_993]
  private static let labels = [
    "", "a", "A", "ab", "b", "é", "𝄞", "a\"\\", "'; DROP TABLE sluice.entities; --", "%", "a_",
    "NaN", long(126), long(127), long(128), long(129), long(127) + "é", long(128) + "é",
  ]

  /// About as long as what an index keeps of a label.
  private static func long(_ count: Int) -> String { String(repeating: "𝄞", count: count) }

  private static let documents = ["null", "{}", "[1, 2]", "{\"a\": \"'\"}", "1.0", "1"]

  private static func value(_ attribute: UInt32, _ random: inout SplitMix) -> StoredValue {
    switch attribute {
    case 1: .number(numbers.randomElement(using: &random) ?? 0)
    case 2: .integer(integers.randomElement(using: &random) ?? 0)
    case 3: .flag(Bool.random(using: &random))
    case 4: .label(labels.randomElement(using: &random) ?? "")
    default: .document(documents.randomElement(using: &random) ?? "null")
    }
  }

  /// Entities with some of the five attributes.
  private static func fill(
    _ world: UpsertWorld,
    _ random: inout SplitMix
  ) async throws -> [Int64: [UInt32: StoredValue]] {
    world.start()
    var held: [Int64: [UInt32: StoredValue]] = [:]
    for entity: Int64 in 1...20 {
      held[entity] = [:]
      var values: [UpsertValue] = []
      for attribute: UInt32 in 1...5 where Int.random(in: 0..<4, using: &random) > 0 {
        let value = value(attribute, &random)
        held[entity]?[attribute] = value
        values.append(UpsertValue(attributeID: attribute, value: value))
      }
      // One entity in six has nothing at all.
      guard !values.isEmpty, entity % 6 != 0 else {
        held[entity] = [:]
        continue
      }
      let upsert = Upsert(tenant: 1, entityID: entity, values: values)
      _ = try await world.lane.write(upsert, deadline: soon())
    }
    return held
  }

  private static func filter(_ depth: Int, _ random: inout SplitMix) -> [EntityFilter.Step] {
    if depth > 0, Bool.random(using: &random) {
      switch Int.random(in: 0..<3, using: &random) {
      case 0: return filter(depth - 1, &random) + [.not]
      case let kind:
        let count = Int.random(in: 1...3, using: &random)
        let operands = (0..<count).flatMap { _ in filter(depth - 1, &random) }
        return operands + [kind == 1 ? .all(count) : .any(count)]
      }
    }
    let attribute = UInt32.random(in: 1...5, using: &random)
    var relations = EntityFilter.Relation.allCases
    if attribute != 4 { relations.removeAll { $0 == .prefix } }
    if attribute == 3 || attribute == 5 { relations = [.exists, .equal, .notEqual] }
    let relation = relations.randomElement(using: &random) ?? .exists
    let value = relation == .exists ? nil : value(attribute, &random)
    return [.comparison(attributeID: attribute, relation, value)]
  }

  /// Who answers.
  enum Place: CaseIterable {
    case primary
    case primaryWithIndexes
    case warehouse

    var feed: WarehouseFeed? { self == .warehouse ? .ordered : nil }
  }

  @Test(
    "conditions mean what they say, wherever they are asked: random ones against the same in Swift",
    arguments: [UInt64(1), 2, 3],
    Place.allCases
  )
  func conditions(seed: UInt64, place: Place) async throws {
    try await UpsertWorld.run(feed: place.feed) { world in
      var random = SplitMix(seed: seed)
      let held = try await ListTests.fill(world, &random)
      if place == .primaryWithIndexes { try await world.readers.database.indexAll() }
      for _ in 0..<100 {
        let filter = EntityFilter(ListTests.filter(3, &random))
        let expected = held.keys.filter { FilterModel.holds(filter, held[$0] ?? [:]) }
        let page = try await world.page(EntityList(tenant: 1, filter: filter), limit: 100)
        #expect(Set(page.map(\.id)) == Set(expected), "\(filter.steps)")
      }
    }
  }

  @Test(
    "every order, in pages of every size, shows each entity once",
    arguments: Readers.sources
  )
  func orders(feed: WarehouseFeed?) async throws {
    try await UpsertWorld.run(feed: feed) { world in
      var random = SplitMix(seed: 7)
      let held = try await ListTests.fill(world, &random)
      for attribute: UInt32? in [nil, 1, 2, 4] {
        for isDescending in [false, true] {
          let order = EntityOrder(attributeID: attribute, isDescending: isDescending)
          let list = EntityList(tenant: 1, order: order)
          let expected = held.keys.sorted {
            FilterModel.comes(($0, held[$0]), before: ($1, held[$1]), order)
          }
          for limit in [1, 3, 20] {
            let found = try await world.page(list, limit: limit)
            #expect(found.map(\.id) == expected, "\(order), pages of \(limit)")
          }
        }
      }
    }
  }

  @Test(
    "a condition that makes no sense is refused, with the step that does not",
    arguments: Readers.sources
  )
  func refused(feed: WarehouseFeed?) async throws {
    try await UpsertWorld.run(feed: feed) { world in
      let one = EntityFilter.Step.comparison(attributeID: 1, .exists, nil)
      var cases: [([EntityFilter.Step], StorageError)] = [
        ([.not], .badFilter(step: 0, .tooFewOperands)),
        ([one, .all(2)], .badFilter(step: 1, .tooFewOperands)),
        ([one, .any(0)], .badFilter(step: 1, .tooFewOperands)),
        ([one, .all(.max)], .badFilter(step: 1, .tooFewOperands)),
        ([one, one], .badFilter(step: 2, .notOneResult)),
        ([], .badFilter(step: 0, .notOneResult)),
        ([.comparison(attributeID: 99, .exists, nil)], .attributeNotFound(index: 0)),
        (
          [one, .comparison(attributeID: 1, .equal, .label("1"))],
          .badFilter(step: 1, .wrongType)
        ),
        ([.comparison(attributeID: 1, .less, nil)], .badFilter(step: 0, .valueMissing)),
        ([.comparison(attributeID: 1, .exists, .number(1))], .badFilter(step: 0, .valueMissing)),
        ([.comparison(attributeID: 3, .less, .flag(true))], .badFilter(step: 0, .relationUnfit)),
        ([.comparison(attributeID: 1, .prefix, .number(1))], .badFilter(step: 0, .relationUnfit)),
      ]
      let documents = [
        "", "{", "{} {}", "'", "NaN", "\"\\u0000\"", "\"\\ud800\"", "1e131072", "1e-16384",
        "1e9999999999999999999", String(repeating: "[", count: 200_000),
        String(repeating: "[", count: 129) + String(repeating: "]", count: 129),
      ]
      for document in documents {
        let wrong = EntityFilter.Step.comparison(attributeID: 5, .equal, .document(document))
        cases.append(([one, wrong, .all(2)], .badFilter(step: 1, .badDocument)))
      }
      for (steps, expected) in cases {
        let list = EntityList(tenant: 1, filter: EntityFilter(steps))
        let error = await storageFailure { () throws(StorageError) in
          try await world.once(list, [])
        }
        #expect(error == expected, "\(steps)")
      }
      for (attribute, expected): (UInt32, StorageError) in [
        (5, .notOrderable), (3, .notOrderable), (99, .orderNotFound),
      ] {
        let list = EntityList(tenant: 1, order: EntityOrder(attributeID: attribute))
        let error = await storageFailure { () throws(StorageError) in
          try await world.once(list, [])
        }
        #expect(error == expected)
      }
    }
  }

  @Test(
    "a document that could be stored is one to compare with, however deep or large it is",
    arguments: Readers.sources
  )
  func documents(feed: WarehouseFeed?) async throws {
    try await UpsertWorld.run(feed: feed) { world in
      let documents = [
        " null ", "\"\\u0001\"", "1e131071", "-1e-16383",
        String(repeating: "[", count: 128) + String(repeating: "]", count: 128),
        "\"" + String(repeating: "x", count: 600_000) + "\"",
      ]
      for document in documents {
        for relation in [EntityFilter.Relation.equal, .notEqual] {
          let step = EntityFilter.Step.comparison(attributeID: 5, relation, .document(document))
          let list = EntityList(tenant: 1, filter: EntityFilter([step]))
          let found = try await world.once(list, []).entities
          #expect(found.isEmpty)
        }
      }
    }
  }

  @Test(
    "a page token that was altered, or is of another list, is refused",
    arguments: Readers.sources
  )
  func tokens(feed: WarehouseFeed?) async throws {
    try await UpsertWorld.run(feed: feed) { world in
      let filter = EntityFilter([.comparison(attributeID: 4, .prefix, .label("a"))])
      let list = EntityList(
        tenant: 1,
        filter: filter,
        order: EntityOrder(attributeID: 4, isDescending: true)
      )
      let last = HotEntity(id: 1, externalKey: "e01", version: 1, values: [])
      let token = list.pageToken(after: last)
      _ = try await world.once(list, token)
      var others = [list, list, list, list]
      others[0].filter = EntityFilter([.comparison(attributeID: 4, .prefix, .label("b"))])
      others[1].order.isDescending = false
      others[2].order.attributeID = 1
      others[3].prefix = "e"
      for other in others {
        let error = await storageFailure { () throws(StorageError) in
          try await world.once(other, token)
        }
        #expect(error == .badPageToken)
      }
      for index in token.indices {
        var altered = token
        altered[index] ^= 1
        let error = await storageFailure { () throws(StorageError) in
          try await world.once(list, altered)
        }
        #expect(error == .badPageToken)
      }
    }
  }
}

extension TestDatabase {
  /// An index on each of the five attributes, and sessions that use one wherever they can.
  fileprivate func indexAll() async throws {
    let builder = try await connect()
    let indexes = HotIndexes(builder, tenant: 1, deadline: soon())
    for type in ValueType.allCases { _ = try await indexes.create("\(type)") }
    let name = try #require(dsn.setting("dbname"))
    _ = try await builder.script(
      "ALTER DATABASE \(name) SET enable_seqscan = off",
      deadline: soon()
    )
    _ = try await builder.script(
      """
      SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND application_name = 'sluice/test'
        AND pid NOT IN (pg_backend_pid(), \(connection.backendID))
      """,
      deadline: soon()
    )
    // Its loss is noticed by a pool when the loop has had a turn.
    await pause(.milliseconds(50), on: loop)
    builder.close()
  }
}

extension UpsertWorld {
  /// One page.
  func once(
    _ list: EntityList,
    _ token: [UInt8],
    limit: Int = 100
  ) async throws(StorageError) -> (entities: [HotEntity], hasMore: Bool, proof: ReadProof) {
    try await readers.entities.entities(
      list,
      pageToken: token,
      limit: limit,
      bytesMax: 1 << 20,
      readers.requirement,
      deadline: soon()
    )
  }

  /// All pages.
  func page(_ list: EntityList, limit: Int) async throws -> [HotEntity] {
    var all: [HotEntity] = []
    var token: [UInt8] = []
    repeat {
      let page = try await once(list, token, limit: limit)
      #expect(page.entities.count <= limit)
      all += page.entities
      token = page.hasMore ? try #require(page.entities.last.map(list.pageToken)) : []
      #expect(all.count <= 1_000)
    } while !token.isEmpty && all.count <= 1_000
    return all
  }
}

/// Conditions and orders as PostgreSQL has them, in Swift.
private enum FilterModel {
  static func holds(_ filter: EntityFilter, _ values: [UInt32: StoredValue]) -> Bool {
    var stack: [Bool] = []
    for step in filter.steps {
      switch step {
      case .all(let count):
        let operands = stack.suffix(count)
        stack.removeLast(count)
        stack.append(operands.allSatisfy(\.self))
      case .any(let count):
        let operands = stack.suffix(count)
        stack.removeLast(count)
        stack.append(operands.contains(true))
      case .not: stack[stack.count - 1].toggle()
      case .comparison(let id, let relation, let wanted):
        stack.append(holds(values[id], relation, wanted))
      }
    }
    return stack == [true]
  }

  private static func holds(
    _ value: StoredValue?,
    _ relation: EntityFilter.Relation,
    _ wanted: StoredValue?
  ) -> Bool {
    guard let value else { return false }
    guard let wanted else { return true }
    if relation == .prefix, case .label(let text) = value, case .label(let start) = wanted {
      return Array(text.utf8).starts(with: start.utf8)
    }
    let order = order(value, wanted)
    return switch relation {
    case .exists, .prefix: false
    case .equal: order == 0
    case .notEqual: order != 0
    case .less: order < 0
    case .lessOrEqual: order <= 0
    case .greater: order > 0
    case .greaterOrEqual: order >= 0
    }
  }

  /// Negative, 0 or positive; NaN is greater than all numbers, texts compare by bytes.
  static func order(_ left: StoredValue, _ right: StoredValue) -> Int {
    switch (left, right) {
    case (.number(let left), .number(let right)):
      if left.isNaN || right.isNaN { return (left.isNaN ? 1 : 0) - (right.isNaN ? 1 : 0) }
      return left < right ? -1 : left > right ? 1 : 0
    case (.integer(let left), .integer(let right)): return left < right ? -1 : left > right ? 1 : 0
    case (.label(let left), .label(let right)):
      if Array(left.utf8) == Array(right.utf8) { return 0 }
      return left.utf8.lexicographicallyPrecedes(right.utf8) ? -1 : 1
    // jsonb compares numbers by value.
    case (.document(let left), .document(let right)):
      return left.replacing("1.0", with: "1") == right.replacing("1.0", with: "1") ? 0 : 1
    default: return left == right ? 0 : 1
    }
  }

  static func comes(
    _ left: (id: Int64, values: [UInt32: StoredValue]?),
    before right: (id: Int64, values: [UInt32: StoredValue]?),
    _ order: EntityOrder
  ) -> Bool {
    let byKey = left.id < right.id
    guard let id = order.attributeID else { return byKey != order.isDescending }
    switch (left.values?[id], right.values?[id]) {
    case (nil, nil): return byKey
    case (nil, _): return false
    case (_, nil): return true
    case (let left?, let right?):
      let result = self.order(left, right)
      return result == 0 ? byKey : (result < 0) != order.isDescending
    }
  }
}

/// A generator whose numbers are the same for the same seed.
struct SplitMix: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}
