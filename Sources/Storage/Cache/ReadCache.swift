public import EventLoop

// The cache of one worker: single flight in front, Redis behind; every answer with its proof.

/// Looks values up by key and required freshness, fills and invalidates them.
///
/// Not Sendable: confined to one worker's loop, called from tasks that prefer it. Correctness rests
/// on the position in each value alone, so Redis away, evictions, lost invalidations and restarts
/// make it slower, never wrong. It is of no use before `observe` has told it the primary's
/// position. `end` must be called: the loop holds on to its connection.
public final class ReadCache {
  private let session: CacheSession
  private let limits: CacheLimits
  private let loop: EventLoop
  /// Of the last lease; begins at random, so that no two caches ever have the same.
  private var lastOwner = UInt64.random(in: .min ... .max)
  private var flights: [CacheKey: CacheFlight] = [:]
  private var counters = CacheStatistics()

  /// A cache that `start` connects.
  ///
  /// - Parameters:
  ///   - settings: where Redis is.
  ///   - gate: a circuit breaker, or nothing.
  ///   - loop: whose thread everything happens on.
  ///   - log: takes sentences for operators.
  public convenience init(
    _ settings: RedisSettings,
    gate: any CacheGate = OpenCacheGate(),
    on loop: EventLoop,
    log: @escaping (String) -> Void
  ) {
    self.init(settings, gate: gate, limits: CacheLimits(), on: loop, log: log)
  }

  init(
    _ settings: RedisSettings,
    gate: any CacheGate,
    limits: CacheLimits,
    redisLimits: RedisLimits = RedisLimits(),
    on loop: EventLoop,
    log: @escaping (String) -> Void
  ) {
    self.limits = limits
    self.loop = loop
    let scripts = CacheScripts.all
    let redis = RedisConnection(settings, scripts: scripts, limits: redisLimits, on: loop)
    session = CacheSession(redis, gate: gate, limits: limits, on: loop, log: log)
  }

  /// Begins to connect; until Redis is there, every lookup is a miss at once.
  public func start() { session.start() }

  /// Takes the primary's position: call it for every sample of the clock.
  ///
  /// A new epoch begins only above a position that was asked for after the old one's end was
  /// noticed, and a position of another timeline or cluster leads to keys of its own.
  ///
  /// - Parameters:
  ///   - position: the primary's flush position.
  ///   - time: before the primary was asked.
  public func observe(_ position: FreshnessToken, at time: MonotonicTime) {
    session.observe(position, at: time)
  }

  /// Leaves the cache cleanly and closes the connection; call it after the last invalidation.
  public func end(deadline: MonotonicTime) async { await session.end(deadline: deadline) }

  /// What it did so far.
  public var statistics: CacheStatistics {
    var all = counters
    all.invalidationsLost = session.invalidationsLost
    all.epochChanges = session.epochChanges
    all.connects = session.connects
    return all
  }

  /// The epoch it takes part in; nil while it cannot be used.
  public var epoch: String? { session.epoch }

  /// Whether there is a connection to Redis.
  public var isConnected: Bool { session.isConnected }

  // MARK: Reading

  /// Looks a value up, or gives the right to read it.
  ///
  /// While one reader of this worker has a ticket for a key, the others wait for its value. Readers
  /// are functions to call back: a task for each would cost more than its share of the call.
  ///
  /// - Parameters:
  ///   - key: what is looked up.
  ///   - required: the position that the value's proof must reach.
  ///   - done: is called once, with a value or with a ticket that ends with `fill` or `abandon`.
  public func lookup(
    _ key: CacheKey,
    required: FreshnessToken,
    _ done: @escaping (CacheLookup) -> Void
  ) {
    lookup(key, required, until: loop.now + limits.followTimeout, done)
  }

  /// Looks many values up at once, without waiting for other readers: what somebody else reads at
  /// the moment is a miss.
  ///
  /// - Parameters:
  ///   - keys: what is looked up, each once.
  ///   - required: the position that each value's proof must reach.
  /// - Returns: a value or a ticket for each key, in their order.
  public func lookup(_ keys: [CacheKey], required: FreshnessToken) async -> [CacheLookup] {
    let questions = keys.map { key in
      lastOwner &+= 1
      return CacheGetQuestion(key: key, required: required.lsn, owner: lastOwner)
    }
    let outcomes = await session.ask(questions, keys: CacheKeys(required))
    return zip(questions, outcomes).map { question, outcome in
      lookup(outcome, question.key, required, question.owner, nil)
    }
  }

  /// Ends a ticket with what was read: for those who wait, and for the cache when there is a lease.
  ///
  /// Returns before Redis has it; `statistics` counts how it went.
  ///
  /// - Parameters:
  ///   - ticket: of the lookup; ends here.
  ///   - entry: with the position proven for the read, or a lower bound of what was visible on the
  ///     primary, taken before the read.
  ///   - source: where it was read.
  public func fill(_ ticket: CacheTicket, _ entry: CacheEntry, from source: CacheSource) {
    ticket.close()
    land(ticket.key, ticket.flight, entry)
    guard let lease = ticket.lease else { return }
    let value = entry.value ?? []
    guard value.count <= limits.valueBytesMax else {
      counters.count(CacheFill.tooLarge)
      return session.giveBack(ticket.key, lease) { _ in }
    }
    guard CacheKeys(entry.asOf) == lease.keys else {
      counters.count(CacheFill.otherHistory)
      return session.giveBack(ticket.key, lease) { _ in }
    }
    session.store(ticket.key, lease, value: value, lsn: entry.asOf.lsn, source: source) {
      [weak self] answer in
      self?.counters.count(ReadCache.fill(answer))
    }
  }

  /// Ends a ticket whose read failed.
  public func abandon(_ ticket: CacheTicket) {
    ticket.close()
    end(ticket.key, ticket.flight, ticket.lease)
  }

  // MARK: Writing

  /// Tells the cache what was written: after COMMIT, before the acknowledgement.
  ///
  /// Waits at most 20 ms and never fails: an invalidation that is late still arrives, and for one
  /// that is lost a new epoch begins.
  ///
  /// - Parameters:
  ///   - keys: of what was written.
  ///   - token: a position at or past the commit.
  public func invalidate(_ keys: [CacheKey], _ token: FreshnessToken) async {
    guard !keys.isEmpty else { return }
    let cell = WaitCell<Bool>()
    var timer: TimerID?
    var waiting = (keys.count - 1) / limits.keysPerInvalidation + 1
    var hasArrived = true
    let isInTime = await cell.wait(cancelled: false) {
      timer = loop.schedule(at: loop.now + limits.invalidationWait) { cell.resume(false) }
      for start in stride(from: 0, to: keys.count, by: limits.keysPerInvalidation) {
        let part = keys[start..<min(start + limits.keysPerInvalidation, keys.count)]
        session.invalidate(part, token) { isKnown in
          hasArrived = hasArrived && isKnown
          waiting -= 1
          if waiting == 0 { cell.resume(true) }
        }
      }
    }
    if let timer { loop.cancel(timer) }
    if !isInTime {
      counters.invalidationsLate += 1
    } else if hasArrived {
      counters.invalidations += 1
    }
  }

  /// Says that something was written, or may have been, and nobody knows what: a new epoch begins.
  public func loseInvalidation() { session.noteLost() }

  // MARK: Private

  private func lookup(
    _ key: CacheKey,
    _ required: FreshnessToken,
    until limit: MonotonicTime,
    _ done: @escaping (CacheLookup) -> Void
  ) {
    guard let flight = flights[key] else {
      let flight = CacheFlight(on: loop)
      flights[key] = flight
      lastOwner &+= 1
      return lead(Lead(key, required, flight, lastOwner), limits.waits[...], done)
    }
    flight.follow(until: limit) { [self] ending in
      switch ending {
      case .entry(let entry) where entry.satisfies(required):
        counters.sharedHits += 1
        done(.hit(entry))
      // Whoever looks first leads now.
      case .entry, .nothing: lookup(key, required, until: limit, done)
      case .timedOut: done(.miss(ticket(.waitTimeout, key)))
      }
    }
  }

  /// The one lookup of a flight that asks Redis.
  private struct Lead {
    let key: CacheKey
    let required: FreshnessToken
    let flight: CacheFlight
    let owner: UInt64

    init(
      _ key: CacheKey,
      _ required: FreshnessToken,
      _ flight: CacheFlight,
      _ owner: UInt64
    ) {
      self.key = key
      self.required = required
      self.flight = flight
      self.owner = owner
    }
  }

  private func lead(
    _ lead: Lead,
    _ pauses: ArraySlice<Duration>,
    _ done: @escaping (CacheLookup) -> Void
  ) {
    session.ask(lead.key, required: lead.required, owner: lead.owner) { [self] outcome in
      if case .answer(.wait) = outcome, let pause = pauses.first {
        _ = loop.schedule(at: loop.now + pause) { [self] in
          self.lead(lead, pauses.dropFirst(), done)
        }
        return
      }
      let found = lookup(outcome, lead.key, lead.required, lead.owner, lead.flight)
      if case .hit(let entry) = found { land(lead.key, lead.flight, entry) }
      done(found)
    }
  }

  /// What an outcome means to who asked.
  private func lookup(
    _ outcome: CacheSession.Outcome,
    _ key: CacheKey,
    _ required: FreshnessToken,
    _ owner: UInt64,
    _ flight: CacheFlight?
  ) -> CacheLookup {
    switch outcome {
    case .answer(.hit(let lsn, let value)):
      let asOf = FreshnessToken(required.identity, lsn)
      counters.hits += 1
      return .hit(CacheEntry(value: value.isEmpty ? nil : value, asOf: asOf))
    case .answer(.lease(let floor, let isTooOld)):
      let lease = CacheTicket.Lease(owner: owner, floor: floor, keys: CacheKeys(required))
      return .miss(ticket(isTooOld ? .tooOld : .absent, key, lease, flight))
    case .answer(.wait): return .miss(ticket(.leaseHeld, key, nil, flight))
    case .away: return .miss(ticket(.away, key, nil, flight))
    case .noEpoch: return .miss(ticket(.epochChanged, key, nil, flight))
    case .otherHistory: return .miss(ticket(.otherHistory, key, nil, flight))
    }
  }

  private func ticket(
    _ miss: CacheMiss,
    _ key: CacheKey,
    _ lease: CacheTicket.Lease? = nil,
    _ flight: CacheFlight? = nil
  ) -> CacheTicket {
    counters.count(miss)
    return CacheTicket(miss, key, lease, flight, self)
  }

  /// Ends a ticket without a value.
  func end(_ key: CacheKey, _ flight: CacheFlight?, _ lease: CacheTicket.Lease?) {
    land(key, flight, nil)
    guard let lease else { return }
    counters.count(.abandoned)
    session.giveBack(key, lease) { _ in }
  }

  /// Ends a flight: the next lookup asks Redis again.
  private func land(_ key: CacheKey, _ flight: CacheFlight?, _ entry: CacheEntry?) {
    guard let flight else { return }
    assert(flights[key] === flight, "a flight ends once")
    flights[key] = nil
    flight.end(entry)
  }

  private static func fill(_ answer: CacheSetAnswer?) -> CacheFill {
    switch answer {
    case .stored: .stored
    case .givenBack: .abandoned
    case .leaseLost: .leaseLost
    case .belowFloor: .belowFloor
    case .olderThanStored: .olderThanStored
    case .noEpoch: .epochChanged
    case nil: .away
    }
  }
}

extension ReadCache: CustomReflectable {
  /// Shows the counters only, as from here everything on the loop can be reached.
  public var customMirror: Mirror { Mirror(self, children: ["statistics": statistics]) }
}
