// An attribute as the catalog knows it.

/// A named series of values of one type.
public struct CatalogAttribute: Equatable, Sendable {
  /// Dense per tenant, from 1.
  public var id: UInt32
  /// Unique in its tenant.
  public var name: String
  /// Never changes.
  public var type: ValueType
  /// UCUM code or any text.
  public var unit: String
  /// Whether its newest values are folded into the hot projection.
  public var isHot: Bool

  /// An attribute of these parts.
  public init(id: UInt32, name: String, type: ValueType, unit: String, isHot: Bool) {
    self.id = id
    self.name = name
    self.type = type
    self.unit = unit
    self.isHot = isHot
  }

  /// Reads id, name, value_type, unit and is_hot from five columns that follow each other.
  init(_ result: PostgresResult, row: Int, column: Int) throws(PostgresError) {
    guard let id = try result.int64(row: row, column: column),
      let name = result.text(row: row, column: column + 1),
      let rawType = try result.int64(row: row, column: column + 2),
      let type = UInt8(exactly: rawType).flatMap({ ValueType(rawValue: $0) }),
      let unit = result.text(row: row, column: column + 3),
      let isHot = try result.bool(row: row, column: column + 4),
      let checked = UInt32(exactly: id)
    else { throw .protocolViolation("an attribute without its parts") }
    self.init(id: checked, name: name, type: type, unit: unit, isHot: isHot)
  }
}

/// An attribute that is wanted, and how to create it.
public struct WantedAttribute: Equatable, Sendable {
  /// 1 to 256 bytes.
  public var name: String
  /// nil: only an existing one is meant.
  public var type: ValueType?
  /// Used on creation, at most 64 bytes.
  public var unit: String
  /// Used on creation.
  public var isHot: Bool

  /// A wish of these parts.
  public init(name: String, type: ValueType?, unit: String = "", isHot: Bool = false) {
    self.name = name
    self.type = type
    self.unit = unit
    self.isHot = isHot
  }
}
