internal import DequeModule

// The batches a producer has made and the gateway has not confirmed: what to send, keep and drop.

/// One batch as it goes over the wire, kept until it is durable.
struct PendingBatch: Equatable, Sendable {
  var first: UInt64
  var count: UInt32
  var checksum: UInt32
  var columns: [UInt8]

  var last: UInt64 { first + UInt64(count) - 1 }
}

/// Where a producer stands.
public struct ProducerPosition: Equatable, Sendable {
  /// Highest sequence number given to a value.
  public var produced: UInt64 = 0
  /// Every value up to here is at least staged.
  public var staged: UInt64 = 0
  /// Every value up to here is durable.
  public var durable: UInt64 = 0
}

/// A pure state machine: batches in, confirmations in, what to send out.
struct ProducerWindow: Sendable {
  /// Bytes of batches that may wait for confirmation; full means that `send` waits.
  let bytesMax: Int
  private(set) var position = ProducerPosition()
  /// Bytes of all batches kept.
  private(set) var bytes = 0
  private var batches = Deque<PendingBatch>()
  /// Place in `batches` of the next one to send in this session.
  private var next = 0
  private var sentBytes: UInt64 = 0
  private var grantedBytes: UInt64 = 0
  private var grantedSequence: UInt64 = 0

  init(bytesMax: Int) {
    self.bytesMax = bytesMax
  }

  /// Lowest sequence number the producer could still send; 0 when it holds nothing.
  var lowestHeld: UInt64 { batches.first?.first ?? 0 }
  var isEmpty: Bool { batches.isEmpty }
  /// Highest sequence number that ever went out; 0 for none.
  private(set) var highestSent: UInt64 = 0
  /// Whether something was sent in this session and is not confirmed.
  var hasUnconfirmed: Bool { next > 0 }

  /// Whether a batch of `bytes` may be added; one is always taken when nothing waits.
  func hasRoom(for bytes: Int) -> Bool {
    batches.isEmpty || self.bytes + bytes <= bytesMax
  }

  /// Values up to `sequence` have numbers, wherever their batches are kept.
  mutating func numbered(upTo sequence: UInt64) {
    position.produced = max(position.produced, sequence)
  }

  /// Keeps a batch that has its numbers: the one that follows the last one kept.
  mutating func keep(_ batch: PendingBatch) {
    assert(batches.last.map { $0.last < batch.first } ?? true, "batches come in order")
    bytes += batch.columns.count
    batches.append(batch)
  }

  /// Numbers a batch and keeps it.
  mutating func append(columns: [UInt8], count: UInt32, checksum: UInt32) -> PendingBatch {
    let batch = PendingBatch(
      first: position.produced + 1,
      count: count,
      checksum: checksum,
      columns: columns
    )
    numbered(upTo: batch.last)
    keep(batch)
    return batch
  }

  /// A session has opened: what it covers is dropped, everything else will be sent again.
  mutating func opened(
    durable: UInt64,
    staged: UInt64,
    grantedBytes: UInt64,
    grantedSequence: UInt64
  ) {
    numbered(upTo: durable)
    position.durable = max(position.durable, durable)
    // Staging may have been lost: then its position falls back.
    position.staged = max(staged, position.durable)
    next = 0
    sentBytes = 0
    self.grantedBytes = grantedBytes
    self.grantedSequence = grantedSequence
    dropDurable()
    rewind()
  }

  /// An Ack came; true when a position rose.
  mutating func acknowledged(
    durable: UInt64,
    staged: UInt64,
    grantedBytes: UInt64,
    grantedSequence: UInt64
  ) -> Bool {
    let before = position
    position.durable = max(position.durable, durable)
    position.staged = max(staged, position.durable)
    if position.staged < before.staged { rewind() }
    self.grantedBytes = max(self.grantedBytes, grantedBytes)
    self.grantedSequence = max(self.grantedSequence, grantedSequence)
    dropDurable()
    return position != before
  }

  /// The next batch that the grant allows to send; nil when there is none.
  mutating func takeNext() -> PendingBatch? {
    guard next < batches.count else { return nil }
    let batch = batches[next]
    guard sentBytes + UInt64(batch.columns.count) <= grantedBytes, batch.last <= grantedSequence
    else { return nil }
    next += 1
    highestSent = max(highestSent, batch.last)
    sentBytes += UInt64(batch.columns.count)
    return batch
  }

  /// Size of a batch that waits for a larger grant.
  var wantedBytes: Int? {
    guard next < batches.count else { return nil }
    let count = batches[next].columns.count
    return sentBytes + UInt64(count) > grantedBytes ? count : nil
  }

  /// Sends everything again that is not at least staged; what is staged is kept until it is
  /// durable.
  private mutating func rewind() {
    next = batches.firstIndex { $0.last > position.staged } ?? batches.count
  }

  private mutating func dropDurable() {
    while let first = batches.first, first.last <= position.durable {
      bytes -= first.columns.count
      batches.removeFirst()
      next = max(0, next - 1)
    }
  }
}
