// A request for stored values, and where a page of it begins.

/// Which values, in which order.
public struct HistoryQuery: Equatable, Sendable {
  /// Whose values.
  public var tenant: Int32
  /// Of these entities.
  public var entityIDs: [Int64]
  /// Of these attributes.
  public var attributeIDs: [UInt32]
  /// Observed at or after, in microseconds since 1970.
  public var startMicroseconds: Int64
  /// Observed before, in microseconds since 1970.
  public var endMicroseconds: Int64
  /// Newest first.
  public var isDescending: Bool

  /// A query of these parts.
  public init(
    tenant: Int32,
    entityIDs: [Int64],
    attributeIDs: [UInt32],
    startMicroseconds: Int64,
    endMicroseconds: Int64,
    isDescending: Bool = false
  ) {
    self.tenant = tenant
    self.entityIDs = entityIDs
    self.attributeIDs = attributeIDs
    self.startMicroseconds = startMicroseconds
    self.endMicroseconds = endMicroseconds
    self.isDescending = isDescending
  }

  /// The sum that a page token is bound to.
  ///
  /// In the warehouse rows have other places than in the primary and its replicas.
  func fingerprint(includesStaged: Bool, isOfWarehouse: Bool) -> Fingerprint {
    var sum = Fingerprint()
    sum.add("history")
    for number in [Int64(tenant), startMicroseconds, endMicroseconds, Int64(entityIDs.count)] {
      sum.add(number)
    }
    for id in entityIDs { sum.add(id) }
    for id in attributeIDs { sum.add(Int64(id)) }
    sum.add(Int64(isDescending ? 1 : 0))
    sum.add(Int64(includesStaged ? 1 : 0))
    sum.add(Int64(isOfWarehouse ? 1 : 0))
    return sum
  }
}

/// The last value of a page.
///
/// A page ends where the key changes, so that the next one begins behind all values of `key`. Only
/// when a whole page has one and the same key is it cut inside, and `place` then says where.
struct HistoryPosition: Equatable {
  struct Key: Equatable {
    /// Microseconds since 1970.
    var observedAt: Int64
    var entityID: Int64
    var attributeID: UInt32
  }

  /// Where inside a key a page ends.
  enum Place: Equatable {
    case row(Row)
    case passed(Passed)
  }

  /// Behind a row, by its place in the table (which no partition changes while it exists) or in
  /// staging.
  struct Row: Equatable {
    var tableOID: UInt32
    var block: UInt32
    var offset: UInt16
    var producer: [UInt8]
    var sequence: Int64
  }

  /// Behind so many rows of a transaction, as the warehouse has it.
  struct Passed: Equatable {
    /// Microseconds since 1970.
    var ingestedAt: Int64
    var count: Int64
  }

  var key: Key
  var place: Place?

  init(key: Key, place: Place? = nil) {
    self.key = key
    self.place = place
  }

  init?(_ reader: ByteReader, isOfWarehouse: Bool) {
    var reader = reader
    guard let observedAt = reader.integer(Int64.self), let entityID = reader.integer(Int64.self),
      let attributeID = reader.integer(UInt32.self)
    else { return nil }
    key = Key(observedAt: observedAt, entityID: entityID, attributeID: attributeID)
    guard !reader.isAtEnd else { return }
    guard !isOfWarehouse else {
      guard let ingestedAt = reader.integer(Int64.self), let count = reader.integer(Int64.self),
        reader.isAtEnd, count >= 0
      else { return nil }
      place = .passed(Passed(ingestedAt: ingestedAt, count: count))
      return
    }
    guard let tableOID = reader.integer(UInt32.self), let block = reader.integer(UInt32.self),
      let offset = reader.integer(UInt16.self), let sequence = reader.integer(Int64.self)
    else { return nil }
    let producer = Array(reader.rest())
    guard producer.count == 16 else { return nil }
    place = .row(
      Row(
        tableOID: tableOID,
        block: block,
        offset: offset,
        producer: producer,
        sequence: sequence
      )
    )
  }

  var bytes: [UInt8] {
    var bytes =
      ByteWriter.bytes(key.observedAt) + ByteWriter.bytes(key.entityID)
      + ByteWriter.bytes(key.attributeID)
    switch place {
    case .row(let row):
      bytes += ByteWriter.bytes(row.tableOID) + ByteWriter.bytes(row.block)
      bytes += ByteWriter.bytes(row.offset) + ByteWriter.bytes(row.sequence) + row.producer
    case .passed(let passed):
      bytes += ByteWriter.bytes(passed.ingestedAt) + ByteWriter.bytes(passed.count)
    case nil: break
    }
    return bytes
  }
}

/// Unix microseconds as PostgreSQL counts them.
enum StoredTime {
  /// 2000-01-01T00:00:00Z, from where PostgreSQL counts.
  static let epoch: Int64 = 946_684_800_000_000
  /// 0001-01-01T00:00:00Z, the first time a value may have.
  static let earliest: Int64 = -62_135_596_800_000_000

  /// A bound of a range as a parameter; nothing is stored before `earliest`.
  static func parameter(_ unixMicroseconds: Int64) -> PostgresParameter {
    .timestamp(max(unixMicroseconds, earliest) - epoch)
  }
}
