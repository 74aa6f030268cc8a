internal import EventLoop

// What a worker remembers of its tenants' names, within a limit.

/// Attributes and entities by tenant.
///
/// All of it can be forgotten at any time: it is learned again.
struct KnownNames {
  /// Attributes kept: 250,000 of 100 to 150 bytes are 38 MB, with the longest names and units 106
  /// MB.
  static let attributesMax = 250_000
  /// Bitmap pages kept, for 65,536 entities each: 32,768 × 8 KiB = 256 MiB.
  static let pagesMax = 32_768

  private struct Tenant {
    var index = CatalogIndex()
    var attributes: [UInt32: CatalogAttribute] = [:]
    var pages: Set<Int64> = []
    var entityCount = 0
    /// Its catalog_version when the attributes were read; 0 before.
    var version: Int64 = 0
    var usedAt: MonotonicTime
  }

  private var tenants: [Int32: Tenant] = [:]
  private(set) var attributeCount = 0
  private(set) var pageCount = 0

  var entityCount: Int { tenants.values.reduce(0) { $0 + $1.entityCount } }

  /// Tenants that are remembered, with the version of each.
  var versions: [Int32: Int64] { tenants.mapValues(\.version) }

  func index(of tenant: Int32) -> CatalogIndex { tenants[tenant]?.index ?? CatalogIndex() }

  func attribute(_ id: UInt32, of tenant: Int32) -> CatalogAttribute? {
    tenants[tenant]?.attributes[id]
  }

  func attributes(of tenant: Int32) -> [UInt32: CatalogAttribute] {
    tenants[tenant]?.attributes ?? [:]
  }

  /// Those of these names that are known; looks at every attribute of the tenant.
  func attributes(named wanted: Set<String>, of tenant: Int32) -> [String: CatalogAttribute] {
    var found: [String: CatalogAttribute] = [:]
    guard let tenant = tenants[tenant] else { return found }
    for attribute in tenant.attributes.values where wanted.contains(attribute.name) {
      found[attribute.name] = attribute
    }
    return found
  }

  /// Begins to remember a tenant, or notes that it is in use.
  mutating func touch(_ tenant: Int32, now: MonotonicTime) {
    tenants[tenant, default: Tenant(usedAt: now)].usedAt = now
  }

  mutating func add(_ attribute: CatalogAttribute, to tenant: Int32, now: MonotonicTime) {
    guard attribute.id < UInt32(CatalogIndex.attributesMax) else { return }
    if attributeCount >= KnownNames.attributesMax, self.attribute(attribute.id, of: tenant) == nil {
      makeRoom(for: tenant)
    }
    touch(tenant, now: now)
    let old = tenants[tenant]?.attributes.updateValue(attribute, forKey: attribute.id)
    if old == nil { attributeCount += 1 }
    tenants[tenant]?.index.setAttribute(
      attribute.id,
      type: attribute.type,
      isHot: attribute.isHot
    )
  }

  mutating func add(entities: some Sequence<Int64>, to tenant: Int32, now: MonotonicTime) {
    touch(tenant, now: now)
    for id in entities where tenants[tenant]?.index.hasEntity(id) == false {
      if tenants[tenant]?.pages.insert(id >> Int64(CatalogIndex.pageBits)).inserted == true {
        pageCount += 1
        if pageCount > KnownNames.pagesMax {
          makeRoom(for: tenant)
          touch(tenant, now: now)
          tenants[tenant]?.pages.insert(id >> Int64(CatalogIndex.pageBits))
          pageCount = tenants.values.reduce(0) { $0 + $1.pages.count }
        }
      }
      tenants[tenant]?.index.addEntity(id)
      tenants[tenant]?.entityCount += 1
    }
  }

  mutating func setVersion(_ version: Int64, of tenant: Int32) {
    tenants[tenant]?.version = version
  }

  /// Forgets the tenant that was not used for longest; when there is no other, the one itself.
  private mutating func makeRoom(for tenant: Int32) {
    let others = tenants.filter { $0.key != tenant }
    let oldest = others.min { $0.value.usedAt < $1.value.usedAt }?.key ?? tenant
    tenants[oldest] = nil
    attributeCount = tenants.values.reduce(0) { $0 + $1.attributes.count }
    pageCount = tenants.values.reduce(0) { $0 + $1.pages.count }
  }

  // MARK: Unknown ids

  /// Whether an id exists for certain.
  func isKnown(_ id: UnknownIDs.ID) -> Bool {
    switch id {
    case .entity(let id, let tenant): index(of: tenant).hasEntity(id)
    case .attribute(let id, let tenant): attribute(id, of: tenant) != nil
    }
  }

  /// Which of these must be asked for; what cannot exist need not be.
  func missing(
    _ tenant: Int32,
    _ entityIDs: [Int64],
    _ attributeIDs: [UInt32]
  ) -> [UnknownIDs.ID] {
    let index = index(of: tenant)
    let entities = entityIDs.filter { $0 > 0 && !index.hasEntity($0) }
    let attributes = attributeIDs.filter {
      (1..<UInt32(CatalogIndex.attributesMax)).contains($0) && attribute($0, of: tenant) == nil
    }
    return entities.map { .entity($0, tenant: tenant) }
      + attributes.map { .attribute($0, tenant: tenant) }
  }
}
