internal import EventLoop

// The batches that gather while a transaction runs, with their rows already encoded.

/// Batches for one transaction, in the order they came.
final class LaneGroup {
  private(set) var batches: [LaneBatch] = []
  /// When its first batch came.
  private(set) var startedAt: MonotonicTime?
  private var rows: CopyEncoder
  private var stagedRows: CopyEncoder
  private let isStaged: Bool
  /// Rows of a batch that go into the COPY where bisection left some out.
  private var keptRows: [Int: [Range<Int>]] = [:]

  /// An empty group; `isStaged` ones also hold the rows in the form of a staging segment.
  init(isStaged: Bool) {
    self.isStaged = isStaged
    rows = CopyEncoder(.direct)
    rows.begin()
    stagedRows = CopyEncoder(.staged, capacity: isStaged ? 65_536 : 64)
    stagedRows.begin()
  }

  /// Bytes of rows held, without the headers.
  var bytes: Int { rows.byteCount + stagedRows.byteCount - 2 * CopyEncoder.header.count }
  var isEmpty: Bool { batches.isEmpty }
  var isFull: Bool {
    rows.byteCount >= LaneLimits.groupBytes || batches.count >= LaneLimits.groupBatches
  }
  /// Indexes of batches that have not ended.
  var open: [Int] { batches.indices.filter { !batches[$0].isOver } }

  /// Encodes a batch behind the others.
  func append(
    _ batch: LaneBatch,
    _ columns: borrowing BatchColumns,
    hot: [UInt32],
    now: MonotonicTime
  ) {
    var batch = batch
    startedAt = startedAt ?? now
    let origin = CopyEncoder.Origin(
      tenant: batch.key.tenant,
      producer: batch.key.producer,
      firstSequence: batch.range.first,
      skipping: batch.skipping
    )
    let start = rows.byteCount
    rows.append(columns, origin, rejects: batch.rejects.span)
    batch.rows = start..<rows.byteCount
    if isStaged {
      let start = stagedRows.byteCount
      stagedRows.append(columns, origin, rejects: batch.rejects.span)
      batch.stagedRows = start..<stagedRows.byteCount
    }
    if !hot.isEmpty {
      var values = HotValues()
      values.add(columns, tenant: batch.key.tenant, indexes: hot)
      batch.hot = values
    }
    batches.append(batch)
  }

  /// Ends a batch, so that no later attempt writes it, and tells its owner.
  func end(_ index: Int, _ ending: BatchEnding) {
    let batch = batches[index]
    batches[index].isOver = true
    batch.owner.batchEnded(batch, ending)
  }

  /// Replaces what is known of a batch after PostgreSQL refused some of its rows.
  func refuse(_ index: Int, _ values: [RejectedValue], keeping: [Range<Int>]) {
    batches[index].refused = values
    keptRows[index] = keeping
  }

  /// Gives up folding a batch's hot values.
  func dropHot(_ index: Int) {
    batches[index].hot = nil
  }

  /// The places of these batches' rows, neighbours joined, cut into pieces.
  func pieces(of indexes: [Int], staged: Bool) -> [Range<Int>] {
    var joined: [Range<Int>] = []
    for index in indexes {
      let ranges =
        staged ? [batches[index].stagedRows] : keptRows[index] ?? [batches[index].rows]
      for range in ranges where !range.isEmpty {
        if let last = joined.last, last.upperBound == range.lowerBound {
          joined[joined.count - 1] = last.lowerBound..<range.upperBound
        } else {
          joined.append(range)
        }
      }
    }
    return joined.flatMap { range in
      stride(from: range.lowerBound, to: range.upperBound, by: LaneLimits.copyPieceBytes).map {
        $0..<min($0 + LaneLimits.copyPieceBytes, range.upperBound)
      }
    }
  }

  /// Sends rows into a running COPY.
  func put(
    _ pieces: [Range<Int>],
    staged: Bool,
    into copy: PostgresCopy
  ) async throws(PostgresError) {
    // A group is not changed while it is being written: it has left its queue, and nobody appends
    // to it.
    let bytes = unsafe staged ? stagedRows.unsafeBytes : rows.unsafeBytes
    for piece in pieces {
      let slice = unsafe UnsafeRawBufferPointer(rebasing: bytes[piece])
      try await copy.put(unsafe RawSpan(_unsafeBytes: slice))
    }
  }

  /// The rows of one batch, for bisection.
  func bytes(of index: Int) -> [UInt8] {
    unsafe Array(rows.unsafeBytes[batches[index].rows])
  }

  /// Forgets the batches; keeps memory for the next ones.
  func reset() {
    batches.removeAll(keepingCapacity: true)
    startedAt = nil
    keptRows.removeAll()
    rows.shrink(to: LaneLimits.groupBytes)
    rows.begin()
    stagedRows.shrink(to: isStaged ? LaneLimits.groupBytes : 64)
    stagedRows.begin()
  }
}
