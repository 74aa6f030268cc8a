// What operators see of a node.

/// A node as one worker sees it, or as all of them do, added up.
public struct NodeStatus: Equatable, Sendable {
  /// "primary", "replica-1", "warehouse".
  public var name: String
  /// What kind of node.
  public var origin: ReadOrigin
  /// Its circuit breaker; always closed for the primary, which has none.
  public var state: BreakerState
  /// What it was last proven to hold; nil when it proves nothing.
  public var proven: FreshnessToken?
  /// Upper bound of the age of what it holds; nil when unknown.
  public var staleness: Duration?
  /// Reads it answered.
  public var reads: UInt64
  /// Reads it is busy with.
  public var readsInFlight: Int
  /// Answers that were dropped because their proof fell short.
  public var reroutes: UInt64
  /// Statements that replay cancelled.
  public var conflicts: UInt64
  /// Reads it failed.
  public var failures: UInt64
  /// Reads of other levels than STRONG: on the primary these are fallbacks where there are
  /// replicas.
  public var fallbacks: UInt64
  /// Why no read is sent there now; nil while reads are.
  public var trouble: String?

  init(_ name: String, _ origin: ReadOrigin) {
    self.name = name
    self.origin = origin
    state = .closed
    reads = 0
    readsInFlight = 0
    reroutes = 0
    conflicts = 0
    failures = 0
    fallbacks = 0
  }

  /// Adds what another worker saw of the same node: the worst state, the newest proof, the sums.
  public mutating func add(_ other: NodeStatus) {
    if other.state.severity > state.severity { state = other.state }
    if let theirs = other.proven, proven.map({ $0.lsn < theirs.lsn }) ?? true { proven = theirs }
    if let theirs = other.staleness { staleness = min(staleness ?? theirs, theirs) }
    reads += other.reads
    readsInFlight += other.readsInFlight
    reroutes += other.reroutes
    conflicts += other.conflicts
    failures += other.failures
    fallbacks += other.fallbacks
    trouble = trouble ?? other.trouble
  }
}

extension BreakerState {
  fileprivate var severity: Int {
    switch self {
    case .closed: 0
    case .halfOpen: 1
    case .open: 2
    case .drained: 3
    }
  }
}

/// What a worker's router has done.
public struct RouterStatistics: Equatable, Sendable {
  /// Reads that the primary answered because no replica could.
  public var fallbacks: UInt64 = 0
  /// Reads refused because the primary's part for them was in use.
  public var budgetRefusals: UInt64 = 0
  /// Reads refused because the primary was silent and nothing could be proven.
  public var silenceRefusals: UInt64 = 0
  /// Answers older than was asked for, given to those who allow that.
  public var degraded: UInt64 = 0
  /// Reads that waited for a replica to catch up.
  public var waits: UInt64 = 0
}
