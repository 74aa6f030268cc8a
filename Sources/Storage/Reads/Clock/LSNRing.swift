internal import DequeModule
internal import EventLoop

// What the primary had flushed at which time, thinned with age; no I/O, time is a parameter.

/// Whose positions can be compared: one timeline of one cluster.
struct LogIdentity: Equatable, Sendable {
  var systemIdentifier: UInt64
  var timeline: UInt32

  /// Whether it is an earlier timeline of the same cluster.
  func isBefore(_ other: LogIdentity) -> Bool {
    systemIdentifier == other.systemIdentifier && timeline < other.timeline
  }
}

extension FreshnessToken {
  var identity: LogIdentity {
    LogIdentity(systemIdentifier: systemIdentifier, timeline: timeline)
  }

  init(_ identity: LogIdentity, _ lsn: PostgresLSN) {
    self.init(
      systemIdentifier: identity.systemIdentifier,
      timeline: identity.timeline,
      lsn: lsn
    )
  }
}

/// Samples of P(t), the primary's flush position, newest first to be thinned last.
///
/// A sample (t, P) says: whatever was acknowledged before t lies at or before P. That stays true
/// when a sample is left out, so thinning makes bounds wider and never wrong. Samples rise in time
/// and position through all tiers.
struct LSNRing {
  struct Sample: Equatable {
    var lsn: PostgresLSN
    /// The clock before the query was sent.
    var time: MonotonicTime
  }

  /// How densely samples of an age are kept.
  struct Tier {
    /// The least distance between two samples.
    var interval: Duration
    /// The age at which they move on to the next tier.
    var span: Duration
    /// The most samples, whatever their times are.
    var samplesMax: Int
  }

  /// Ten a second for three minutes, one a second for a quarter of an hour, then one in ten
  /// seconds.
  ///
  /// The last covers the largest bound, 3600 s. 2,930 samples of 16 bytes: 46 KiB.
  static let standardTiers = [
    Tier(interval: .milliseconds(100), span: .seconds(180), samplesMax: 1_810),
    Tier(interval: .seconds(1), span: .seconds(900), samplesMax: 730),
    Tier(interval: .seconds(10), span: .seconds(3_700), samplesMax: 390),
  ]

  private let tiers: [Tier]
  /// By tier, each in the order of time; the first tier is the newest.
  private var samples: [Deque<Sample>]
  /// Whose log it is; nil before the first sample.
  private(set) var identity: LogIdentity?

  init(tiers: [Tier] = LSNRing.standardTiers) {
    precondition(!tiers.isEmpty, "samples are kept somewhere")
    self.tiers = tiers
    samples = Array(repeating: [], count: tiers.count)
  }

  var count: Int { samples.reduce(0) { $0 + $1.count } }

  /// The last sample; nil before the first.
  var newest: Sample? { samples.lazy.compactMap(\.last).first }

  /// Adds what the primary answered.
  ///
  /// Another timeline or cluster, or a position before the last one (a server that was restored),
  /// starts from nothing: positions of different histories are not compared.
  mutating func add(_ lsn: PostgresLSN, at time: MonotonicTime, of identity: LogIdentity) {
    if let newest, self.identity != identity || lsn < newest.lsn || time < newest.time { clear() }
    self.identity = identity
    if !samples[0].isEmpty, samples[0][samples[0].count - 1].lsn == lsn {
      // The same position at a newer time says more than at the older one: an idle primary costs
      // one slot.
      samples[0][samples[0].count - 1].time = time
    } else {
      samples[0].append(Sample(lsn: lsn, time: time))
    }
    thin(now: time)
  }

  /// Fills an empty ring with the samples of somebody else, oldest first; those that do not rise
  /// are left out.
  mutating func seed(_ history: [Sample], of identity: LogIdentity) {
    guard newest == nil else { return }
    for sample in history {
      if let newest, sample.lsn < newest.lsn || sample.time < newest.time { continue }
      add(sample.lsn, at: sample.time, of: identity)
    }
  }

  /// Upper bound of the age of what holds everything up to `lsn`.
  ///
  /// - Returns: nil when the position is older than every sample, so that nothing is known.
  func staleness(of lsn: PostgresLSN, now: MonotonicTime) -> Duration? {
    for tier in samples {
      guard let first = tier.first, first.lsn <= lsn else { continue }
      let after = tier.partitionIndex { $0.lsn > lsn }
      return max(.zero, now - tier[after - 1].time)
    }
    return nil
  }

  /// The position that must be held for an answer to be at most `bound` old.
  ///
  /// - Returns: nil when there is no sample that young: the primary was silent, nothing can be
  ///   proven.
  func required(bound: Duration, now: MonotonicTime) -> PostgresLSN? {
    let oldest = now - bound
    for tier in samples.reversed() {
      guard let last = tier.last, last.time >= oldest else { continue }
      return tier[tier.partitionIndex { $0.time >= oldest }].lsn
    }
    return nil
  }

  // MARK: Private

  private mutating func clear() {
    for index in samples.indices { samples[index].removeAll(keepingCapacity: true) }
  }

  /// Moves samples on whose tier they have outgrown.
  private mutating func thin(now: MonotonicTime) {
    for index in tiers.indices {
      while let first = samples[index].first,
        now - first.time > tiers[index].span || samples[index].count > tiers[index].samplesMax
      {
        samples[index].removeFirst()
        guard index + 1 < tiers.count else { continue }
        let isDense =
          samples[index + 1].last.map { first.time - $0.time < tiers[index + 1].interval } ?? false
        if !isDense { samples[index + 1].append(first) }
      }
    }
  }
}

extension Deque {
  /// The index of the first element for which `isBehind` holds; it holds for all behind it.
  fileprivate func partitionIndex(_ isBehind: (Element) -> Bool) -> Int {
    var (low, high) = (0, count)
    while low < high {
      let middle = low + (high - low) / 2
      if isBehind(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
