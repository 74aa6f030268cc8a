internal import Storage

// What a gateway counts, by the names operators see.

/// One counter or gauge; `sluice status` shows them in this order.
enum Figure: Int, CaseIterable, Sendable {
  case connectionsOpen
  case connectionsAccepted
  case connectionsRefused
  case connectionsClosedForCause
  case framesReceived
  case bytesReceived
  case bytesSent
  case partialFrameBytes
  case unaryCalls
  case unaryErrors
  case sessionsOpen
  case sessionsOpened
  case sessionsFailed
  case batchesReceived
  case valuesReceived
  case valuesWritten
  case valuesDuplicate
  case valuesRejected
  case valuesResent
  case valuesUnstaged
  case valuesLost
  case hotFolded
  case groupsCommitted
  case groupsStaged
  case groupsRetried
  case stagingLost
  case grantedBytes
  case waitingBytes
  case flushLag
  case catalogEntities
  case catalogAttributes
  case upserts
  case upsertGroups
  case upsertsRefused
  case pointReads
  case pointReadQueries
  case readConnections
  case readsWaiting
  case readFallbacks
  case readsOverBudget
  case readsUnprovable
  case readsDegraded
  case readWaits
  case cacheHits
  case cacheShared
  case cacheHitRate
  case cacheMissesAbsent
  case cacheMissesTooOld
  case cacheMissesLeaseHeld
  case cacheMissesWaitTimeout
  case cacheMissesAway
  case cacheMissesEpochChanged
  case cacheMissesOtherHistory
  case cacheFills
  case cacheFillsRefused
  case cacheInvalidations
  case cacheInvalidationsLate
  case cacheInvalidationsLost
  case cacheEpochs
  case cacheConnects

  /// Its name, for operators and programs.
  var name: String {
    switch self {
    case .connectionsOpen: "connections.open"
    case .connectionsAccepted: "connections.accepted"
    case .connectionsRefused: "connections.refused"
    case .connectionsClosedForCause: "connections.closed_for_cause"
    case .framesReceived: "frames.received"
    case .bytesReceived: "bytes.received"
    case .bytesSent: "bytes.sent"
    case .partialFrameBytes: "frames.partial_bytes"
    case .unaryCalls: "unary.calls"
    case .unaryErrors: "unary.errors"
    case .sessionsOpen: "sessions.open"
    case .sessionsOpened: "sessions.opened"
    case .sessionsFailed: "sessions.failed"
    case .batchesReceived: "ingest.batches_received"
    case .valuesReceived: "ingest.values_received"
    case .valuesWritten: "ingest.values_written"
    case .valuesDuplicate: "ingest.values_duplicate"
    case .valuesRejected: "ingest.values_rejected"
    case .valuesResent: "ingest.values_resent"
    case .valuesUnstaged: "ingest.values_unstaged"
    case .valuesLost: "ingest.values_lost"
    case .hotFolded: "ingest.hot_folded"
    case .groupsCommitted: "ingest.groups_committed"
    case .groupsStaged: "ingest.groups_staged"
    case .groupsRetried: "ingest.groups_retried"
    case .stagingLost: "ingest.staging_lost"
    case .grantedBytes: "ingest.granted_bytes"
    case .waitingBytes: "ingest.waiting_bytes"
    case .flushLag: "ingest.flush_lag"
    case .catalogEntities: "catalog.entities"
    case .catalogAttributes: "catalog.attributes"
    case .upserts: "upserts.committed"
    case .upsertGroups: "upserts.groups_committed"
    case .upsertsRefused: "upserts.refused"
    case .pointReads: "reads.points"
    case .pointReadQueries: "reads.point_queries"
    case .readConnections: "reads.connections"
    case .readsWaiting: "reads.waiting"
    case .readFallbacks: "reads.fallbacks"
    case .readsOverBudget: "reads.over_budget"
    case .readsUnprovable: "reads.unprovable"
    case .readsDegraded: "reads.degraded"
    case .readWaits: "reads.waits"
    case .cacheHits: "cache.hits"
    case .cacheShared: "cache.shared"
    case .cacheHitRate: "cache.hit_rate"
    case .cacheMissesAbsent: "cache.misses.absent"
    case .cacheMissesTooOld: "cache.misses.too_old"
    case .cacheMissesLeaseHeld: "cache.misses.lease_held"
    case .cacheMissesWaitTimeout: "cache.misses.wait_timeout"
    case .cacheMissesAway: "cache.misses.away"
    case .cacheMissesEpochChanged: "cache.misses.epoch_changed"
    case .cacheMissesOtherHistory: "cache.misses.other_history"
    case .cacheFills: "cache.fills"
    case .cacheFillsRefused: "cache.fills_refused"
    case .cacheInvalidations: "cache.invalidations"
    case .cacheInvalidationsLate: "cache.invalidations_late"
    case .cacheInvalidationsLost: "cache.invalidations_lost"
    case .cacheEpochs: "cache.epochs"
    case .cacheConnects: "cache.connects"
    }
  }

  /// Its unit, in UCUM.
  var unit: String {
    switch self {
    case .bytesReceived, .bytesSent, .partialFrameBytes, .grantedBytes, .waitingBytes: "By"
    case .flushLag: "ms"
    case .cacheHitRate: "%"
    default: "1"
    }
  }

  /// What it counts.
  var help: String {
    switch self {
    case .connectionsOpen: "Client connections open now."
    case .connectionsAccepted: "Client connections accepted."
    case .connectionsRefused: "Client connections refused because connections-max was reached."
    case .connectionsClosedForCause:
      "Client connections closed for breaking the protocol or a limit."
    case .framesReceived: "Frames received whole."
    case .bytesReceived: "Bytes received from clients."
    case .bytesSent: "Bytes sent to clients."
    case .partialFrameBytes: "Bytes held for frames that have not come whole."
    case .unaryCalls: "Unary calls received."
    case .unaryErrors: "Unary calls answered with an error."
    case .sessionsOpen: "Write sessions open now."
    case .sessionsOpened: "Write sessions opened."
    case .sessionsFailed: "Write sessions that ended with an error."
    case .batchesReceived: "Batches received."
    case .valuesReceived: "Values received in batches."
    case .valuesWritten: "Values committed and flushed."
    case .valuesDuplicate: "Values sent again that were accepted or written before."
    case .valuesRejected: "Values refused, with the reason in an Ack."
    case .valuesResent: "Values that had gone out before, in this session or an earlier one."
    case .valuesUnstaged:
      "Staged values that a crash of PostgreSQL took out of staging; none of them is lost."
    case .valuesLost: "Acknowledged values that a failover lost and no producer holds."
    case .hotFolded: "Hot values that changed the projection."
    case .groupsCommitted: "DURABLE transactions committed."
    case .groupsStaged: "STAGED transactions committed."
    case .groupsRetried:
      "Transactions that failed, by a fault of the database or a lost place, and go on."
    case .stagingLost: "Times a crash of PostgreSQL emptied the staging area, as workers saw it."
    case .grantedBytes: "Bytes that sessions may have under way."
    case .waitingBytes: "Bytes of rows waiting for a writer."
    case .flushLag: "Age of the oldest accepted batch that is not durable."
    case .catalogEntities: "Entities this gateway knows."
    case .catalogAttributes: "Attributes this gateway knows."
    case .upserts: "Upserts committed and flushed."
    case .upsertGroups: "Transactions they were committed in."
    case .upsertsRefused: "Upserts refused because too many waited."
    case .pointReads: "Reads of single entities."
    case .pointReadQueries: "Queries that answered them."
    case .readConnections: "Connections to the primary for reads."
    case .readsWaiting: "Reads waiting for a connection."
    case .readFallbacks: "Reads the primary answered because no replica qualified."
    case .readsOverBudget: "Reads refused because the primary's part for them was in use."
    case .readsUnprovable: "Reads refused because the primary was silent."
    case .readsDegraded: "Answers older than asked for, to those who allow that."
    case .readWaits: "Reads that waited for a replica to catch up."
    case .cacheHits: "Entities that Redis had."
    case .cacheShared: "Entities that another read brought which was under way."
    case .cacheHitRate: "Part of the lookups that ended with either."
    case .cacheMissesAbsent: "Lookups of what the cache did not have."
    case .cacheMissesTooOld: "Lookups of what it had, proven up to too early a position."
    case .cacheMissesLeaseHeld: "Lookups of what another gateway was reading."
    case .cacheMissesWaitTimeout: "Lookups of what another read was too slow to bring."
    case .cacheMissesAway: "Lookups while Redis could not be asked or did not answer."
    case .cacheMissesEpochChanged: "Lookups between two epochs."
    case .cacheMissesOtherHistory: "Lookups after a failover, before the cache knew of it."
    case .cacheFills: "Entities that were read and are kept."
    case .cacheFillsRefused:
      "Entities read that were overtaken by a write, or not kept for another reason."
    case .cacheInvalidations: "Writes that the cache was told of before their acknowledgement."
    case .cacheInvalidationsLate: "Writes whose acknowledgement did not wait until the cache knew."
    case .cacheInvalidationsLost: "Writes that the cache may never be told of; each costs an epoch."
    case .cacheEpochs: "Times the cache began anew, as workers saw it."
    case .cacheConnects: "Connections to Redis made."
    }
  }
}

/// All figures of one worker, or of all of them added up.
struct Figures: Sendable {
  private var values = [Int64](repeating: 0, count: Figure.allCases.count)

  /// Figures that are those of the worker with the most: an age is that of the oldest, and each
  /// worker knows the same catalog by itself.
  private static let areOfOne: Set<Figure> = [.flushLag, .catalogEntities, .catalogAttributes]

  /// The value of one figure.
  subscript(figure: Figure) -> Int64 {
    get { values[figure.rawValue] }
    set { values[figure.rawValue] = newValue }
  }

  /// Adds what a worker's cache did.
  mutating func add(_ cache: CacheStatistics) {
    func count(_ number: UInt64) -> Int64 { Int64(clamping: number) }
    func misses(_ reason: CacheMiss) -> Int64 { count(cache.misses[reason] ?? 0) }
    self[.cacheHits] += count(cache.hits)
    self[.cacheShared] += count(cache.sharedHits)
    self[.cacheMissesAbsent] += misses(.absent)
    self[.cacheMissesTooOld] += misses(.tooOld)
    self[.cacheMissesLeaseHeld] += misses(.leaseHeld)
    self[.cacheMissesWaitTimeout] += misses(.waitTimeout)
    self[.cacheMissesAway] += misses(.away)
    self[.cacheMissesEpochChanged] += misses(.epochChanged)
    self[.cacheMissesOtherHistory] += misses(.otherHistory)
    let stored = cache.fills[.stored] ?? 0
    self[.cacheFills] += count(stored)
    self[.cacheFillsRefused] += count(cache.fills.values.reduce(0, +) - stored)
    self[.cacheInvalidations] += count(cache.invalidations)
    self[.cacheInvalidationsLate] += count(cache.invalidationsLate)
    self[.cacheInvalidationsLost] += count(cache.invalidationsLost)
    self[.cacheEpochs] += count(cache.epochChanges)
    self[.cacheConnects] += count(cache.connects)
  }

  /// Adds what a client or the database has said, however much that is.
  mutating func count(_ figure: Figure, _ number: UInt64) {
    self[figure] = self[figure].addingClamped(Int64(clamping: number))
  }

  /// Works out what cannot be added up, once all workers are in.
  mutating func divide() {
    let misses: [Figure] = [
      .cacheMissesAbsent, .cacheMissesTooOld, .cacheMissesLeaseHeld, .cacheMissesWaitTimeout,
      .cacheMissesAway, .cacheMissesEpochChanged, .cacheMissesOtherHistory,
    ]
    let hits = self[.cacheHits] + self[.cacheShared]
    let lookups = misses.reduce(hits) { $0 + self[$1] }
    self[.cacheHitRate] = lookups == 0 ? 0 : hits * 100 / lookups
  }

  /// Adds another worker's figures.
  mutating func add(_ other: Figures) {
    for figure in Figure.allCases {
      self[figure] =
        Self.areOfOne.contains(figure)
        ? max(self[figure], other[figure]) : self[figure].addingClamped(other[figure])
    }
  }
}

extension Int64 {
  /// The sum, or the limit that it would pass.
  fileprivate func addingClamped(_ other: Int64) -> Int64 {
    let (sum, isOverflow) = addingReportingOverflow(other)
    guard isOverflow else { return sum }
    return other < 0 ? .min : .max
  }
}
