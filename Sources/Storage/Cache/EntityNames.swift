// Which ids names have, as far as a worker has met them.

/// Ids of entities by their names; those that nobody asks for are forgotten.
///
/// Names are what their bytes are: texts that Swift takes for equal, because they look the same,
/// are two names.
struct EntityNames {
  /// Of each of two generations, so at most 2 × (4 MiB + 32,768 × some 100 bytes).
  static let countMax = 32_768
  static let bytesMax = 4 << 20

  private struct Name: Hashable {
    var tenant: Int32
    var bytes: [UInt8]
  }

  private var recent: [Name: Int64] = [:]
  private var recentBytes = 0
  /// Goes when `recent` is full and takes its place.
  private var older: [Name: Int64] = [:]

  /// The id of a name, if it is known.
  mutating func id(of name: String, tenant: Int32) -> Int64? {
    let name = Name(tenant: tenant, bytes: Array(name.utf8))
    if let id = recent[name] { return id }
    guard let id = older[name] else { return nil }
    add(name, id)
    return id
  }

  mutating func add(_ name: String, tenant: Int32, id: Int64) {
    add(Name(tenant: tenant, bytes: Array(name.utf8)), id)
  }

  mutating func remove(_ name: String, tenant: Int32) {
    let name = Name(tenant: tenant, bytes: Array(name.utf8))
    recent[name] = nil
    older[name] = nil
  }

  /// Whether two texts are the same name.
  static func areSame(_ left: String, _ right: String) -> Bool {
    left.utf8.elementsEqual(right.utf8)
  }

  private mutating func add(_ name: Name, _ id: Int64) {
    if recent.count >= EntityNames.countMax || recentBytes >= EntityNames.bytesMax {
      older = recent
      recent = [:]
      recentBytes = 0
    }
    if recent.updateValue(id, forKey: name) == nil { recentBytes += name.bytes.count }
  }
}

extension EntityReader.Key {
  /// By bytes, for a name is what its bytes are.
  public static func == (left: EntityReader.Key, right: EntityReader.Key) -> Bool {
    switch (left, right) {
    case (.id(let left), .id(let right)): left == right
    case (.externalKey(let left), .externalKey(let right)): EntityNames.areSame(left, right)
    case (.id, .externalKey), (.externalKey, .id): false
    }
  }

  /// By bytes, too.
  public func hash(into hasher: inout Hasher) {
    switch self {
    case .id(let id): hasher.combine(id)
    case .externalKey(let name): for byte in name.utf8 { hasher.combine(byte) }
    }
  }
}
