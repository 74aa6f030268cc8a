internal import Wire

// How a batch and a segment look on the disk.

/// The head of a record, in little-endian numbers; the columns follow.
///
/// | bytes | |
/// |---|---|
/// | 4 | length of the columns |
/// | 4 | count of values |
/// | 8 | sequence number of the first value |
/// | 4 | CRC-32C of the columns |
/// | 4 | CRC-32C of the 20 bytes before |
struct SpoolRecord: Equatable, Sendable {
  static let byteCount = 24
  /// A batch is smaller than a frame.
  static let columnsBytesMax = 16 << 20
  /// What PostgreSQL's bigint holds: no gateway takes more.
  static let sequenceMax = UInt64(Int64.max)

  var columnsBytes: Int
  var count: UInt32
  var first: UInt64
  var checksum: UInt32

  var last: UInt64 { first + UInt64(count) - 1 }
  /// With its columns.
  var totalBytes: Int { SpoolRecord.byteCount + columnsBytes }

  init(_ batch: PendingBatch) {
    columnsBytes = batch.columns.count
    count = batch.count
    first = batch.first
    checksum = batch.checksum
  }

  /// Reads a head; nil when the bytes are not one.
  init?(_ bytes: ArraySlice<UInt8>) {
    guard bytes.count >= SpoolRecord.byteCount else { return nil }
    let head = Array(bytes.prefix(SpoolRecord.byteCount))
    guard LittleEndian.u32(head[20...]) == crc32c(Array(head[..<20]).rawSpan) else { return nil }
    columnsBytes = Int(LittleEndian.u32(head[0...]))
    count = LittleEndian.u32(head[4...])
    first = LittleEndian.u64(head[8...])
    checksum = LittleEndian.u32(head[16...])
    // An intact checksum over what was never written: 24 zero bytes have none.
    guard count > 0, first > 0, first <= SpoolRecord.sequenceMax - UInt64(count),
      columnsBytes <= SpoolRecord.columnsBytesMax
    else { return nil }
  }

  /// The head and the columns.
  func encoded(with columns: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(totalBytes)
    LittleEndian.append(UInt64(columnsBytes), 4, to: &bytes)
    LittleEndian.append(UInt64(count), 4, to: &bytes)
    LittleEndian.append(first, 8, to: &bytes)
    LittleEndian.append(UInt64(checksum), 4, to: &bytes)
    LittleEndian.append(UInt64(crc32c(bytes.rawSpan)), 4, to: &bytes)
    bytes += columns
    return bytes
  }
}

/// The head of a segment file: it says where the numbers go on even when no record is left.
///
/// Bytes: "SLUICESP", the kind in 8, the first sequence number in 8, the producer's id in 16,
/// CRC-32C of the 40 bytes before in 4. Kind 1 follows the segment before without a hole; kind 2
/// may leave out numbers, which the gateway had and the spool did not.
struct SpoolSegmentHead {
  static let byteCount = 44
  private static let magic = Array("SLUICESP".utf8)

  let first: UInt64
  let skips: Bool

  init(first: UInt64, skips: Bool) {
    self.first = first
    self.skips = skips
  }

  /// Reads a head; nil when the bytes are not the head of this producer's segment.
  init?(_ bytes: [UInt8], producerID: [UInt8]) {
    guard bytes.count == SpoolSegmentHead.byteCount else { return nil }
    first = LittleEndian.u64(bytes[16...])
    skips = LittleEndian.u64(bytes[8...]) == 2
    guard first > 0, first <= SpoolRecord.sequenceMax, bytes == encoded(producerID: producerID)
    else { return nil }
  }

  func encoded(producerID: [UInt8]) -> [UInt8] {
    var bytes = SpoolSegmentHead.magic
    LittleEndian.append(skips ? 2 : 1, 8, to: &bytes)
    LittleEndian.append(first, 8, to: &bytes)
    bytes += producerID
    LittleEndian.append(UInt64(crc32c(bytes.rawSpan)), 4, to: &bytes)
    return bytes
  }
}

private enum LittleEndian {
  static func u32(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    bytes.prefix(4).reversed().reduce(0) { $0 << 8 | UInt32($1) }
  }

  static func u64(_ bytes: ArraySlice<UInt8>) -> UInt64 {
    bytes.prefix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  static func append(_ value: UInt64, _ byteCount: Int, to bytes: inout [UInt8]) {
    for index in 0..<byteCount { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * index))) }
  }
}
