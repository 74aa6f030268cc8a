// An entity with its newest hot values, decoded by the types of the catalog.

/// One value as it was written.
public enum StoredValue: Equatable, Sendable {
  /// double precision, every bit of it
  case number(Double)
  /// bigint
  case integer(Int64)
  /// boolean
  case flag(Bool)
  /// text
  case label(String)
  /// jsonb, as PostgreSQL prints it
  case document(String)
}

/// The newest value of one hot attribute.
public struct NewestValue: Equatable, Sendable {
  /// Of the attribute.
  public var attributeID: UInt32
  /// Of the attribute.
  public var name: String
  /// The value.
  public var value: StoredValue
  /// Microseconds since 1970.
  public var observedAtMicroseconds: Int64
}

/// An entity and its hot projection.
public struct HotEntity: Equatable, Sendable {
  /// Its id.
  public var id: Int64
  /// Its name.
  public var externalKey: String
  /// Rises with every change of the projection; 0 when nothing was folded yet.
  public var version: Int64
  /// By rising attribute id.
  public var values: [NewestValue]
}

/// One row of `EntityReader`, not decoded yet.
struct ProjectionRow {
  /// A value and when it was observed.
  struct Entry {
    var id: UInt32
    var value: ArraySlice<UInt8>
    var observedAt: Int64
  }

  var id: Int64
  var externalKey: String
  var version: Int64
  var entries: [Entry]

  /// Reads entity_id, external_key, version, hot_attrs, hot_times and what is staged of both.
  init(_ result: PostgresResult, row: Int) throws(StorageError) {
    do throws(PostgresError) {
      id = try result.int64(row: row, column: 0) ?? 0
      externalKey = result.text(row: row, column: 1) ?? ""
      version = try result.int64(row: row, column: 2) ?? 0
    } catch {
      throw .postgres(error)
    }
    entries = try ProjectionRow.entries(result, row: row, column: 3)
    guard result.columnCount > 5 else { return }
    for staged in try ProjectionRow.entries(result, row: row, column: 5) { merge(staged) }
  }

  /// Equal times go to the later commit, which what is staged will have.
  private mutating func merge(_ staged: Entry) {
    guard let place = entries.firstIndex(where: { $0.id == staged.id }) else {
      entries.append(staged)
      return
    }
    if staged.observedAt >= entries[place].observedAt { entries[place] = staged }
  }

  private static func entries(
    _ result: PostgresResult,
    row: Int,
    column: Int
  ) throws(StorageError) -> [Entry] {
    guard let values = result.text(row: row, column: column),
      let times = result.text(row: row, column: column + 1)
    else { return [] }
    var observed: [UInt32: Int64] = [:]
    for (id, text) in try ProjectionText.members(times) {
      observed[id] = Int64(ProjectionText.text(text))
    }
    var entries: [Entry] = []
    for (id, value) in try ProjectionText.members(values) {
      guard let observedAt = observed[id] else { throw .unreadable("a hot value without a time") }
      entries.append(Entry(id: id, value: value, observedAt: observedAt))
    }
    return entries
  }

  /// The entity, as far as the catalog knows the attributes.
  func decoded(
    _ attribute: (UInt32) -> CatalogAttribute?
  ) throws(StorageError) -> HotEntity {
    var values: [NewestValue] = []
    for entry in entries {
      // Without a type there is no value; the caller has made all known that exist.
      guard let attribute = attribute(entry.id) else { continue }
      values.append(
        NewestValue(
          attributeID: entry.id,
          name: attribute.name,
          value: try ProjectionRow.value(entry.value, attribute.type),
          observedAtMicroseconds: entry.observedAt
        )
      )
    }
    values.sort { $0.attributeID < $1.attributeID }
    return HotEntity(id: id, externalKey: externalKey, version: version, values: values)
  }

  /// Undoes what the migration's comment on `hot_attrs` says.
  private static func value(
    _ bytes: ArraySlice<UInt8>,
    _ type: ValueType
  ) throws(StorageError) -> StoredValue {
    switch type {
    case .number:
      let isString = bytes.first == UInt8(ascii: "\"")
      let text = ProjectionText.text(isString ? try ProjectionText.string(bytes) : Array(bytes))
      // Reads "NaN", "Infinity", "-Infinity" and "-0", too.
      guard let number = Double(text) else { throw .unreadable("a hot number") }
      return .number(number)
    case .integer:
      guard let integer = Int64(ProjectionText.text(bytes)) else {
        throw .unreadable("a hot integer")
      }
      return .integer(integer)
    case .flag:
      switch ProjectionText.text(bytes) {
      case "true": return .flag(true)
      case "false": return .flag(false)
      default: throw .unreadable("a hot flag")
      }
    case .label: return .label(ProjectionText.text(try ProjectionText.string(bytes)))
    case .document: return .document(ProjectionText.text(bytes))
    }
  }
}
