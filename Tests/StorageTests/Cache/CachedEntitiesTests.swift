import EventLoop
import Testing

@testable import Storage

// Hot entities through the cache.

@Suite("Cached entities")
struct CachedEntitiesTests {
  private static func entity(
    _ id: Int64 = 7,
    _ name: String = "Ger\u{e4}t \u{0}7",
    _ values: [StoredValue] = [.number(1)]
  ) -> HotEntity {
    var entity = HotEntity(id: id, externalKey: name, version: .max, values: [])
    for (index, value) in values.enumerated() {
      entity.values.append(
        NewestValue(
          attributeID: UInt32.max - UInt32(index),
          name: "attribute \(index)",
          value: value,
          observedAtMicroseconds: -Int64(index)
        )
      )
    }
    return entity
  }

  private static let all: [StoredValue] = [
    .number(-0.0), .number(.infinity), .integer(.min), .flag(true), .flag(false), .label(""),
    .label("\u{fc}"), .document("{\"a\": [1, \"\u{fc}\"]}"),
  ]

  @Test("a value of an attribute that is not hot any more is not shown")
  func coldAttribute() {
    let bytes = CachedEntitiesTests.entity(1, "name", [.number(1), .number(2)]).cached
    let entity = HotEntity(cached: bytes) {
      CachedEntitiesTests.attribute($0, isHot: $0 == .max)
    }
    #expect(entity?.values.map(\.value) == [.number(1)])
  }

  /// What the catalog knows of the attributes above.
  private static func attribute(_ id: UInt32, isHot: Bool = true) -> CatalogAttribute {
    CatalogAttribute(
      id: id,
      name: "attribute \(UInt32.max - id)",
      type: .number,
      unit: "",
      isHot: isHot
    )
  }

  private static func read(_ bytes: [UInt8]) -> HotEntity? {
    HotEntity(cached: bytes) { attribute($0) }
  }

  @Test("an entity comes back as it was")
  func roundTrip() throws {
    for values in [[], CachedEntitiesTests.all] {
      let entity = CachedEntitiesTests.entity(.min, "", values)
      #expect(CachedEntitiesTests.read(entity.cached) == entity)
    }
    let nan = CachedEntitiesTests.entity(1, "n", [.number(.nan), .number(-0.0)])
    let copy = try #require(CachedEntitiesTests.read(nan.cached))
    #expect(copy.cached == nan.cached)
  }

  @Test("no part of an entity is taken for a whole one, and no other layout either")
  func damaged() {
    let bytes = CachedEntitiesTests.entity(1, "name", CachedEntitiesTests.all).cached
    for count in 0..<bytes.count {
      let part = CachedEntitiesTests.read(Array(bytes.prefix(count)))
      #expect(part == nil, "\(count) of \(bytes.count)")
    }
    #expect(CachedEntitiesTests.read(bytes + [0]) == nil)
    #expect(CachedEntitiesTests.read([2] + bytes.dropFirst()) == nil)
    #expect(CachedEntitiesTests.read(bytes) != nil)
  }

  @Test("an entity with an attribute that is not known here is read anew")
  func unknownAttribute() {
    let bytes = CachedEntitiesTests.entity(1, "name", [.number(1), .number(2)]).cached
    let entity = HotEntity(cached: bytes) {
      $0 == .max ? CachedEntitiesTests.attribute($0) : nil
    }
    #expect(entity == nil)
  }

  @Test("names are their bytes, and those asked for last are kept")
  func names() {
    var names = EntityNames()
    names.add("\u{e9}", tenant: 1, id: 1)
    #expect(names.id(of: "e\u{301}", tenant: 1) == nil, "only looks the same")
    #expect(names.id(of: "\u{e9}", tenant: 2) == nil)
    #expect(EntityReader.Key.externalKey("\u{e9}") != .externalKey("e\u{301}"))
    for number in 0..<EntityNames.countMax * 2 {
      names.add("\(number)", tenant: 1, id: Int64(number))
      if number % 1_000 == 0 { #expect(names.id(of: "\u{e9}", tenant: 1) == 1) }
    }
    #expect(names.id(of: "0", tenant: 1) == nil, "nobody asked for it")
    names.remove("\u{e9}", tenant: 1)
    #expect(names.id(of: "\u{e9}", tenant: 1) == nil)
  }

  // MARK: With a Redis

  /// A cache, and a database whose entities the test sets.
  ///
  /// Not Sendable; lives on the loop of its world.
  private final class Shop {
    let world: CacheWorld
    let cached: CachedEntities
    var entities: [HotEntity] = []
    /// What the database proves.
    var position: UInt64 = 200
    var origin = ReadOrigin.primary
    var reads: [EntityReader.Key] = []

    init(_ world: CacheWorld, database: UInt8 = 1) {
      self.world = world
      cached = CachedEntities(
        world.caches[0],
        databaseID: [UInt8](repeating: database, count: 16),
        attributes: { _ in { CachedEntitiesTests.attribute($0) } },
        proof: { Shop.proof(.cache, $0, .hit) }
      )
    }

    private static func proof(
      _ origin: ReadOrigin,
      _ token: FreshnessToken,
      _ use: ReadCacheUse
    ) -> ReadProof {
      ReadProof(
        origin: origin,
        node: "\(origin)",
        asOf: token,
        staleness: origin == .cache ? .milliseconds(Int64(1_000 - token.lsn.value)) : .zero,
        isDegraded: false,
        waited: .zero,
        cache: use
      )
    }

    private func find(_ key: EntityReader.Key) -> HotEntity? {
      reads.append(key)
      return entities.first {
        switch key {
        case .id(let id): $0.id == id
        case .externalKey(let name): $0.externalKey == name
        }
      }
    }

    private var proof: ReadProof { Shop.proof(origin, world.token(position), .bypass) }

    func get(
      _ key: EntityReader.Key,
      _ required: UInt64
    ) async throws -> (entity: HotEntity?, proof: ReadProof) {
      try await cached.entity(key, required: world.token(required)) { [self] key, done in
        done(.success((find(key), proof)))
      }
    }

    func get(
      _ keys: [EntityReader.Key],
      _ required: UInt64,
      bytesMax: Int = 1 << 20
    ) async throws -> (entities: [HotEntity?], proof: ReadProof) {
      var batch = CachedBatch(cached, tenant: 1, required: world.token(required))
      return try await batch.entities(keys, bytesMax: bytesMax) {
        (keys) throws(StorageError) in (keys.map(find), proof)
      }
    }

    /// Waits until so many fills have ended.
    func fills(_ count: UInt64) async throws {
      let cache = cached.cache
      try await world.until("\(count) fills") {
        cache.statistics.fills.values.reduce(0, +) >= count
      }
    }
  }

  @Test("a read fills the cache, the next one finds it, a write drops it", .needsRedis)
  func reads() async throws {
    try await CacheWorld.run { world in
      let shop = Shop(world)
      shop.entities = [CachedEntitiesTests.entity()]
      let first = try await shop.get(.id(7), 100)
      #expect(first.entity == shop.entities[0] && first.proof.cache == .miss)
      #expect(first.proof.origin == .primary)
      try await shop.fills(1)
      let second = try await shop.get(.id(7), 150)
      #expect(second.entity == shop.entities[0] && second.proof.origin == .cache)
      #expect(second.proof.asOf.lsn == first.proof.asOf.lsn && shop.reads.count == 1)
      await shop.cached.invalidate([EntityID(tenant: 1, id: 7)], world.token(250))
      shop.entities = []
      shop.position = 300
      #expect(try await shop.get(.id(7), 100).entity == nil)
      try await shop.fills(2)
      let absent = try await shop.get(.id(7), 260)
      #expect(absent.entity == nil && absent.proof.cache == .hit && shop.reads.count == 2)
    }
  }

  @Test("a token that equals the primary's position is above what was read there", .needsRedis)
  func equalPosition() async throws {
    try await CacheWorld.run { world in
      let shop = Shop(world)
      // In the log and not visible yet; acknowledged afterwards with the same position.
      _ = try await shop.get(.id(7), 100)
      try await shop.fills(1)
      shop.entities = [CachedEntitiesTests.entity()]
      let seen = try await shop.get(.id(7), 200)
      #expect(seen.entity != nil && seen.proof.cache == .miss)
      #expect(seen.proof.asOf == world.token(200), "it holds what was required")
      try await shop.fills(2)
      // And the invalidation drops what was stored at the position it names.
      await shop.cached.invalidate([EntityID(tenant: 1, id: 7)], world.token(200))
      #expect(try await shop.get(.id(7), 100).proof.cache == .miss)
      // A replica shows all up to its position.
      shop.origin = .replica
      shop.position = 300
      _ = try await shop.get(.id(8), 100)
      try await shop.fills(4)
      #expect(try await shop.get(.id(8), 300).proof.cache == .hit)
    }
  }

  @Test("a name leads to the entity, also through the cache alone", .needsRedis)
  func byName() async throws {
    try await CacheWorld.run { world in
      let shop = Shop(world)
      shop.entities = [CachedEntitiesTests.entity(7, "seven")]
      for turn in 0..<3 {
        let found = try await shop.get(.externalKey("seven"), 100)
        #expect(found.entity?.id == 7)
        #expect(found.proof.cache == (turn < 2 ? .miss : .hit))
        try await shop.fills(UInt64(min(turn + 1, 2)))
      }
      #expect(shop.reads == [.externalKey("seven"), .id(7)])
      // Another worker knows no names.
      let other = Shop(world)
      let found = try await other.get(.externalKey("seven"), 100)
      #expect(found.entity?.id == 7 && found.proof.cache == .hit && other.reads.isEmpty)
      // Renamed by hand: after the first look everybody sees it.
      shop.entities = [
        CachedEntitiesTests.entity(7, "sieben"), CachedEntitiesTests.entity(8, "seven"),
      ]
      await shop.cached.invalidate([EntityID(tenant: 1, id: 7)], world.token(250))
      shop.position = 300
      #expect(try await shop.get(.externalKey("seven"), 260).entity?.id == 8)
      #expect(try await other.get(.externalKey("seven"), 260).entity?.id != 7)
    }
  }

  @Test("what does not exist is kept until it is made", .needsRedis)
  func negative() async throws {
    try await CacheWorld.run { world in
      let shop = Shop(world)
      let keys: [EntityReader.Key] = [.externalKey("new"), .id(9)]
      for (turn, key) in (keys + keys).enumerated() {
        #expect(try await shop.get(key, 100).entity == nil)
        try await shop.fills(UInt64(min(turn + 1, 2)))
      }
      #expect(shop.reads == keys, "the second time the cache knows")
      let other = Shop(world, database: 2)
      _ = try await other.get(.id(9), 100)
      #expect(other.reads == [.id(9)], "another database has other entities")
      shop.entities = [CachedEntitiesTests.entity(9, "new")]
      shop.position = 300
      let made = [
        shop.cached.key(EntityID(tenant: 1, id: 9)), shop.cached.key(name: "new", tenant: 1),
      ]
      await shop.cached.cache.invalidate(made, world.token(250))
      for key in keys { #expect(try await shop.get(key, 100).entity?.id == 9) }
    }
  }

  @Test("of many the rest is read, and the answer is as old as its oldest part", .needsRedis)
  func batch() async throws {
    try await CacheWorld.run { world in
      let shop = Shop(world)
      shop.entities = [1, 2, 3].map { CachedEntitiesTests.entity($0, "n\($0)") }
      let first = try await shop.get([.id(1), .externalKey("n2"), .id(1), .id(99)], 100)
      #expect(first.entities.map { $0?.id } == [1, 2, 1, nil])
      #expect(shop.reads == [.id(1), .externalKey("n2"), .id(99)] && first.proof.cache == .miss)
      try await shop.fills(3)
      shop.position = 300
      shop.reads = []
      let second = try await shop.get([.id(99), .id(3), .id(1)], 150)
      #expect(second.entities.map { $0?.id } == [nil, 3, 1])
      #expect(shop.reads == [.id(3)] && second.proof.cache == .miss)
      #expect(second.proof.asOf.lsn == first.proof.asOf.lsn && second.proof.staleness > .zero)
      try await shop.fills(4)
      shop.reads = []
      // The name is known, its entity was not kept under its id.
      for turn in 0..<2 {
        let third = try await shop.get([.id(3), .externalKey("n2"), .id(1)], 150)
        #expect(third.entities.map { $0?.id } == [3, 2, 1])
        #expect(third.proof.cache == (turn == 0 ? .miss : .hit))
        try await shop.fills(5)
      }
      #expect(shop.reads == [.externalKey("n2")])
      let short = try await shop.get(
        [.id(1), .id(3)] + (100..<200).map { .id($0) },
        150,
        bytesMax: 1
      )
      #expect(short.entities.count < 102 && short.entities.first??.id == 1)
    }
  }

  @Test("a read that fails gives its lease back and fails", .needsRedis)
  func fails() async throws {
    try await CacheWorld.run { world in
      let shop = Shop(world)
      for count in 1...2 as ClosedRange<UInt64> {
        await #expect(throws: StorageError.notPrimary) {
          try await shop.cached.entity(.id(2), required: world.token(100)) { _, done in
            done(.failure(.notPrimary))
          }
        }
        #expect(shop.cached.cache.statistics.misses == [.absent: count])
      }
      var batch = CachedBatch(shop.cached, tenant: 1, required: world.token(100))
      await #expect(throws: StorageError.notPrimary) {
        try await batch.entities([.id(2), .id(3)], bytesMax: 1 << 20) {
          (_) throws(StorageError) in throw .notPrimary
        }
      }
      batch = CachedBatch(shop.cached, tenant: 1, required: world.token(100))
      _ = try await shop.get([.id(2), .id(3)], 100)
      try await shop.fills(6)
      #expect(shop.cached.cache.statistics.fills == [.abandoned: 4, .stored: 2])
    }
  }

  @Test("a value of another layout is read anew", .needsRedis)
  func otherLayout() async throws {
    try await CacheWorld.run { world in
      let shop = Shop(world)
      shop.entities = [CachedEntitiesTests.entity()]
      try await world.caches[0].put(
        shop.cached.key(EntityID(tenant: 1, id: 7)),
        world.entry("what is this", 110),
        required: world.token(100),
        on: world.loop
      )
      let found = try await shop.get(.id(7), 100)
      #expect(found.entity == shop.entities[0] && found.proof.cache == .miss)
      let many = try await shop.get([.id(7)], 100)
      #expect(many.entities == shop.entities && many.proof.cache == .miss)
    }
  }
}

extension CachedEntities {
  /// An entity of tenant 1, for a task that waits.
  fileprivate func entity(
    _ key: EntityReader.Key,
    required: FreshnessToken,
    _ read: @escaping Read
  ) async throws -> Found {
    let cell = WaitCell<Answer>()
    return try await cell.wait {
      entity(key, tenant: 1, required: required, read) { cell.resume($0) }
    }.get()
  }
}
