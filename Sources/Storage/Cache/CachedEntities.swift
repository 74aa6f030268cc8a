// Hot entities in the cache: the names of their keys, the bytes of their rows, the way of a read.

/// Reads hot entities through the cache.
///
/// The seam for GetEntity and BatchGetEntities: they call `row` with the position their level
/// requires and a closure that reads the source the router picks. UpsertEntity, the lanes' fold of
/// hot values and the creation of entities call `invalidate` after COMMIT and before the
/// acknowledgement. STRONG reads and reads with staged values do not come here. Entities are kept
/// by id; who asks by external key asks the catalog for the id first. Confined to one worker's
/// loop.
struct CachedEntities {
  /// What a source said.
  struct Source {
    /// nil for an entity that does not exist: kept, too.
    var row: ProjectionRow?
    /// Proven for the read; on the primary a lower bound of what was visible, taken before it.
    var asOf: FreshnessToken
    var source: CacheSource
  }

  /// What a read brought, from wherever.
  struct Answer {
    var row: ProjectionRow?
    /// Everything acknowledged up to here is in the row.
    var asOf: FreshnessToken
    /// nil for an answer of the cache.
    var miss: CacheMiss?
  }

  let cache: ReadCache

  /// The name of an entity: short, because Redis keeps it with each entry.
  static func key(tenant: Int32, entityID: Int64) -> CacheKey { CacheKey("\(tenant):\(entityID)") }

  /// Reads one entity from the cache, or from the source and into the cache.
  ///
  /// - Parameters:
  ///   - tenant: whose.
  ///   - entityID: which.
  ///   - required: the position that the answer's proof must reach.
  ///   - read: reads the source; is given the position that a replica must have seen for its read
  ///     to be kept, nil when nothing is kept.
  /// - Returns: the row with its proof, and why it was not in the cache.
  /// - Throws: what `read` throws.
  func row(
    tenant: Int32,
    entityID: Int64,
    required: FreshnessToken,
    read: (PostgresLSN?) async throws(StorageError) -> Source
  ) async throws(StorageError) -> Answer {
    let key = CachedEntities.key(tenant: tenant, entityID: entityID)
    switch await cache.lookup(key, required: required) {
    case .hit(let entry):
      guard let value = entry.value else { return Answer(asOf: entry.asOf) }
      if let row = ProjectionRow(cached: value) { return Answer(row: row, asOf: entry.asOf) }
      // Written by a gateway that knows another layout.
      let source = try await read(nil)
      return Answer(row: source.row, asOf: source.asOf, miss: .absent)
    case .miss(let ticket):
      let source: Source
      do throws(StorageError) {
        source = try await read(ticket.floor)
      } catch {
        cache.abandon(ticket)
        throw error
      }
      let entry = CacheEntry(value: source.row?.cached, asOf: source.asOf)
      cache.fill(ticket, entry, from: source.source)
      return Answer(row: source.row, asOf: source.asOf, miss: ticket.miss)
    }
  }

  /// Tells the cache that entities were written, or created; waits at most 20 ms and never fails.
  ///
  /// - Parameters:
  ///   - entityIDs: which.
  ///   - tenant: whose.
  ///   - token: a position at or past the commit.
  func invalidate(
    _ entityIDs: some Sequence<Int64>,
    of tenant: Int32,
    _ token: FreshnessToken
  )
    async
  {
    let keys = entityIDs.map { CachedEntities.key(tenant: tenant, entityID: $0) }
    await cache.invalidate(keys, token)
  }
}

extension ProjectionRow {
  /// Changes with the layout; a row of another layout is read anew.
  private static let layout: UInt8 = 1

  /// The row as bytes: layout, id, version, external key, and of each entry id, time
  /// and value.
  var cached: [UInt8] {
    var bytes: [UInt8] = [ProjectionRow.layout]
    bytes.reserveCapacity(32 + externalKey.utf8.count + entries.count * 32)
    bytes += ByteWriter.bytes(id) + ByteWriter.bytes(version)
    bytes += ByteWriter.bytes(UInt32(externalKey.utf8.count))
    bytes += externalKey.utf8
    bytes += ByteWriter.bytes(UInt32(entries.count))
    for entry in entries {
      bytes += ByteWriter.bytes(entry.id) + ByteWriter.bytes(entry.observedAt)
      bytes += ByteWriter.bytes(UInt32(entry.value.count))
      bytes += entry.value
    }
    return bytes
  }

  /// Reads what `cached` wrote; nil when it is anything else.
  init?(cached bytes: [UInt8]) {
    guard bytes.first == ProjectionRow.layout else { return nil }
    var reader = ByteReader(bytes.dropFirst())
    guard let id = reader.integer(Int64.self), let version = reader.integer(Int64.self),
      let key = ProjectionRow.counted(&reader),
      let externalKey = String(validating: key, as: UTF8.self),
      let count = reader.integer(UInt32.self)
    else { return nil }
    var entries: [Entry] = []
    for _ in 0..<count {
      guard let id = reader.integer(UInt32.self), let observedAt = reader.integer(Int64.self),
        let value = ProjectionRow.counted(&reader)
      else { return nil }
      entries.append(Entry(id: id, value: value, observedAt: observedAt))
    }
    guard reader.isAtEnd else { return nil }
    self.init(id: id, externalKey: externalKey, version: version, entries: entries)
  }

  /// A row of these parts.
  init(id: Int64, externalKey: String, version: Int64, entries: [Entry]) {
    self.id = id
    self.externalKey = externalKey
    self.version = version
    self.entries = entries
  }

  /// A length and so many bytes.
  private static func counted(_ reader: inout ByteReader) -> ArraySlice<UInt8>? {
    guard let count = reader.integer(UInt32.self) else { return nil }
    let rest = reader.rest()
    guard rest.count >= Int(count) else { return nil }
    reader = ByteReader(rest.dropFirst(Int(count)))
    return rest.prefix(Int(count))
  }
}
