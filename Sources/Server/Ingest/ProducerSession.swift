internal import DequeModule
internal import Storage
internal import Wire

// What an open write session knows: its producer's place, its grant, its next Ack.

/// A batch that waits until its ids are known, or behind one that does; owns its bytes.
struct DeferredBatch {
  let firstSeq: UInt64
  let count: UInt32
  let checksum: UInt32
  let columns: [UInt8]
  /// Set when the batch was classified before it had to wait.
  let verdict: BatchVerdict?

  init(_ batch: BatchView, verdict: BatchVerdict?) {
    firstSeq = batch.firstSeq
    count = batch.count
    checksum = batch.crc32c
    columns = batch.columns.copied()
    self.verdict = verdict
  }

  /// Lends the batch as it was received.
  func withView(_ body: (BatchView) -> Void) {
    body(
      BatchView(
        firstSeq: firstSeq,
        count: count,
        crc32c: checksum,
        columns: unsafe columns.span.bytes
      )
    )
  }
}

/// A run of values that came again, and what its batches count against the grant until its rejects
/// have been looked up.
struct RepeatedValues {
  var sequences: ClosedRange<UInt64>
  var bytes: Int
  /// How many of them are counted as duplicates here.
  var duplicates: UInt64
}

/// The state of one open session.
final class ProducerSession {
  let key: ProducerKey
  let lane: any Lane
  var head: ProducerHead
  var window: GrantWindow
  var counts = Counts()
  var deferred = Deque<DeferredBatch>()
  var unknown: (entities: [Int64], attributes: [UInt32]) = ([], [])
  /// Values that came again and whose rejects are being looked up, in the order they came.
  private(set) var repeats = Deque<RepeatedValues>()
  var batchesInFlight = 0
  /// Bytes on the wire of the batches in flight.
  var bytesInFlight = 0
  var isAckPending = false

  /// What went out before, in this session or, as far as the client knows, an earlier one.
  private var sentUpTo: UInt64
  private let opened: OpenedProducer
  private let isStaged: Bool
  private var incarnation: UInt64
  private var rejects: [Reject] = []
  /// The durable position that the client was told.
  private var toldDurable: UInt64
  private var token: [UInt8] = []

  init(
    _ opening: SessionOpening,
    tenant: Int32,
    sentUpTo: UInt64,
    isStaged: Bool,
    lane: any Lane,
    window: GrantWindow
  ) {
    opened = opening.opened
    key = ProducerKey(tenant: tenant, producer: opening.producer, epoch: opened.epoch)
    self.sentUpTo = sentUpTo
    self.isStaged = isStaged
    self.lane = lane
    self.window = window
    incarnation = opened.incarnation
    head = ProducerHead(durable: opened.durable, recent: opened.recent)
    toldDurable = opened.durable
    rejects = opening.rejects.map { Reject($0.sequence, $0.reason) }
  }

  /// Whether every batch has its ending.
  var isSettled: Bool { batchesInFlight == 0 && deferred.isEmpty && repeats.isEmpty }

  /// Sequence numbers may run so far ahead of what is durable.
  var grantedSequence: UInt64 { head.durable + ServerLimits.valuesAheadMax }

  var openedMessage: Opened {
    Opened(
      epoch: opened.epoch,
      durableSeq: head.durable,
      stagedSeq: head.staged,
      incarnation: opened.incarnation,
      maxBatchBytes: UInt32(WireLimits.batchBytesMax),
      grantedBytes: UInt64(window.grantedBytes),
      grantedSeq: grantedSequence,
      lostFromSeq: opened.lost?.lowerBound ?? 0,
      lostToSeq: opened.lost?.upperBound ?? 0,
      maxBatchValues: UInt32(ServerLimits.batchValuesMax),
      databaseID: opened.database
    )
  }

  /// Looks at a batch from outside and counts it against the grant; nil when it may come in.
  func accepts(_ batch: BatchView, _ budget: inout IngestBudget) -> Status? {
    let bytes = batch.columns.byteCount
    guard bytes <= WireLimits.batchBytesMax else {
      return .badBatch("batch.columns", "is longer than max_batch_bytes")
    }
    guard bytes > 0 else { return .badBatch("batch.columns", "is empty") }
    guard batch.count > 0, batch.count <= UInt32(ServerLimits.batchValuesMax) else {
      return .badBatch("batch.count", "is 0 or more than max_batch_values")
    }
    guard window.receive(bytes, &budget) else { return .grantOverrun }
    guard batch.lastSeq >= batch.firstSeq, batch.lastSeq <= grantedSequence else {
      return .grantOverrun
    }
    guard crc32c(batch.columns) == batch.crc32c else {
      return .badBatch("batch.crc32c", "is not the checksum of columns")
    }
    counts.received += UInt64(batch.count)
    return nil
  }

  /// Counts a batch that is durable.
  func durable(
    _ batch: LaneBatch,
    _ token: FreshnessToken,
    _ refused: [RejectedValue]
  ) -> (written: UInt64, rejected: UInt64) {
    head.advanceDurable(to: batch.range.last)
    let rejected = batch.rejects + refused
    for reject in rejected {
      rejects.append(Reject(batch.range.first + UInt64(reject.index), reject.reason))
    }
    let handled = UInt64(batch.range.last - batch.range.first) + 1 - UInt64(batch.skipping)
    counts.duplicate += UInt64(batch.skipping)
    let written = handled - UInt64(rejected.count)
    counts.rejected += UInt64(rejected.count)
    counts.written += written
    self.token = token.bytes
    return (written, UInt64(rejected.count))
  }

  /// How many values of a batch went out before; call once for every batch.
  func resentValues(_ batch: BatchView) -> UInt64 {
    defer { sentUpTo = max(sentUpTo, batch.lastSeq) }
    guard batch.firstSeq <= sentUpTo else { return 0 }
    return min(batch.lastSeq, sentUpTo) - batch.firstSeq + 1
  }

  /// Notes a batch that came again; whether it is the first whose rejects must be looked up.
  func notesRepeat(_ batch: BatchView) -> Bool {
    notes(
      RepeatedValues(
        sequences: batch.firstSeq...batch.lastSeq,
        bytes: batch.columns.byteCount,
        duplicates: UInt64(batch.count)
      )
    )
  }

  /// The same for the first values of a batch that is new otherwise, which counts them itself; of
  /// what this session wrote its own Ack has told.
  func notesPrefix(_ batch: BatchView, _ count: Int) -> Bool {
    let last = min(batch.firstSeq + UInt64(count) - 1, opened.durable)
    guard batch.firstSeq <= last else { return false }
    return notes(RepeatedValues(sequences: batch.firstSeq...last, bytes: 0, duplicates: 0))
  }

  private func notes(_ run: RepeatedValues) -> Bool {
    // The first one is being looked up; those behind it are looked up together where they adjoin.
    if repeats.count > 1, let before = repeats.last?.sequences,
      before.upperBound + 1 == run.sequences.lowerBound
    {
      repeats[repeats.count - 1].sequences = before.lowerBound...run.sequences.upperBound
      repeats[repeats.count - 1].bytes += run.bytes
      repeats[repeats.count - 1].duplicates += run.duplicates
      return false
    }
    repeats.append(run)
    return repeats.count == 1
  }

  /// Counts the first run of values that came again, and names its rejects once more.
  ///
  /// - Returns: the bytes that no longer count against the grant.
  func repeated(_ found: [(sequence: UInt64, reason: Storage.RejectReason)]) -> Int {
    let run = repeats.removeFirst()
    counts.duplicate += run.duplicates
    for (sequence, reason) in found { rejects.append(Reject(sequence, reason)) }
    return run.bytes
  }

  /// Notes the staging area's incarnation.
  ///
  /// - Returns: how many values are no longer staged; nil when the client need not be told.
  func observe(incarnation found: UInt64) -> UInt64? {
    guard isStaged, found != incarnation else { return nil }
    incarnation = found
    return head.loseStaged()
  }

  /// The next Ack; `isAckPending` stays set when there are more rejects than one Ack names.
  func takeAck() -> Ack {
    let named = Array(rejects.prefix(ServerLimits.rejectsPerAckMax))
    rejects.removeFirst(named.count)
    isAckPending = !rejects.isEmpty
    // Not beyond what is still to be named: the client forgets what is durable.
    let unnamed = rejects.lazy.map(\.seq).filter { [toldDurable] in $0 > toldDurable }.min()
    toldDurable = max(toldDurable, unnamed.map { min(head.durable, $0 - 1) } ?? head.durable)
    return Ack(
      stagedSeq: head.staged,
      durableSeq: toldDurable,
      token: token,
      grantedBytes: UInt64(window.grantedBytes),
      grantedSeq: grantedSequence,
      rejects: named,
      counts: counts,
      incarnation: incarnation
    )
  }
}

extension Reject {
  fileprivate init(_ sequence: UInt64, _ reason: Storage.RejectReason) {
    let known = Wire.RejectReason(rawValue: Int32(reason.rawValue))
    self.init(seq: sequence, reason: known ?? .unspecified)
  }
}

extension Open {
  /// What is wrong with it; nil when nothing is.
  var violation: Status? {
    guard protocolVersion == 1 else {
      var status = Status.invalid(
        "open.protocol_version",
        "is not 1, which this gateway speaks",
        reason: "UNSUPPORTED_PROTOCOL_VERSION"
      )
      status.metadata.append(KeyValue("supported", "1"))
      return status
    }
    guard producerID.count == 16 else { return .badOpen("open.producer_id", "is not 16 bytes") }
    guard lowestHeldSeq < UInt64(Int64.max) else {
      return .badOpen("open.lowest_held_seq", "is beyond the last sequence number, 2^63 - 2")
    }
    guard sessionID.count == 16 else { return .badOpen("open.session_id", "is not 16 bytes") }
    guard producerID.contains(where: { $0 != 0 }) else {
      return .badOpen("open.producer_id", "is all zeroes; make it at random once and keep it")
    }
    guard databaseID.isEmpty || databaseID.count == 16 else {
      return .badOpen("open.database_id", "is not 16 bytes")
    }
    guard clientName.utf8.count <= ServerLimits.clientNameBytesMax else {
      return .badOpen("open.client_name", "is longer than 128 bytes")
    }
    return nil
  }
}

/// How a write session is refused or ended.
extension Status {
  static func badOpen(_ field: String, _ what: String) -> Status {
    .invalid(field, what, reason: "BAD_OPEN")
  }

  static func badBatch(_ field: String, _ what: String) -> Status {
    .invalid(field, what, reason: "BAD_BATCH")
  }

  /// A message that cannot be read, under the reason that the protocol has for it.
  static func unreadable(_ error: MessageError, _ reason: String) -> Status {
    var status = error.status
    // What is too large stays RESOURCE_EXHAUSTED with its own reason.
    if status.code == .invalidArgument { status.reason = reason }
    return status
  }

  static let alreadyOpened = Status(
    .failedPrecondition,
    "Open came twice on one stream",
    reason: "ALREADY_OPENED"
  )

  static let notOpened = Status(
    .failedPrecondition,
    "a batch came before Opened was sent",
    reason: "NOT_OPENED"
  )

  static let notOpenedInTime = Status(
    .failedPrecondition,
    "no Open came on the stream in time",
    reason: "NOT_OPENED"
  )

  static func gap(expected: UInt64) -> Status {
    Status(
      .failedPrecondition,
      "values before first_seq are missing",
      reason: "GAP",
      metadata: [KeyValue("expected_seq", "\(expected)")]
    )
  }

  static let sequenceConflict = Status(
    .dataLoss,
    "these sequence numbers were sent before with another content",
    reason: "SEQ_CONFLICT"
  )

  static let grantOverrun = Status(
    .resourceExhausted,
    "the batch is beyond granted_bytes or granted_seq",
    reason: "GRANT_OVERRUN",
    retryAfterMilliseconds: ServerLimits.retryMilliseconds
  )

  static func fenced(epoch: UInt64) -> Status {
    Status(
      .aborted,
      "a newer session of this producer exists",
      reason: "FENCED",
      metadata: [KeyValue("epoch", "\(epoch)")]
    )
  }

  static let otherDatabase = Status(
    .failedPrecondition,
    "this gateway writes into another database than the one of the producer's positions; name a"
      + " gateway of that one, or begin with a new producer",
    reason: "OTHER_DATABASE"
  )

  static let grantReclaimed = Status(
    .unavailable,
    "the session was idle and others need its grant; open again when there is something to send",
    reason: "GRANT_RECLAIMED",
    retryAfterMilliseconds: 0
  )

  static let displaced = Status(
    .unavailable,
    "the producer's place has changed; open again and go on from durable_seq",
    reason: "DISPLACED",
    retryAfterMilliseconds: 0
  )

  static func databaseUnavailable(_ why: String) -> Status {
    Status(
      .unavailable,
      "the database cannot be used now: \(why)",
      reason: "DATABASE_UNAVAILABLE",
      retryAfterMilliseconds: ServerLimits.retryMilliseconds
    )
  }
}
