public import EventLoop

// What every lane takes and how it answers: the seam between sessions and storage.

/// Whose values a batch holds.
public struct ProducerKey: Hashable, Sendable {
  /// The tenant.
  public var tenant: Int32
  /// The producer.
  public var producer: ProducerID
  /// The epoch of its session: what fences.
  public var epoch: UInt64

  /// The producer in this epoch.
  public init(tenant: Int32, producer: ProducerID, epoch: UInt64) {
    self.tenant = tenant
    self.producer = producer
    self.epoch = epoch
  }
}

/// How a batch ended.
public enum BatchEnding: Equatable, Sendable {
  /// Committed and flushed; everything up to the token is visible to a read AT_LEAST it. The
  /// rejects are what PostgreSQL refused beyond the checks, by rising index.
  case durable(FreshnessToken, refused: [RejectedValue])
  /// A newer session of the producer exists.
  case fenced(epoch: UInt64)
  /// The database is at another place than the session believed.
  case displaced
}

/// Gave a batch to a lane and is told how it ended; called on the worker's loop.
public protocol BatchOwner: AnyObject {
  /// Whether a batch of it ended as fenced or displaced: the others are not to be written then, for
  /// whoever sends them again would be displaced by them.
  var hasLostPlace: Bool { get }
  /// The batch is committed in staging.
  func batchStaged(_ batch: LaneBatch)
  /// The batch will be durable without having been staged.
  func batchNotStaged(_ batch: LaneBatch)
  /// The batch is over; exactly once for every batch.
  func batchEnded(_ batch: LaneBatch, _ ending: BatchEnding)
}

/// One batch on its way through a lane.
public struct LaneBatch {
  /// Whose values.
  public let key: ProducerKey
  /// The batch's own range, with its checksum.
  public let range: SequenceRange
  /// Values at its start that were written before.
  public let skipping: Int
  /// Values that are not written, by rising index.
  public let rejects: [RejectedValue]
  /// Bytes of columns on the wire: what goes back to the budget.
  public let wireBytes: Int
  /// Who is told.
  public let owner: any BatchOwner
  /// Where its rows are in the group's encoder.
  var rows = 0..<0
  /// The same in the staging encoder.
  var stagedRows = 0..<0
  /// Its hot values; nil when there are none.
  var hot: HotValues?
  /// Values PostgreSQL refused, found by bisection.
  var refused: [RejectedValue] = []
  var isOver = false

  /// A batch without rows yet.
  public init(
    key: ProducerKey,
    range: SequenceRange,
    skipping: Int,
    rejects: [RejectedValue],
    wireBytes: Int,
    owner: any BatchOwner
  ) {
    self.key = key
    self.range = range
    self.skipping = skipping
    self.rejects = rejects
    self.wireBytes = wireBytes
    self.owner = owner
  }

  /// First sequence number that is written.
  var first: UInt64 { range.first + UInt64(skipping) }
}

/// Takes batches and writes them; there is one implementation per meaning of an ack.
public protocol Lane: AnyObject {
  /// Encodes a batch for the next transaction; never waits.
  ///
  /// - Parameters:
  ///   - batch: whose it is and who is told.
  ///   - columns: checked, borrowed for the call.
  ///   - hot: indexes of its hot values, from `BatchCheck`.
  func submit(_ batch: LaneBatch, _ columns: borrowing BatchColumns, hot: [UInt32])
  /// Writes until it is shut down; the lane's one task.
  func run() async
  /// Ends `run()` once everything submitted is written, or at once.
  func shutDown(abandoning: Bool)
  /// Whether nothing is waiting or being written.
  var isIdle: Bool { get }
  /// What it has done.
  var statistics: LaneStatistics { get }
}

/// What a lane has done.
public struct LaneStatistics: Sendable {
  /// Transactions committed into the values' table.
  public var groupsCommitted: Int64 = 0
  /// Transactions committed into staging.
  public var groupsStaged: Int64 = 0
  /// Transactions that had to be tried again.
  public var groupsRetried: Int64 = 0
  /// Documents of the hot projection that changed.
  public var hotFolded: Int64 = 0
  /// Bytes of rows that are not committed.
  public var waitingBytes: Int64 = 0
  /// Times the staging area was lost; what was in it is promoted from memory, or sent again.
  public var stagingLost: Int64 = 0
  /// When the oldest batch came that is not durable; nil when none waits.
  public var waitingSince: MonotonicTime?
  /// What fails at the moment; nil while all goes well.
  public var trouble: String?
  /// Values that PostgreSQL refused although all checks passed.
  public var valuesRefused: Int64 = 0

  /// Nothing done.
  public init() {}

  /// Adds what another lane has done.
  mutating func add(_ other: LaneStatistics) {
    groupsCommitted += other.groupsCommitted
    groupsStaged += other.groupsStaged
    groupsRetried += other.groupsRetried
    hotFolded += other.hotFolded
    waitingBytes += other.waitingBytes
    stagingLost += other.stagingLost
    valuesRefused += other.valuesRefused
    waitingSince = [waitingSince, other.waitingSince].compactMap { $0 }.min()
    trouble = trouble ?? other.trouble
  }
}

/// Limits of the lanes.
enum LaneLimits {
  /// Size of a document of the hot projection; what would pass it stays in the history alone.
  static let documentBytes = 1 << 20
  /// Rows of one transaction: about 60,000 numbers, which PostgreSQL takes in 60 to 100 ms.
  static let groupBytes = 4 << 20
  /// Batches of one transaction: what `commit_group` locks and updates in some 10 ms.
  static let groupBatches = 2_000
  /// Rows that one promotion moves.
  static let promotionBytes = 16 << 20
  /// Groups kept with their memory for the next transactions.
  static let spareGroups = 4
  /// Time of one transaction, after which the connection is given up and the outcome looked up.
  static let transactionTime = Duration.seconds(60)
  /// Size of one piece of COPY data.
  static let copyPieceBytes = 256 << 10
  /// Pauses before a transaction is tried again.
  static let backoffMin = Duration.milliseconds(20)
  static let backoffMax = Duration.seconds(5)
}
