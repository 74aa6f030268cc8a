// A list of entities: which ones, in which order, and where a page of it begins.

/// A request for a list of entities.
public struct EntityList: Equatable, Sendable {
  /// Whose entities.
  public var tenant: Int32
  /// Only keys that start with this.
  public var prefix: String
  /// Only entities for which this is true.
  public var filter: EntityFilter?
  /// In this order.
  public var order: EntityOrder

  /// A request of these parts.
  public init(
    tenant: Int32,
    prefix: String = "",
    filter: EntityFilter? = nil,
    order: EntityOrder = EntityOrder()
  ) {
    self.tenant = tenant
    self.prefix = prefix
    self.filter = filter
    self.order = order
  }

  /// Every attribute that it names.
  var attributeIDs: [UInt32] {
    (filter?.attributeIDs ?? []) + (order.attributeID.map { [$0] } ?? [])
  }

  /// The token of a page that ends with this entity.
  public func pageToken(after entity: HotEntity) -> [UInt8] {
    let value = order.attributeID.flatMap { id in
      entity.values.first { $0.attributeID == id }?.value
    }
    let position = EntityListPosition(value: value, key: entity.externalKey)
    return PageToken.seal(position.bytes, fingerprint)
  }

  /// Where a page begins; nil for the first one.
  ///
  /// - Throws: `.badPageToken`.
  func position(_ token: [UInt8]) throws(StorageError) -> EntityListPosition? {
    guard !token.isEmpty else { return nil }
    guard let position = EntityListPosition(try PageToken.open(token, fingerprint)) else {
      throw .badPageToken
    }
    return position
  }

  private var fingerprint: Fingerprint {
    var sum = Fingerprint()
    sum.add("entities")
    sum.add(Int64(tenant))
    sum.add(prefix)
    sum.add(order.attributeID.map { Int64($0) } ?? -1)
    sum.add(Int64(order.isDescending ? 1 : 0))
    if let filter { filter.add(to: &sum) }
    return sum
  }
}

/// A page of a list, as a statement is to bring it.
struct EntityListPage {
  /// Of which list.
  let list: EntityList
  /// Behind which entity it begins; nil for the first one.
  let position: EntityListPosition?
  /// Entities wanted; one more is looked for to see whether there are any.
  let limit: Int
  /// Of all keys and documents as text; the first entity always comes.
  let bytesMax: Int
}

/// The last entity of a page: the value it is ordered by, if it has one, and its key.
struct EntityListPosition: Equatable {
  var value: StoredValue?
  var key: String

  init(value: StoredValue?, key: String) {
    self.value = value
    self.key = key
  }

  init?(_ reader: ByteReader) {
    var reader = reader
    guard let value = OrderedValue(&reader),
      let key = String(validating: reader.rest(), as: UTF8.self), !key.utf8.contains(0)
    else { return nil }
    self.init(value: value.value, key: key)
  }

  var bytes: [UInt8] { OrderedValue(value).bytes + key.utf8 }
}
