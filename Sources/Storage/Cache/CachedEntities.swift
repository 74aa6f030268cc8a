internal import EventLoop

// Hot entities in the cache: the names of their keys, and the way of a read through it.

/// An entity of a tenant.
struct EntityID: Hashable, Sendable {
  var tenant: Int32
  var id: Int64
}

/// Reads hot entities through the cache of a worker.
///
/// An entity is kept under its id, its name leads to the id: names never change, so a worker keeps
/// those it has met, and the cache has an entry for a name only to say that there is no such
/// entity, or which id it has. What does not exist is kept, too, under whatever it was asked by.
/// Confined to one worker's loop.
final class CachedEntities {
  /// What a read brought; nil for an entity that does not exist.
  typealias Found = (entity: HotEntity?, proof: ReadProof)
  /// What became of a read.
  typealias Answer = Result<Found, StorageError>
  /// Reads one entity from a database, and calls back once.
  typealias Read = (EntityReader.Key, @escaping (Answer) -> Void) -> Void

  let cache: ReadCache
  /// Entities of two databases of one cluster have the same ids.
  private let database: [UInt8]
  /// The proof of what was held up to a position.
  let proof: (FreshnessToken) -> ReadProof?
  private let attributes: (Int32) -> (UInt32) -> CatalogAttribute?
  /// Ids of names.
  var names = EntityNames()

  /// Entities of a database in a cache.
  ///
  /// - Parameters:
  ///   - cache: of the worker.
  ///   - databaseID: 16 bytes that name the database.
  ///   - attributes: those of a tenant that are known.
  ///   - proof: `ReadRouter.proof(ofCached:)`.
  init(
    _ cache: ReadCache,
    databaseID: [UInt8],
    attributes: @escaping (Int32) -> (UInt32) -> CatalogAttribute?,
    proof: @escaping (FreshnessToken) -> ReadProof?
  ) {
    self.attributes = attributes
    self.cache = cache
    // Half of it tells the databases of one cluster apart.
    database = Array(databaseID.prefix(8))
    self.proof = proof
  }

  // MARK: Keys

  /// Where an entity lies.
  func key(_ entity: EntityID) -> CacheKey {
    CacheKey(database + "\(entity.tenant):\(entity.id)".utf8)
  }

  /// Where it lies which id a name has.
  func key(name: String, tenant: Int32) -> CacheKey {
    CacheKey(database + "\(tenant)=\(name)".utf8)
  }

  // MARK: One entity

  /// Reads an entity from the cache, or from a database and into the cache.
  ///
  /// - Parameters:
  ///   - key: its id or its name.
  ///   - tenant: whose.
  ///   - required: the position that the answer's proof must reach.
  ///   - read: reads it from a database; its proof says how fresh.
  ///   - done: is called once, with the entity and its proof, nil when it does not exist; errors
  ///     are those of `read`.
  func entity(
    _ key: EntityReader.Key,
    tenant: Int32,
    required: FreshnessToken,
    _ read: @escaping Read,
    _ done: @escaping (Answer) -> Void
  ) {
    switch key {
    case .id(let id): entity(EntityID(tenant: tenant, id: id), required, read, done)
    case .externalKey(let name):
      guard let id = names.id(of: name, tenant: tenant) else {
        return entity(named: name, tenant, required, read, done)
      }
      entity(EntityID(tenant: tenant, id: id), required, read) { [self] answer in
        if CachedEntities.mayBe(answer, name) { return done(answer) }
        // Somebody has renamed or deleted it by hand.
        names.remove(name, tenant: tenant)
        entity(named: name, tenant, required, read, done)
      }
    }
  }

  /// Whether nothing speaks against an answer for a name: it is the entity, or an error.
  private static func mayBe(_ answer: Answer, _ name: String) -> Bool {
    guard case .success(let found) = answer else { return true }
    return found.entity.map { EntityNames.areSame($0.externalKey, name) } ?? false
  }

  private func entity(
    _ id: EntityID,
    _ required: FreshnessToken,
    _ read: @escaping Read,
    _ done: @escaping (Answer) -> Void
  ) {
    cache.lookup(key(id), required: required) { [self] lookup in
      switch lookup {
      case .hit(let entry):
        if let found = found(entry, id) { return done(.success(found)) }
        readPast(.id(id.id), required, read, done)
      case .miss(let ticket):
        fill(ticket, .id(id.id), required, read, { $0.cached }, done)
      }
    }
  }

  private func entity(
    named name: String,
    _ tenant: Int32,
    _ required: FreshnessToken,
    _ read: @escaping Read,
    _ done: @escaping (Answer) -> Void
  ) {
    let key = EntityReader.Key.externalKey(name)
    cache.lookup(self.key(name: name, tenant: tenant), required: required) { [self] lookup in
      switch lookup {
      case .hit(let entry):
        if entry.value == nil, let proof = proof(entry.asOf) { return done(.success((nil, proof))) }
        guard let id = entry.value.flatMap(CachedEntities.id) else {
          return readPast(key, required, read, done)
        }
        entity(EntityID(tenant: tenant, id: id), required, read) { [self] answer in
          guard CachedEntities.mayBe(answer, name) else {
            return readPast(key, required, read, done)
          }
          learn(name, tenant, answer)
          done(answer)
        }
      case .miss(let ticket):
        fill(ticket, key, required, read, { ByteWriter.bytes($0.id) }) { [self] answer in
          learn(name, tenant, answer)
          done(answer)
        }
      }
    }
  }

  /// Keeps which id a name was found to have.
  private func learn(_ name: String, _ tenant: Int32, _ answer: Answer) {
    guard case .success(let found) = answer, let entity = found.entity else { return }
    names.add(name, tenant: tenant, id: entity.id)
  }

  /// Reads without the cache, which has nothing that can be used.
  private func readPast(
    _ key: EntityReader.Key,
    _ required: FreshnessToken,
    _ read: Read,
    _ done: @escaping (Answer) -> Void
  ) {
    read(key) { [self] answer in done(missed(answer, required)) }
  }

  /// The answer that an entry gives; nil when it was written by a gateway that knows another
  /// layout, or when its age is not known.
  private func found(_ entry: CacheEntry, _ id: EntityID) -> Found? {
    guard let proof = proof(entry.asOf) else { return nil }
    guard let value = entry.value else { return (nil, proof) }
    guard let entity = entity(value, of: id.tenant), entity.id == id.id else { return nil }
    return (entity, proof)
  }

  /// The entity that an entry holds; nil when it cannot be read here.
  func entity(_ value: [UInt8], of tenant: Int32) -> HotEntity? {
    HotEntity(cached: value, attributes(tenant))
  }

  /// What the entry of a name holds.
  static func id(_ value: [UInt8]) -> Int64? {
    var reader = ByteReader(value[...])
    guard let id = reader.integer(Int64.self), reader.isAtEnd else { return nil }
    return id
  }

  /// Reads, fills the cache, and tells how it went.
  private func fill(
    _ ticket: CacheTicket,
    _ key: EntityReader.Key,
    _ required: FreshnessToken,
    _ read: Read,
    _ value: @escaping (HotEntity) -> [UInt8],
    _ done: @escaping (Answer) -> Void
  ) {
    read(key) { [self] answer in
      switch answer {
      case .success(let found): keep(ticket, found.entity.map(value), found.proof)
      case .failure: cache.abandon(ticket)
      }
      done(missed(answer, required))
    }
  }

  private func missed(_ answer: Answer, _ required: FreshnessToken) -> Answer {
    answer.map { ($0.entity, missed($0.proof, required)) }
  }

  /// Ends a ticket with what was read.
  func keep(_ ticket: CacheTicket, _ value: [UInt8]?, _ proof: ReadProof) {
    let entry = CacheEntry(value: value, asOf: CachedEntities.held(proof))
    cache.fill(ticket, entry, from: proof.origin == .primary ? .primary : .replica)
  }

  /// Up to where an entry with this proof holds everything acknowledged.
  ///
  /// The primary's position is that of its log, and what is in the log is visible a moment later: a
  /// transaction may end at this position, not be seen by the read, and be acknowledged with the
  /// very same position as its token, when nothing else is written in between. With the position
  /// before, which is no end of a record, the entry lies below the token of whatever it lacks.
  private static func held(_ proof: ReadProof) -> FreshnessToken {
    var lsn = proof.asOf.lsn
    if proof.origin == .primary { lsn.value -= min(1, lsn.value) }
    return FreshnessToken(proof.asOf.identity, lsn)
  }

  /// The proof of a database's answer, after the cache had none.
  ///
  /// It tells the position that the entry has, where that is enough, so that a reader who gives it
  /// to an AT_LEAST read can be answered by the entry it has made.
  func missed(_ proof: ReadProof, _ required: FreshnessToken) -> ReadProof {
    var proof = proof
    proof.cache = .miss
    let held = CachedEntities.held(proof)
    if held.identity == required.identity, held.lsn >= required.lsn {
      proof.asOf.lsn = held.lsn
    }
    return proof
  }

  // MARK: Writing

  /// Tells the cache that entities were written; after COMMIT and before the acknowledgement.
  ///
  /// Waits at most 20 ms and never fails.
  ///
  /// - Parameters:
  ///   - entities: which.
  ///   - token: a position at or past the commit.
  func invalidate(_ entities: Set<EntityID>, _ token: FreshnessToken) async {
    await cache.invalidate(entities.map { key($0) }, token)
  }
}
