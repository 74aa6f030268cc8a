internal import EventLoop

// Many hot entities at once: each from the cache, the rest with one read of a database.

/// One BatchGetEntities on its way through the cache.
struct CachedBatch {
  /// What a read of many brought: of each name from the first on, as far as there was room.
  typealias Found = (entities: [HotEntity?], proof: ReadProof)
  /// Reads many entities from a database.
  typealias Read = ([EntityReader.Key]) async throws(StorageError) -> Found

  private let entities: CachedEntities
  private let tenant: Int32
  private let required: FreshnessToken
  /// What is known; nil for what does not exist.
  private var known: [EntityReader.Key: HotEntity?] = [:]
  /// The rights to fill what is not, and under which id; dropping one gives its lease back.
  private var tickets: [EntityReader.Key: (ticket: CacheTicket, entity: EntityID?)] = [:]
  /// The lowest position of what the cache had.
  private var heldUpTo: FreshnessToken?

  /// Lookups sent at once: what is not needed any more has not been asked for then.
  private static let lookupsAtOnce = CacheLimits().lookupsPerCall

  /// A batch that must be proven up to a position.
  init(_ entities: CachedEntities, tenant: Int32, required: FreshnessToken) {
    self.entities = entities
    self.tenant = tenant
    self.required = required
  }

  /// Reads entities; each is as of a moment of its own, none older than the proof says.
  ///
  /// - Parameters:
  ///   - keys: what they are called.
  ///   - bytesMax: after which no more is looked up.
  ///   - read: reads the rest.
  /// - Returns: an answer for each key from the first on, as far as there is room.
  /// - Throws: what `read` throws.
  mutating func entities(
    _ keys: [EntityReader.Key],
    bytesMax: Int,
    _ read: Read
  ) async throws(StorageError) -> Found {
    let missing = await look(keys, bytesMax)
    let heldProof = heldUpTo.flatMap { entities.proof($0) }
    if missing.isEmpty, let heldProof { return (answer(keys), heldProof) }
    // Without a proof what the cache had is of no use.
    let isHeld = heldUpTo == nil || heldProof != nil
    let (found, readProof) = try await read(isHeld ? missing : keys)
    var proof = entities.missed(readProof, required)
    guard isHeld else { return (found, proof) }
    fill(missing, found, readProof)
    guard let heldProof else { return (answer(keys), proof) }
    guard heldProof.asOf.identity == proof.asOf.identity else {
      // A failover lies between: positions of two histories have no common proof.
      let (all, proof) = try await read(keys)
      return (all, entities.missed(proof, required))
    }
    if heldProof.asOf.lsn < proof.asOf.lsn {
      proof.asOf.lsn = heldProof.asOf.lsn
    }
    proof.staleness = max(proof.staleness, heldProof.staleness)
    return (answer(keys), proof)
  }

  /// Asks the cache.
  ///
  /// - Returns: what it does not have, each once.
  private mutating func look(
    _ keys: [EntityReader.Key],
    _ bytesMax: Int
  ) async
    -> [EntityReader.Key]
  {
    var seen: Set<EntityReader.Key> = []
    let unique = keys.filter { seen.insert($0).inserted }
    var missing: [EntityReader.Key] = []
    var rest = unique[...]
    var bytes = 0
    while !rest.isEmpty, bytes < bytesMax {
      let part = rest.prefix(CachedBatch.lookupsAtOnce)
      rest = rest.dropFirst(part.count)
      let places = part.map { Place($0, entities, tenant) }
      let lookups = await entities.cache.lookup(places.map(\.cacheKey), required: required)
      for (place, lookup) in zip(places, lookups) {
        switch lookup {
        case .hit(let entry):
          bytes += entry.value?.count ?? 0
          if take(entry, place) { continue }
        case .miss(let ticket): tickets[place.key] = (ticket, place.entity)
        }
        missing.append(place.key)
      }
    }
    return missing
  }

  /// Where something lies that was asked for.
  private struct Place {
    let key: EntityReader.Key
    /// nil for a name whose id is not known.
    let entity: EntityID?
    let cacheKey: CacheKey

    init(_ key: EntityReader.Key, _ entities: CachedEntities, _ tenant: Int32) {
      self.key = key
      switch key {
      case .id(let id): entity = EntityID(tenant: tenant, id: id)
      case .externalKey(let name):
        entity = entities.names.id(of: name, tenant: tenant)
          .map { EntityID(tenant: tenant, id: $0) }
        guard entity != nil else {
          cacheKey = entities.key(name: name, tenant: tenant)
          return
        }
      }
      guard let entity else { preconditionFailure("only names have no id") }
      cacheKey = entities.key(entity)
    }
  }

  /// Takes what an entry says; false when it says nothing about who was asked for.
  private mutating func take(_ entry: CacheEntry, _ place: Place) -> Bool {
    let entity: HotEntity?
    switch (place.key, place.entity, entry.value) {
    case (.id, _, nil), (.externalKey, nil, nil): entity = nil
    case (.externalKey(let name), nil, let value?):
      if let id = CachedEntities.id(value) { entities.names.add(name, tenant: tenant, id: id) }
      return false
    case (.id(let id), _, let value?):
      guard let found = entities.entity(value, of: tenant), found.id == id else { return false }
      entity = found
    case (.externalKey(let name), _, let value):
      guard let found = value.flatMap({ entities.entity($0, of: tenant) }),
        EntityNames.areSame(found.externalKey, name)
      else {
        // Somebody has renamed or deleted it by hand.
        entities.names.remove(name, tenant: tenant)
        return false
      }
      entity = found
    }
    known.updateValue(entity, forKey: place.key)
    if heldUpTo.map({ entry.asOf.lsn < $0.lsn }) ?? true { heldUpTo = entry.asOf }
    return true
  }

  /// Takes what a database said, and fills the cache with it.
  private mutating func fill(
    _ missing: [EntityReader.Key],
    _ found: [HotEntity?],
    _ proof: ReadProof
  ) {
    for (key, entity) in zip(missing, found) {
      known.updateValue(entity, forKey: key)
      if case .externalKey(let name) = key {
        if let entity {
          entities.names.add(name, tenant: tenant, id: entity.id)
        } else {
          entities.names.remove(name, tenant: tenant)
        }
      }
      guard let (ticket, place) = tickets.removeValue(forKey: key) else { continue }
      guard let place else {
        entities.keep(ticket, entity.map { ByteWriter.bytes($0.id) }, proof)
        continue
      }
      // That a name leads elsewhere now says nothing about the id it had.
      let isOfPlace = entity.map { $0.id == place.id } ?? (key == .id(place.id))
      if isOfPlace { entities.keep(ticket, entity?.cached, proof) }
    }
  }

  /// As far as everything is known.
  private func answer(_ keys: [EntityReader.Key]) -> [HotEntity?] {
    var answer: [HotEntity?] = []
    for key in keys {
      guard let entity = known[key] else { break }
      answer.append(entity)
    }
    return answer
  }
}
