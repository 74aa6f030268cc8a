// What a caller writes of one entity, and what becomes of it.

/// Values of one entity, written together or not at all.
public struct Upsert: Equatable, Sendable {
  /// Whose entity.
  public var tenant: Int32
  /// Which entity.
  public var entityID: Int64
  /// What is written.
  public var values: [UpsertValue]
  /// Microseconds since 1970; nil for now, or just behind what is stored.
  public var observedAtMicroseconds: Int64?
  /// Whether all attributes are hot, as far as the gateway knows; only a hint how to write it.
  public var isHot: Bool

  /// An upsert of these parts.
  public init(
    tenant: Int32,
    entityID: Int64,
    values: [UpsertValue],
    observedAtMicroseconds: Int64? = nil,
    isHot: Bool = false
  ) {
    self.tenant = tenant
    self.entityID = entityID
    self.values = values
    self.observedAtMicroseconds = observedAtMicroseconds
    self.isHot = isHot
  }

  /// What it takes of memory while it waits.
  var bytes: Int {
    values.reduce(64) { $0 + 64 + ($1.value?.textBytes ?? 0) }
  }
}

/// A value of an attribute.
public struct UpsertValue: Equatable, Sendable {
  /// Which attribute.
  public var attributeID: UInt32
  /// The value; nil takes the attribute out of the projection.
  public var value: StoredValue?

  /// A value of an attribute, or none.
  public init(attributeID: UInt32, value: StoredValue?) {
    self.attributeID = attributeID
    self.value = value
  }
}

/// What was written: committed and flushed.
public struct UpsertOutcome: Equatable, Sendable {
  /// The version of the projection that holds the values; 0 when none of them is hot.
  public var version: Int64
  /// The time of each value, in the order of the upsert, in microseconds since 1970.
  public var observedAtMicroseconds: [Int64]
  /// Everything up to here holds the write.
  public var token: FreshnessToken
}

extension StoredValue {
  /// Bytes of its text; 0 for what has none.
  public var textBytes: Int {
    switch self {
    case .number, .integer, .flag: 0
    case .label(let text), .document(let text): text.utf8.count
    }
  }
}
