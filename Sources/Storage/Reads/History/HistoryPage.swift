// One page of stored values, read in place.

/// Takes the values of a page one by one, in order; texts are borrowed for the call.
public protocol HistoryVisitor {
  /// A number.
  mutating func number(_ value: Double, _ key: HistoryKey)
  /// An integer.
  mutating func integer(_ value: Int64, _ key: HistoryKey)
  /// A flag.
  mutating func flag(_ value: Bool, _ key: HistoryKey)
  /// A label.
  mutating func label(_ text: RawSpan, _ key: HistoryKey)
  /// A document, as PostgreSQL prints it.
  mutating func document(_ json: RawSpan, _ key: HistoryKey)
}

/// Whose value it is and when it was observed.
public struct HistoryKey: Equatable, Sendable {
  /// The entity.
  public var entityID: Int64
  /// The attribute.
  public var attributeID: UInt32
  /// Microseconds since 1970.
  public var observedAtMicroseconds: Int64
}

/// The rows of one page.
public struct HistoryPage {
  /// Values in the page.
  public let count: Int
  /// For the next page; empty at the end.
  public let nextPageToken: [UInt8]
  /// How fresh the values are.
  public let proof: ReadProof
  private let result: PostgresResult

  /// Cuts a page off an answer of `HistoryStatement`.
  ///
  /// - Throws: `.valueTooLarge` when the first value alone passes `bytesMax`.
  init(
    _ result: PostgresResult,
    _ statement: HistoryStatement,
    _ arguments: Fingerprint,
    _ proof: ReadProof
  ) throws(StorageError) {
    self.result = result
    self.proof = proof
    // The last column, of the warehouse too.
    let found =
      result.rowCount == 0 ? 0 : Int(try HistoryPage.int64(result, 0, result.columnCount - 1))
    var count = min(result.rowCount, statement.limit)
    if result.rowCount > 0, HistoryPage.textBytes(result, 0) > statement.bytesMax {
      throw .valueTooLarge
    }
    guard found > count else {
      self.count = count
      nextPageToken = []
      return
    }
    // What follows is not in the answer when its size cut it off; then a key may go on.
    var next = count < result.rowCount ? try HistoryPage.key(result, count) : nil
    var end = count
    while end > 0 {
      let key = try HistoryPage.key(result, end - 1)
      guard next == nil || key == next else { break }
      next = key
      end -= 1
    }
    let position: HistoryPosition
    if end > 0 {
      count = end
      position = HistoryPosition(key: try HistoryPage.key(result, count - 1))
    } else {
      position = HistoryPosition(
        key: try HistoryPage.key(result, count - 1),
        place: statement.isOfWarehouse
          ? .passed(try HistoryPage.passed(result, count, statement.position))
          : .row(try HistoryPage.row(result, count - 1))
      )
    }
    self.count = count
    nextPageToken = PageToken.seal(position.bytes, arguments)
  }

  /// Shows every value to a visitor.
  ///
  /// - Throws: `.unreadable` when a row has no value.
  public func visit(_ visitor: inout some HistoryVisitor) throws(StorageError) {
    do throws(PostgresError) {
      for row in 0..<count { try show(row, &visitor) }
    } catch {
      throw .postgres(error)
    }
  }

  private func show(_ row: Int, _ visitor: inout some HistoryVisitor) throws(PostgresError) {
    guard let time = try result.int64(row: row, column: 0),
      let entity = try result.int64(row: row, column: 1),
      let attribute = try result.int64(row: row, column: 2)
    else { throw .protocolViolation("a value without its key") }
    let key = HistoryKey(
      entityID: entity,
      attributeID: UInt32(truncatingIfNeeded: attribute),
      observedAtMicroseconds: time + StoredTime.epoch
    )
    if let number = try result.double(row: row, column: 3) {
      visitor.number(number, key)
    } else if let integer = try result.int64(row: row, column: 4) {
      visitor.integer(integer, key)
    } else if let flag = try result.bool(row: row, column: 5) {
      visitor.flag(flag, key)
    } else if let label = result.bytes(row: row, column: 6) {
      visitor.label(label, key)
    } else if let document = result.bytes(row: row, column: 7) {
      visitor.document(document, key)
    }
    // A row whose columns are all NULL can only have been written by hand: it is no value.
  }

  // MARK: Columns

  private static func int64(
    _ result: PostgresResult,
    _ row: Int,
    _ column: Int
  ) throws(StorageError) -> Int64 {
    do throws(PostgresError) {
      guard let value = try result.int64(row: row, column: column) else {
        throw .protocolViolation("a NULL in a key")
      }
      return value
    } catch {
      throw .postgres(error)
    }
  }

  private static func key(
    _ result: PostgresResult,
    _ row: Int
  ) throws(StorageError) -> HistoryPosition.Key {
    HistoryPosition.Key(
      observedAt: try int64(result, row, 0) + StoredTime.epoch,
      entityID: try int64(result, row, 1),
      attributeID: UInt32(truncatingIfNeeded: try int64(result, row, 2))
    )
  }

  /// How many rows of the last one's transaction are given, of a page with one key.
  private static func passed(
    _ result: PostgresResult,
    _ count: Int,
    _ position: HistoryPosition?
  ) throws(StorageError) -> HistoryPosition.Passed {
    let last = try int64(result, count - 1, 8)
    var first = count - 1
    while first > 0, try int64(result, first - 1, 8) == last { first -= 1 }
    var passed = HistoryPosition.Passed(
      ingestedAt: last + StoredTime.epoch,
      count: Int64(count - first)
    )
    if first == 0, let position, case .passed(let before) = position.place,
      before.ingestedAt == passed.ingestedAt, position.key == (try key(result, 0))
    {
      passed.count += before.count
    }
    return passed
  }

  /// A tid in binary is block and offset, a uuid its 16 bytes.
  private static func row(
    _ result: PostgresResult,
    _ row: Int
  ) throws(StorageError) -> HistoryPosition.Row {
    let place = copied(result.bytes(row: row, column: 9))
    var reader = ByteReader(place[...])
    guard let block = reader.integer(UInt32.self), let offset = reader.integer(UInt16.self) else {
      throw .unreadable("a row without a place")
    }
    return HistoryPosition.Row(
      tableOID: UInt32(truncatingIfNeeded: try int64(result, row, 8)),
      block: block,
      offset: offset,
      producer: copied(result.bytes(row: row, column: 10)),
      sequence: try int64(result, row, 11)
    )
  }

  private static func textBytes(_ result: PostgresResult, _ row: Int) -> Int {
    let texts = [6, 7].map { result.bytes(row: row, column: $0)?.byteCount ?? 0 }
    return HistoryStatement.valueBytes + texts.reduce(0, +)
  }

  private static func copied(_ bytes: RawSpan?) -> [UInt8] {
    guard let bytes else { return [] }
    return unsafe bytes.withUnsafeBytes { unsafe Array($0) }
  }
}
