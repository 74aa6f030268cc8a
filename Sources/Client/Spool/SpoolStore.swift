internal import Wire

// Batches in segment files: appended at the end, read once in order, deleted when durable.

/// The files of one spool, used by one thread at a time; who owns the folder is decided elsewhere.
struct SpoolStore: Sendable {
  let folder: String
  let producerID: [UInt8]
  let bytesMax: Int
  let segmentBytesMax: Int
  /// Bytes that were cut from the end when the spool was opened, for they were no whole record.
  private(set) var cutBytes = 0
  /// Highest sequence number kept or used up.
  private(set) var last: UInt64
  /// Every value up to here is durable and needs to be kept no longer.
  private(set) var durable: UInt64 = 0
  /// Size of all segments.
  private(set) var bytes = 0
  /// Oldest first; the last one is written to.
  private var segments: [Segment] = []
  /// Where the next unread record is.
  private var readIndex = 0
  private var readOffset = SpoolSegmentHead.byteCount

  private struct Segment {
    let file: SpoolFile
    /// First and last sequence number; `last` is below `first` while there is no record.
    let first: UInt64
    var last: UInt64
    var bytes: Int
  }

  // MARK: Making and opening

  /// Makes the first segment of a new spool in an empty folder.
  ///
  /// - Throws: `ClientError`.
  init(
    making folder: String,
    producerID: [UInt8],
    bytesMax: Int,
    segmentBytesMax: Int
  ) throws(ClientError) {
    self.init(folder, producerID, bytesMax, segmentBytesMax)
    try addSegment(first: 1)
  }

  /// Opens what is there: whole records are kept, an incomplete end is cut.
  ///
  /// `mayHaveLostPages` says that the system was restarted since: what was not synced may be gone
  /// in any order, and everything from the first bad record of the newest segment on is such an
  /// end.
  ///
  /// - Throws: `ClientError`; damage anywhere else is one.
  init(
    opening folder: String,
    producerID: [UInt8],
    bytesMax: Int,
    segmentBytesMax: Int,
    mayHaveLostPages: Bool = false
  ) throws(ClientError) {
    self.init(folder, producerID, bytesMax, segmentBytesMax)
    var names = try SpoolFile.names(in: folder).filter { $0.hasPrefix("segment-") }
    guard !names.isEmpty else { throw .spoolDamaged(folder, at: 0, "there is no segment") }
    try dropUnfinished(&names)
    for name in names {
      try open("\(folder)/\(name)", isNewest: name == names.last, mayHaveLostPages)
    }
  }

  private init(_ folder: String, _ producerID: [UInt8], _ bytesMax: Int, _ segmentBytesMax: Int) {
    self.folder = folder
    self.producerID = producerID
    self.bytesMax = bytesMax
    self.segmentBytesMax = segmentBytesMax
    last = 0
  }

  /// A newest segment without a whole head was being made when the process died: nothing is in it.
  private func dropUnfinished(_ names: inout [String]) throws(ClientError) {
    guard names.count > 1, let name = names.last else { return }
    let path = "\(folder)/\(name)"
    guard try SpoolFile(path).byteCount < SpoolSegmentHead.byteCount else { return }
    try SpoolFile.remove(path)
    names.removeLast()
  }

  private mutating func open(
    _ path: String,
    isNewest: Bool,
    _ mayHaveLostPages: Bool
  ) throws(ClientError) {
    let file = try SpoolFile(path)
    let size = try file.byteCount
    let bytes = try file.read(SpoolSegmentHead.byteCount, at: 0)
    guard let head = SpoolSegmentHead(bytes, producerID: producerID) else {
      throw .spoolDamaged(path, at: 0, "the head of a segment is not whole")
    }
    let follows = segments.isEmpty || head.first == last + 1 || head.skips && head.first > last
    guard follows else {
      throw .spoolDamaged(path, at: 16, "a segment does not follow the one before")
    }
    var segment = Segment(file: file, first: head.first, last: head.first - 1, bytes: bytes.count)
    while segment.bytes < size {
      guard let record = try wholeRecord(in: file, at: segment.bytes, after: segment.last) else {
        let isMiddle = try hasRecord(in: file, after: segment.bytes, size)
        guard isNewest, mayHaveLostPages || !isMiddle else {
          throw .spoolDamaged(path, at: segment.bytes, "a record is not whole")
        }
        cutBytes = size - segment.bytes
        try file.truncate(to: segment.bytes)
        try file.sync()
        break
      }
      segment.last = record.last
      segment.bytes += record.totalBytes
    }
    last = segment.last
    self.bytes += segment.bytes
    segments.append(segment)
  }

  /// The record at an offset when head, columns and number are as they must be.
  private func wholeRecord(
    in file: SpoolFile,
    at offset: Int,
    after last: UInt64
  ) throws(ClientError) -> SpoolRecord? {
    let head = try file.read(SpoolRecord.byteCount, at: offset)
    guard let record = SpoolRecord(head[...]), record.first == last + 1 else { return nil }
    let columns = try file.read(record.columnsBytes, at: offset + SpoolRecord.byteCount)
    guard columns.count == record.columnsBytes, crc32c(columns.rawSpan) == record.checksum
    else { return nil }
    return record
  }

  /// Whether a record's head stands anywhere behind a place that is none: then that place is not
  /// the end of an interrupted write.
  private func hasRecord(
    in file: SpoolFile,
    after offset: Int,
    _ size: Int
  ) throws(ClientError) -> Bool {
    let rest = try file.read(size - offset, at: offset)
    guard rest.count > SpoolRecord.byteCount else { return false }
    return (1...(rest.count - SpoolRecord.byteCount)).contains { SpoolRecord(rest[$0...]) != nil }
  }

  // MARK: Writing

  /// Keeps a batch under the next numbers.
  ///
  /// - Parameters:
  ///   - columns: the batch as it goes over the wire.
  ///   - count: of its values.
  ///   - isTaken: the caller keeps it in memory if everything before it has been read, so that it
  ///     need not be read.
  /// - Returns: the batch, and whether it was taken.
  /// - Throws: `ClientError`, `isSpoolFull` among them: then nothing has changed.
  mutating func append(
    columns: [UInt8],
    count: UInt32,
    isTaken: Bool
  ) throws(ClientError) -> (batch: PendingBatch, isTaken: Bool) {
    let batch = PendingBatch(
      first: last + 1,
      count: count,
      checksum: crc32c(columns.rawSpan),
      columns: columns
    )
    let record = SpoolRecord(batch)
    guard record.columnsBytes <= SpoolRecord.columnsBytesMax else {
      throw .tooLarge(bytes: record.columnsBytes, limit: SpoolRecord.columnsBytesMax)
    }
    try makeRoom(for: record.totalBytes)
    var segment = segments[segments.count - 1]
    do throws(ClientError) {
      try segment.file.write(record.encoded(with: columns), at: segment.bytes)
    } catch {
      // A write that was refused half way leaves nothing behind.
      try segment.file.truncate(to: segment.bytes)
      throw error
    }
    let isTaken = isTaken && isFullyRead
    segment.last = batch.last
    segment.bytes += record.totalBytes
    segments[segments.count - 1] = segment
    last = batch.last
    bytes += record.totalBytes
    if isTaken { readOffset = segment.bytes }
    return (batch, isTaken)
  }

  private mutating func makeRoom(for byteCount: Int) throws(ClientError) {
    let active = segments[segments.count - 1]
    let hasRecords = active.last >= active.first
    let isOverSegment = hasRecords && active.bytes + byteCount > segmentBytesMax
    // A segment that is durable as a whole gives its space back when there is a newer one.
    let isWorthless = hasRecords && active.last <= durable && bytes + byteCount > bytesMax
    let needed = byteCount + (isOverSegment ? SpoolSegmentHead.byteCount : 0)
    guard isWorthless || bytes + needed <= bytesMax else {
      throw .spoolFull(bytes: bytes, limit: bytesMax)
    }
    if isOverSegment || isWorthless { try startSegment(first: last + 1) }
    guard bytes + byteCount <= bytesMax else { throw .spoolFull(bytes: bytes, limit: bytesMax) }
  }

  /// Goes on behind `sequence`, which the gateway has although it is not here.
  ///
  /// - Throws: `ClientError`.
  mutating func advance(past sequence: UInt64) throws(ClientError) {
    guard sequence > last else { return }
    durable = max(durable, sequence)
    // First, for the new segment needs room, and there may be none but theirs.
    try deleteDurable()
    try startSegment(first: sequence + 1, skips: true)
  }

  /// The file that holds what has been written last; older ones are synced.
  var newestFile: SpoolFile { segments[segments.count - 1].file }

  private mutating func startSegment(first: UInt64, skips: Bool = false) throws(ClientError) {
    // Before there is a newer one: only the newest may have an incomplete end.
    try newestFile.sync()
    try addSegment(first: first, skips: skips)
    try deleteDurable()
  }

  private mutating func addSegment(first: UInt64, skips: Bool = false) throws(ClientError) {
    let digits = String(first)
    let path = "\(folder)/segment-\(String(repeating: "0", count: 20 - digits.count) + digits)"
    let head = SpoolSegmentHead(first: first, skips: skips).encoded(producerID: producerID)
    let file = try SpoolFile(path, isNew: true)
    do throws(ClientError) {
      try file.write(head, at: 0)
      try file.sync()
      try SpoolFile.syncFolder(folder)
    } catch {
      try SpoolFile.remove(path)
      throw error
    }
    let wasFullyRead = !segments.isEmpty && isFullyRead
    segments.append(Segment(file: file, first: first, last: first - 1, bytes: head.count))
    bytes += head.count
    last = first - 1
    guard wasFullyRead else { return }
    readIndex = segments.count - 1
    readOffset = head.count
  }

  /// Whether everything in it is durable, as far as was told.
  var isEmpty: Bool { segments.allSatisfy { $0.last < $0.first || $0.last <= durable } }

  // MARK: Reading

  /// Whether every record has been read, or taken when it was written.
  var isFullyRead: Bool {
    readIndex == segments.count - 1 && readOffset == segments[readIndex].bytes
  }

  /// Reads from the beginning again: whoever took what has been read is gone.
  mutating func rewind() {
    readIndex = 0
    readOffset = SpoolSegmentHead.byteCount
  }

  /// The next record that is not durable, if it fits.
  ///
  /// - Parameter fits: is asked with the size of its columns.
  /// - Returns: nil when everything has been read or the next does not fit.
  /// - Throws: `ClientError` when what was written cannot be read again.
  mutating func next(fits: (Int) -> Bool) throws(ClientError) -> PendingBatch? {
    while !isFullyRead {
      guard readOffset < segments[readIndex].bytes else {
        readIndex += 1
        readOffset = SpoolSegmentHead.byteCount
        continue
      }
      let file = segments[readIndex].file
      let head = try file.read(SpoolRecord.byteCount, at: readOffset)
      guard let record = SpoolRecord(head[...]) else {
        throw .spoolDamaged(file.path, at: readOffset, "the head of a record changed")
      }
      guard record.last > durable else {
        readOffset += record.totalBytes
        continue
      }
      guard fits(record.columnsBytes) else { return nil }
      let start = readOffset + SpoolRecord.byteCount
      let columns = try file.read(record.columnsBytes, at: start)
      guard columns.count == record.columnsBytes, crc32c(columns.rawSpan) == record.checksum
      else { throw .spoolDamaged(file.path, at: start, "a record changed") }
      readOffset += record.totalBytes
      return PendingBatch(
        first: record.first,
        count: record.count,
        checksum: record.checksum,
        columns: columns
      )
    }
    return nil
  }

  // MARK: Deleting

  /// Every value up to `sequence` is durable: segments without others are deleted.
  ///
  /// - Throws: `ClientError`.
  mutating func release(through sequence: UInt64) throws(ClientError) {
    guard sequence > durable else { return }
    durable = sequence
    let active = segments[segments.count - 1]
    // Half a segment of nothing but durable values is worth a new file.
    if active.last >= active.first, active.last <= durable, active.bytes > segmentBytesMax / 2 {
      do throws(ClientError) {
        return try startSegment(first: last + 1)
      } catch {
        // A full disk has no room for it: the old one is as good, and the values are not lost.
        guard error.isSpoolFull else { throw error }
      }
    }
    try deleteDurable()
  }

  /// The newest segment stays: its head says where the numbers go on.
  private mutating func deleteDurable() throws(ClientError) {
    while segments.count > 1, segments[0].last <= durable {
      let segment = segments[0]
      try SpoolFile.remove(segment.file.path)
      segments.removeFirst()
      bytes -= segment.bytes
      if readIndex == 0 { readOffset = SpoolSegmentHead.byteCount }
      readIndex = max(0, readIndex - 1)
    }
  }
}
