// What a cache did, and why it did not help.

/// Why a lookup brought no value.
public enum CacheMiss: String, CaseIterable, Sendable {
  /// Nothing is stored.
  case absent
  /// What is stored is proven up to an earlier position than required.
  case tooOld = "too_old"
  /// Somebody else held the lease until waiting was no use any more.
  case leaseHeld = "lease_held"
  /// A reader of the same worker took too long.
  case waitTimeout = "wait_timeout"
  /// Redis cannot be asked, or did not answer in time.
  case away
  /// There is no epoch at the moment.
  case epochChanged = "epoch_changed"
  /// What is required belongs to another cluster or timeline.
  case otherHistory = "other_history"
}

/// How a fill ended.
public enum CacheFill: String, CaseIterable, Sendable {
  /// Other readers find it now.
  case stored
  /// An invalidation, an eviction or time took the lease away.
  case leaseLost = "lease_lost"
  /// The replica had not seen the last invalidation.
  case belowFloor = "below_floor"
  /// What is stored was proven at a later position.
  case olderThanStored = "older_than_stored"
  /// The epoch ended meanwhile.
  case epochChanged = "epoch_changed"
  /// The value was read in another cluster or timeline.
  case otherHistory = "other_history"
  /// The value is larger than the cache keeps.
  case tooLarge = "too_large"
  /// The reader gave up.
  case abandoned
  /// Redis cannot be asked, or did not answer in time.
  case away
}

/// Counters since the start, of one worker.
public struct CacheStatistics: Equatable, Sendable {
  /// Answers from Redis.
  public var hits: UInt64 = 0
  /// Answers that another reader of the same worker brought.
  public var sharedHits: UInt64 = 0
  /// Lookups without an answer, by reason.
  public var misses: [CacheMiss: UInt64] = [:]
  /// Leases by how they ended.
  public var fills: [CacheFill: UInt64] = [:]
  /// Calls that invalidate, answered in time.
  public var invalidations: UInt64 = 0
  /// Calls that invalidate whose answer came too late to be waited for.
  public var invalidationsLate: UInt64 = 0
  /// Calls that invalidate and may never have reached Redis; each costs an epoch.
  public var invalidationsLost: UInt64 = 0
  /// How often one epoch followed another.
  public var epochChanges: UInt64 = 0
  /// How often a connection to Redis was made.
  public var connects: UInt64 = 0

  /// Nothing yet.
  public init() {}

  /// All lookups.
  public var lookups: UInt64 { hits + sharedHits + misses.values.reduce(0, +) }

  mutating func count(_ miss: CacheMiss) { misses[miss, default: 0] += 1 }

  mutating func count(_ fill: CacheFill) { fills[fill, default: 0] += 1 }

  /// Adds the counters of another worker.
  public mutating func add(_ other: CacheStatistics) {
    hits += other.hits
    sharedHits += other.sharedHits
    misses.merge(other.misses, uniquingKeysWith: +)
    fills.merge(other.fills, uniquingKeysWith: +)
    invalidations += other.invalidations
    invalidationsLate += other.invalidationsLate
    invalidationsLost += other.invalidationsLost
    epochChanges += other.epochChanges
    connects += other.connects
  }
}
