// Decides what a batch is to a producer that has sent others before: new, a repeat, or wrong.

/// A run of values of one producer with the checksum of the batch it came in.
public struct SequenceRange: Equatable, Sendable {
  /// Sequence number of the first value.
  public var first: UInt64
  /// Sequence number of the last value.
  public var last: UInt64
  /// CRC-32C of the batch's columns.
  public var checksum: UInt32

  /// The run `first...last`.
  public init(first: UInt64, last: UInt64, checksum: UInt32) {
    self.first = first
    self.last = last
    self.checksum = checksum
  }
}

/// What to do with a batch (CONSISTENCY, idempotent producers, 4).
public enum BatchVerdict: Equatable, Sendable {
  /// Write it, without its first `skipping` values, which are written already.
  case accept(skipping: Int)
  /// Everything in it is written or on its way: acknowledge.
  case duplicate
  /// This very range came before with another content.
  case conflict
  /// Values before it are missing.
  case gap(expected: UInt64)
  /// Not a range of sequence numbers.
  case malformed
}

/// Where one producer stands in this gateway: a pure state machine.
public struct ProducerHead: Equatable, Sendable {
  /// Batches remembered after they became durable: what `producer_state` keeps.
  public static let recentMax = 8

  /// Values up to here have been accepted, durable or on their way.
  public private(set) var accepted: UInt64
  /// Values up to here are committed in staging or beyond.
  public private(set) var staged: UInt64
  /// Values up to here are committed and flushed.
  public private(set) var durable: UInt64

  private var ranges: [SequenceRange]
  /// Of the values up to here some are not staged, but in memory only until they are durable.
  private var unstaged: UInt64 = 0

  /// A producer as `open_producer` found it.
  public init(durable: UInt64, recent: [SequenceRange]) {
    accepted = durable
    staged = durable
    self.durable = durable
    ranges = recent
  }

  /// Says what a batch is, and counts it as accepted when it is to be written.
  public mutating func receive(
    first: UInt64,
    count: UInt32,
    checksum: UInt32
  ) -> BatchVerdict {
    let (end, overflow) = first.addingReportingOverflow(UInt64(count))
    guard count > 0, first > 0, !overflow, end <= UInt64(Int64.max) else { return .malformed }
    let last = end - 1
    if last <= accepted {
      let same = ranges.last { $0.first == first && $0.last == last }
      // A range that is not remembered has aged out, or the values were batched anew: both are
      // repeats.
      return same.map { $0.checksum == checksum } ?? true ? .duplicate : .conflict
    }
    guard first <= accepted + 1 else { return .gap(expected: accepted + 1) }
    let skipping = Int(accepted + 1 - first)
    accepted = last
    ranges.append(SequenceRange(first: first, last: last, checksum: checksum))
    return .accept(skipping: skipping)
  }

  /// Values up to `sequence` are committed in staging.
  public mutating func advanceStaged(to sequence: UInt64) {
    precondition(sequence <= accepted, "only accepted values are staged")
    guard durable >= unstaged else { return }
    staged = max(staged, sequence)
  }

  /// The staging area was lost: what was there and is not durable is no longer staged.
  ///
  /// - Returns: how many values that are.
  public mutating func loseStaged() -> UInt64 {
    let lost = staged - durable
    staged = durable
    unstaged = accepted
    return lost
  }

  /// Values up to `sequence` will not be staged: no later ones count as staged before these are
  /// durable.
  public mutating func leaveUnstaged(to sequence: UInt64) {
    unstaged = max(unstaged, sequence)
  }

  /// Values up to `sequence` are durable.
  public mutating func advanceDurable(to sequence: UInt64) {
    precondition(sequence <= accepted, "only accepted values become durable")
    durable = max(durable, sequence)
    staged = max(staged, durable)
    let settled = ranges.prefix { $0.last <= durable }.count
    if settled > ProducerHead.recentMax { ranges.removeFirst(settled - ProducerHead.recentMax) }
  }
}
