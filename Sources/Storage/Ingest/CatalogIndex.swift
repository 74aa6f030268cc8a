// What a gateway knows of one tenant's names: enough to check a value without asking the database.

/// What type the values of an attribute have; the raw values are those of sluice.v1.ValueType.
public enum ValueType: UInt8, Sendable, CaseIterable {
  /// double precision
  case number = 1
  /// bigint
  case integer = 2
  /// boolean
  case flag = 3
  /// text
  case label = 4
  /// jsonb
  case document = 5
}

/// Types and hot marks by attribute id, and which entities exist: an immutable snapshot once
/// shared.
///
/// A copy shares all pages with its origin until one of them changes it, so a refreshed snapshot
/// costs what is new. Entities take a bit each: 100 million of them are 12.5 MB.
public struct CatalogIndex: Sendable {
  /// Ids beyond this are never known: 16 million attributes, one byte each.
  public static let attributesMax = 1 << 24
  /// Entities per page: 8 KiB.
  static let pageBits = 16
  /// Highest page kept as a bitmap; entities beyond it (2^36) go into a set.
  static let pagesMax = 1 << 20

  // Type in the low bits, 8 for hot; 0 is unknown.
  private var attributes: [UInt8] = [0]
  private var pages: [[UInt64]] = []
  private var farEntities: Set<Int64> = []

  /// Knows nothing.
  public init() {}

  /// Makes an attribute known, or changes whether it is hot.
  public mutating func setAttribute(_ id: UInt32, type: ValueType, isHot: Bool) {
    precondition((1..<UInt32(CatalogIndex.attributesMax)).contains(id), "attribute ids are dense")
    if attributes.count <= Int(id) {
      attributes += [UInt8](repeating: 0, count: Int(id) + 1 - attributes.count)
    }
    attributes[Int(id)] = type.rawValue | (isHot ? CatalogIndex.hotMark : 0)
  }

  /// Makes an entity known.
  public mutating func addEntity(_ id: Int64) {
    precondition(id > 0, "entity ids count from 1")
    guard id >> Int64(CatalogIndex.pageBits) < CatalogIndex.pagesMax else {
      farEntities.insert(id)
      return
    }
    let page = Int(id >> Int64(CatalogIndex.pageBits))
    while pages.count <= page { pages.append([]) }
    if pages[page].isEmpty {
      pages[page] = [UInt64](repeating: 0, count: 1 << (CatalogIndex.pageBits - 6))
    }
    pages[page][Int(id >> 6) & CatalogIndex.wordMask] |= 1 << UInt64(id & 63)
  }

  /// The attribute's type, nil when it is not known.
  public func type(of attribute: UInt32) -> ValueType? {
    ValueType(rawValue: mark(of: attribute) & ~CatalogIndex.hotMark)
  }

  /// The attribute is known and hot.
  public func isHot(_ attribute: UInt32) -> Bool {
    mark(of: attribute) & CatalogIndex.hotMark != 0
  }

  /// The entity is known.
  @inline(__always)
  public func hasEntity(_ id: Int64) -> Bool {
    guard id > 0 else { return false }
    let page = Int(id >> Int64(CatalogIndex.pageBits))
    guard page < pages.count else { return farEntities.contains(id) }
    let words = pages[page]
    guard !words.isEmpty else { return false }
    return words[Int(id >> 6) & CatalogIndex.wordMask] & 1 << UInt64(id & 63) != 0
  }

  static let hotMark: UInt8 = 8
  private static let wordMask = 1 << (pageBits - 6) - 1

  /// Type and hot mark, 0 when unknown.
  @inline(__always)
  func mark(of attribute: UInt32) -> UInt8 {
    Int(attribute) < attributes.count ? attributes[Int(attribute)] : 0
  }
}
