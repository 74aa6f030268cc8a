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

extension HotEntity {
  /// Reads a row: entity_id, external_key, version, hot_attrs, hot_times, and when there are seven
  /// columns or more what is staged of both.
  ///
  /// - Parameters:
  ///   - result: the answer.
  ///   - row: of it.
  ///   - unknown: takes the attributes without which values were left out.
  ///   - attribute: what is known of one.
  /// - Throws: `.unreadable`, `.postgres`.
  init(
    _ result: PostgresResult,
    row: Int,
    unknown: inout Set<UInt32>,
    _ attribute: (UInt32) -> CatalogAttribute?
  ) throws(StorageError) {
    do throws(PostgresError) {
      id = try result.int64(row: row, column: 0) ?? 0
      externalKey = result.text(row: row, column: 1) ?? ""
      version = try result.int64(row: row, column: 2) ?? 0
    } catch {
      throw .postgres(error)
    }
    values = try HotEntity.values(result, row, column: 3, &unknown, attribute)
    guard result.columnCount > 6, !result.isNull(row: row, column: 5) else { return }
    merge(try HotEntity.values(result, row, column: 5, &unknown, attribute))
  }

  /// Equal times go to the later commit, which what is staged will have.
  private mutating func merge(_ staged: [NewestValue]) {
    for value in staged {
      guard let place = values.firstIndex(where: { $0.attributeID >= value.attributeID }) else {
        values.append(value)
        continue
      }
      if values[place].attributeID != value.attributeID {
        values.insert(value, at: place)
      } else if value.observedAtMicroseconds >= values[place].observedAtMicroseconds {
        values[place] = value
      }
    }
  }

  /// Two objects of the same keys, the values and their times; what was taken out has a time only.
  private static func values(
    _ result: PostgresResult,
    _ row: Int,
    column: Int,
    _ unknown: inout Set<UInt32>,
    _ attribute: (UInt32) -> CatalogAttribute?
  ) throws(StorageError) -> [NewestValue] {
    guard let attrs = result.bytes(row: row, column: column),
      let times = result.bytes(row: row, column: column + 1)
    else { return [] }
    var members = try ProjectionMembers(attrs)
    var observed = try ProjectionMembers(times)
    var values: [NewestValue] = []
    // About 24 bytes of text each: growing step by step costs more than room that stays empty.
    values.reserveCapacity(min(64, attrs.byteCount / 16))
    while try members.next() {
      while observed.id < members.id {
        guard try observed.next() else { throw .unreadable("a hot value without a time") }
      }
      guard observed.id == members.id,
        let time = times.extracting(observed.value).decimal
      else { throw .unreadable("a hot value without a time") }
      guard let attribute = attribute(members.id) else {
        unknown.insert(members.id)
        continue
      }
      // Folded before it was made cold, and the newest no longer.
      guard attribute.isHot else { continue }
      values.append(
        NewestValue(
          attributeID: members.id,
          name: attribute.name,
          value: try StoredValue(projected: attrs.extracting(members.value), attribute.type),
          observedAtMicroseconds: time
        )
      )
    }
    return values
  }
}
