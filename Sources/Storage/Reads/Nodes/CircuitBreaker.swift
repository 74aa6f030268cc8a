internal import EventLoop

// Decides whether a node is asked at all; no I/O, time is a parameter.

/// What a breaker lets through.
public enum BreakerState: String, Sendable, Equatable, CaseIterable {
  /// Everything.
  case closed = "CLOSED"
  /// A probe, then a few reads.
  case halfOpen = "HALF_OPEN"
  /// Nothing until a pause is over.
  case open = "OPEN"
  /// Nothing until an operator says otherwise.
  case drained = "DRAINED"
}

/// The circuit breaker of one node.
///
/// Lag is no business of it: a node that lags is asked by those who can use what it has. Whoever
/// got a permit gives it back by `end`, once; what came from an older state changes nothing.
struct CircuitBreaker {
  struct Limits {
    var failuresInARow = 3
    var windowSeconds = 10
    var windowCallsMin = 20
    var windowFailureShare = 0.5
    var pauseMin: Duration = .seconds(1)
    var pauseMax: Duration = .seconds(30)
    var pauseJitter = 0.2
    var trialReadsMax = 3
    var successesToClose = 5
    var lease: Duration = .seconds(1)
    var trialMax: Duration = .seconds(5)
  }

  /// Who asks.
  enum Caller { case read, probe }

  /// How a call ended, as far as the node is concerned.
  enum Ending: Equatable {
    case success
    /// The node failed; the words are ours.
    case failure(String)
    /// It says nothing about the node: an error of the statement, a conflict, a client that left.
    case neither
  }

  /// The right to make one call.
  struct Permit: Equatable {
    fileprivate var epoch: UInt64
    fileprivate var number: UInt64
    fileprivate var caller: Caller
  }

  /// A change of state, for the log.
  struct Transition: Equatable, CustomStringConvertible {
    var from: BreakerState
    var to: BreakerState
    var reason: String

    var description: String { "\(from.rawValue) -> \(to.rawValue): \(reason)" }
  }

  private enum Condition {
    case closed
    case open(until: MonotonicTime)
    case halfOpen(until: MonotonicTime)
    case drained
  }

  private struct Bucket {
    var second: UInt64 = 0
    var calls = 0
    var failures = 0
  }

  private let limits: Limits
  private var random: SplitMix64
  private var condition = Condition.closed
  /// Rises with every change of state, so that late endings are known.
  private var epoch: UInt64 = 0
  private var permitCount: UInt64 = 0
  /// Of reads and of probes apart: probes are many and cheap, and their successes must not hide
  /// that reads fail.
  private var failuresInARow = (reads: 0, probes: 0)
  /// Reads by the second.
  private var buckets: [Bucket]
  /// How often it opened since it was last closed.
  private var openings = 0
  private var successes = 0
  private var isProbed = false
  private var leases: [(number: UInt64, until: MonotonicTime)] = []
  private var transitions: [Transition] = []

  init(limits: Limits = Limits(), seed: UInt64) {
    self.limits = limits
    random = SplitMix64(seed: seed)
    buckets = Array(repeating: Bucket(), count: limits.windowSeconds)
  }

  var state: BreakerState {
    switch condition {
    case .closed: .closed
    case .open: .open
    case .halfOpen: .halfOpen
    case .drained: .drained
    }
  }

  /// What changed since it was last asked for, in order.
  mutating func takeTransitions() -> [Transition] {
    defer { transitions.removeAll() }
    return transitions
  }

  // MARK: Calls

  /// Whether `permit` would give one.
  mutating func allows(_ caller: Caller, now: MonotonicTime) -> Bool {
    advance(now)
    switch condition {
    case .closed: return true
    case .open, .drained: return false
    case .halfOpen:
      leases.removeAll { $0.until <= now }
      switch caller {
      // Later ones are what keeps a node without reads from staying here.
      case .probe: return isProbed || leases.isEmpty
      case .read: return isProbed && leases.count < limits.trialReadsMax
      }
    }
  }

  /// The right to make a call; nil when the node must be left alone.
  mutating func permit(_ caller: Caller, now: MonotonicTime) -> Permit? {
    guard allows(caller, now: now) else { return nil }
    permitCount += 1
    if case .halfOpen = condition {
      leases.append((permitCount, now + limits.lease))
    }
    return Permit(epoch: epoch, number: permitCount, caller: caller)
  }

  /// Gives a permit back.
  mutating func end(_ permit: Permit, _ ending: Ending, now: MonotonicTime) {
    advance(now)
    guard permit.epoch == epoch else { return }
    leases.removeAll { $0.number == permit.number }
    switch (condition, ending) {
    case (.closed, .success): succeeded(permit.caller, now)
    case (.closed, .failure(let what)): failed(permit.caller, what, now)
    case (.halfOpen, .success):
      isProbed = true
      successes += 1
      guard successes >= limits.successesToClose else { return }
      close("\(successes) calls in a row succeeded")
    case (.halfOpen, .failure(let what)): open("a trial failed: \(what)", now)
    case (_, .neither), (.open, _), (.drained, _): break
    }
  }

  // MARK: Operators

  /// Lets nothing through until `restore`; what runs may finish.
  mutating func drain() {
    guard state != .drained else { return }
    change(to: .drained, "by the operator")
  }

  /// Takes a drained node back, beginning with a probe.
  mutating func restore(now: MonotonicTime) {
    guard state == .drained else { return }
    openings = 0
    tryAgain("by the operator", now)
  }

  /// Does what time alone brings about.
  mutating func advance(_ now: MonotonicTime) {
    switch condition {
    case .closed, .drained: break
    case .open(let until):
      guard now >= until else { return }
      tryAgain("the pause is over", now)
    case .halfOpen(let until):
      guard now >= until else { return }
      // Whatever was lent and never came back: this state ends.
      guard successes > 0 else { return open("no trial ended in time", now) }
      close("\(successes) calls succeeded and none failed")
    }
  }

  // MARK: Private

  private mutating func succeeded(_ caller: Caller, _ now: MonotonicTime) {
    switch caller {
    case .probe: failuresInARow.probes = 0
    case .read:
      failuresInARow.reads = 0
      count(now, failed: false)
    }
  }

  private mutating func failed(_ caller: Caller, _ what: String, _ now: MonotonicTime) {
    switch caller {
    case .probe:
      failuresInARow.probes += 1
      tripIfDue(failuresInARow.probes, what, now)
    case .read:
      failuresInARow.reads += 1
      count(now, failed: true)
      tripIfDue(failuresInARow.reads, what, now)
    }
  }

  private mutating func count(_ now: MonotonicTime, failed: Bool) {
    let second = now.nanoseconds / 1_000_000_000
    let index = Int(second % UInt64(buckets.count))
    if buckets[index].second != second { buckets[index] = Bucket(second: second) }
    buckets[index].calls += 1
    if failed { buckets[index].failures += 1 }
  }

  private func window(_ now: MonotonicTime) -> (calls: Int, failures: Int) {
    let second = now.nanoseconds / 1_000_000_000
    let live = buckets.filter { $0.second + UInt64(buckets.count) > second }
    return live.reduce((0, 0)) { ($0.0 + $1.calls, $0.1 + $1.failures) }
  }

  private mutating func tripIfDue(_ inARow: Int, _ what: String, _ now: MonotonicTime) {
    let (calls, failures) = window(now)
    let counters = "\(failures) of \(calls) reads failed in \(limits.windowSeconds) s"
    if inARow >= limits.failuresInARow {
      open("\(inARow) failures in a row, the last: \(what); \(counters)", now)
    } else if calls >= limits.windowCallsMin,
      Double(failures) >= limits.windowFailureShare * Double(calls)
    {
      open("\(counters), the last: \(what)", now)
    }
  }

  private mutating func open(_ reason: String, _ now: MonotonicTime) {
    let doubled = limits.pauseMin * (1 << min(openings, 20))
    let jitter = 1 + limits.pauseJitter * (2 * random.unit() - 1)
    let pause = min(doubled, limits.pauseMax) * jitter
    openings += 1
    change(
      to: .open(until: now + pause),
      "\(reason); tried again in \(pause.wholeMilliseconds) ms"
    )
  }

  private mutating func tryAgain(_ reason: String, _ now: MonotonicTime) {
    change(to: .halfOpen(until: now + limits.trialMax), reason)
  }

  private mutating func close(_ reason: String) {
    openings = 0
    change(to: .closed, reason)
  }

  private mutating func change(to next: Condition, _ reason: String) {
    let from = state
    condition = next
    epoch += 1
    failuresInARow = (0, 0)
    successes = 0
    isProbed = false
    leases.removeAll()
    buckets = Array(repeating: Bucket(), count: limits.windowSeconds)
    transitions.append(Transition(from: from, to: state, reason: reason))
  }
}
