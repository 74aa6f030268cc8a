internal import EventLoop
internal import DequeModule

// Decides who gets which connection and when one is made or closed; no I/O, time is a parameter.

/// The bounds of a pool.
public struct PoolLimits: Equatable, Sendable {
  /// Connections kept even when idle.
  public var connectionsMin = 0
  /// Connections open or being made, at most.
  public var connectionsMax = 4
  /// Callers that may wait for a connection; one more is refused.
  public var waitersMax = 1024
  /// How long a connection above the minimum may be idle.
  public var idleMax: Duration = .seconds(60)
  /// How long a connection lives; it is closed when it is next free.
  public var ageMax: Duration = .seconds(1800)
  /// The share of `ageMax` by which connections may live shorter, so that they do not all end
  /// together.
  public var ageJitter = 0.2
  /// How long connecting may take.
  public var connectTimeout: Duration = .seconds(5)
  /// Pause after a first failure to connect; doubles with each further one.
  public var backoffMin: Duration = .milliseconds(100)
  /// The longest pause between attempts to connect.
  public var backoffMax: Duration = .seconds(10)
  /// The share by which pauses vary up and down.
  public var backoffJitter = 0.2
  /// Whether callers are refused at once while there is no connection and the last attempt to make
  /// one failed.
  ///
  /// Otherwise they wait until their deadline.
  public var refusesDuringOutage = true

  /// The default bounds.
  public init() {}
}

/// What a pool has and did.
public struct PoolStatistics: Equatable, Sendable {
  /// Connections that exist: idle and busy.
  public var open = 0
  /// Connections that are being made.
  public var connecting = 0
  /// Connections nobody uses.
  public var idle = 0
  /// Connections that are lent.
  public var busy = 0
  /// Callers that wait.
  public var waiting = 0
  /// Connections made so far.
  public var created: UInt64 = 0
  /// Connections ended so far, by us or by the server.
  public var closed: UInt64 = 0
  /// Failed attempts to connect so far.
  public var connectFailures: UInt64 = 0
  /// Callers whose deadline passed while they waited.
  public var waitTimeouts: UInt64 = 0
  /// Callers that were refused: queue full, outage or shutdown.
  public var refused: UInt64 = 0
}

/// A pool's decisions as a state machine: events in, actions out.
///
/// Invariants: idle and busy and connecting never exceed `connectionsMax`; nobody waits while a
/// connection is idle; each waiter gets exactly one `give` or `fail`, unless `cancel` removed it
/// before.
struct PoolState {
  /// Names a connection from `connect` to `close`; a slot is used again with a new generation.
  struct ConnectionID: Hashable, Sendable {
    var slot: Int
    var generation: UInt32
  }

  /// Names a waiting caller; chosen by the caller, never used twice.
  typealias WaiterID = UInt64

  /// What is to be done, in order.
  enum Action: Equatable {
    /// Start to connect; answer with `connected` or `connectFailed`.
    case connect(ConnectionID)
    /// End the connection or the attempt; the state has forgotten it.
    case close(ConnectionID)
    /// Hand the connection to the waiter; answer with `released`.
    case give(WaiterID, ConnectionID)
    /// Tell the waiter why it gets none.
    case fail(WaiterID, PostgresError)
    /// Call `tick` at this time instead of the time said before.
    case scheduleTick(at: MonotonicTime)
  }

  private enum Condition {
    case free, connecting, idle, busy
  }

  private struct Slot {
    var condition = Condition.free
    var generation: UInt32 = 0
    var expiresAt = MonotonicTime(nanoseconds: 0)
    var idleSince = MonotonicTime(nanoseconds: 0)
  }

  private struct Waiter {
    var id: WaiterID
    var deadline: MonotonicTime
  }

  /// The last failure to connect, kept until one succeeds.
  private struct Outage {
    var failure: PostgresError
    var attempts: Int
    var retryAt: MonotonicTime
  }

  private let limits: PoolLimits
  private var random: SplitMix64
  private var slots: [Slot]
  /// Free slots, last freed first.
  private var free: [Int]
  /// Idle slots, last used last: the last is taken first, so that the first become old and are
  /// closed.
  private var idle: [Int] = []
  private var waiters = Deque<Waiter>()
  private var outage: Outage?
  private var isShutDown = false
  /// The time `tick` was last asked for; never later than the earliest thing to do.
  private var tickAt: MonotonicTime?
  private var counters = PoolStatistics()

  init(limits: PoolLimits, seed: UInt64) {
    precondition(limits.connectionsMax > 0, "a pool has at least one connection")
    precondition(limits.connectionsMin >= 0, "no negative minimum")
    precondition(limits.connectionsMin <= limits.connectionsMax, "the minimum is below the maximum")
    precondition(limits.waitersMax >= 0, "no negative queue")
    self.limits = limits
    random = SplitMix64(seed: seed)
    slots = Array(repeating: Slot(), count: limits.connectionsMax)
    free = Array((0..<limits.connectionsMax).reversed())
  }

  var statistics: PoolStatistics {
    var statistics = counters
    statistics.idle = idle.count
    statistics.waiting = waiters.count
    statistics.open = statistics.idle + statistics.busy
    return statistics
  }

  /// Whether nothing is lent and nothing is open after a shutdown.
  var isDrained: Bool { isShutDown && free.count == slots.count }

  // MARK: Events

  /// Opens the minimum.
  mutating func start(now: MonotonicTime) -> [Action] {
    var actions: [Action] = []
    grow(now, &actions)
    return actions
  }

  /// Takes an idle connection when there is one: the short way of `acquire`, without a waiter.
  mutating func takeIdle() -> ConnectionID? {
    guard let slot = idle.popLast() else { return nil }
    assert(waiters.isEmpty && !isShutDown, "nobody waits while a connection is idle")
    return lend(slot)
  }

  /// Somebody wants a connection until `deadline`.
  mutating func acquire(
    _ waiter: WaiterID,
    deadline: MonotonicTime,
    now: MonotonicTime
  ) -> [Action] {
    if let connection = takeIdle() { return [.give(waiter, connection)] }
    if let refusal = refusal(deadline: deadline, now: now) { return [.fail(waiter, refusal)] }
    var actions: [Action] = []
    waiters.append(Waiter(id: waiter, deadline: deadline))
    grow(now, &actions)
    wake(at: deadline, &actions)
    return actions
  }

  /// A waiter went away by itself; nothing happens when it was answered before.
  mutating func cancel(_ waiter: WaiterID) {
    waiters.removeAll { $0.id == waiter }
  }

  /// A `connect` succeeded.
  mutating func connected(_ connection: ConnectionID, now: MonotonicTime) -> [Action] {
    precondition(condition(connection) == .connecting, "only what connects can be connected")
    var actions: [Action] = []
    outage = nil
    counters.connecting -= 1
    counters.created += 1
    slots[connection.slot].expiresAt = now + limits.ageMax * (1 - limits.ageJitter * random.unit())
    deliver(connection.slot, now, &actions)
    // After an outage one attempt was made at a time; the others may follow now.
    grow(now, &actions)
    return actions
  }

  /// A `connect` failed.
  mutating func connectFailed(
    _ connection: ConnectionID,
    _ failure: PostgresError,
    now: MonotonicTime
  ) -> [Action] {
    precondition(condition(connection) == .connecting, "only what connects can fail to")
    var actions: [Action] = []
    counters.connecting -= 1
    counters.connectFailures += 1
    vacate(connection.slot)
    extendOutage(failure, now)
    if refusesNow { failWaiters(failure, &actions) }
    grow(now, &actions)
    return actions
  }

  /// A lent connection came back.
  mutating func released(
    _ connection: ConnectionID,
    isHealthy: Bool,
    now: MonotonicTime
  ) -> [Action] {
    precondition(condition(connection) == .busy, "only what was lent can come back")
    var actions: [Action] = []
    counters.busy -= 1
    if isHealthy, !isShutDown, now < slots[connection.slot].expiresAt {
      deliver(connection.slot, now, &actions)
    } else {
      end(connection.slot, &actions)
      grow(now, &actions)
    }
    return actions
  }

  /// A connection died while idle; nothing happens when it is lent: its user finds out.
  mutating func broken(_ connection: ConnectionID, now: MonotonicTime) -> [Action] {
    guard condition(connection) == .idle else { return [] }
    var actions: [Action] = []
    idle.removeAll { $0 == connection.slot }
    end(connection.slot, &actions)
    grow(now, &actions)
    return actions
  }

  /// The time asked for by `scheduleTick` has come.
  mutating func tick(now: MonotonicTime) -> [Action] {
    var actions: [Action] = []
    tickAt = nil
    expireWaiters(now, &actions)
    expireIdle(now, &actions)
    grow(now, &actions)
    if let next = earliest() { wake(at: next, &actions) }
    return actions
  }

  /// Refuses waiters and newcomers, ends what is idle or connecting; lent connections end when
  /// released.
  mutating func shutDown() -> [Action] {
    var actions: [Action] = []
    isShutDown = true
    failWaiters(.closed, &actions)
    for slot in idle { end(slot, &actions) }
    idle.removeAll()
    for slot in slots.indices where slots[slot].condition == .connecting {
      counters.connecting -= 1
      actions.append(.close(id(slot)))
      vacate(slot)
    }
    return actions
  }

  // MARK: Waiters

  private mutating func refusal(deadline: MonotonicTime, now: MonotonicTime) -> PostgresError? {
    if isShutDown { return refuse(.closed) }
    guard deadline > now else {
      counters.waitTimeouts += 1
      return .waitTimedOut
    }
    if waiters.count >= limits.waitersMax { return refuse(.poolFull) }
    if let outage, refusesNow, now < outage.retryAt { return refuse(outage.failure) }
    return nil
  }

  private mutating func refuse(_ error: PostgresError) -> PostgresError {
    counters.refused += 1
    return error
  }

  /// Whether there is nothing to hope for before the next attempt to connect.
  private var refusesNow: Bool {
    limits.refusesDuringOutage && outage != nil && free.count == slots.count
  }

  private mutating func failWaiters(_ error: PostgresError, _ actions: inout [Action]) {
    counters.refused += UInt64(waiters.count)
    for waiter in waiters { actions.append(.fail(waiter.id, error)) }
    waiters.removeAll()
  }

  private mutating func expireWaiters(_ now: MonotonicTime, _ actions: inout [Action]) {
    for waiter in waiters where waiter.deadline <= now {
      counters.waitTimeouts += 1
      actions.append(.fail(waiter.id, waitError))
    }
    waiters.removeAll { $0.deadline <= now }
  }

  /// Who waited through an outage is told about it.
  private var waitError: PostgresError {
    guard let outage, idle.isEmpty, counters.busy == 0 else { return .waitTimedOut }
    return outage.failure
  }

  // MARK: Connections

  private func id(_ slot: Int) -> ConnectionID {
    ConnectionID(slot: slot, generation: slots[slot].generation)
  }

  private func condition(_ connection: ConnectionID) -> Condition? {
    let slot = slots[connection.slot]
    return slot.generation == connection.generation ? slot.condition : nil
  }

  private mutating func lend(_ slot: Int) -> ConnectionID {
    slots[slot].condition = .busy
    counters.busy += 1
    return id(slot)
  }

  /// Gives a usable connection to whoever waited longest, or lays it down.
  private mutating func deliver(_ slot: Int, _ now: MonotonicTime, _ actions: inout [Action]) {
    if let waiter = waiters.popFirst() {
      actions.append(.give(waiter.id, lend(slot)))
      return
    }
    slots[slot].condition = .idle
    slots[slot].idleSince = now
    idle.append(slot)
    wake(at: min(now + limits.idleMax, slots[slot].expiresAt), &actions)
  }

  /// Ends an open connection that is in no list any more.
  private mutating func end(_ slot: Int, _ actions: inout [Action]) {
    counters.closed += 1
    actions.append(.close(id(slot)))
    vacate(slot)
  }

  private mutating func vacate(_ slot: Int) {
    slots[slot].condition = .free
    slots[slot].generation &+= 1
    free.append(slot)
  }

  private mutating func expireIdle(_ now: MonotonicTime, _ actions: inout [Action]) {
    var kept: [Int] = []
    var open = idle.count + counters.busy
    // The first have been idle longest.
    for slot in idle {
      let isAged = slots[slot].expiresAt <= now
      let isSpare = slots[slot].idleSince + limits.idleMax <= now && open > limits.connectionsMin
      guard isAged || isSpare else {
        kept.append(slot)
        continue
      }
      open -= 1
      end(slot, &actions)
    }
    idle = kept
  }

  /// Starts as many connections as waiters or the minimum need; after a failure one attempt at a
  /// time.
  private mutating func grow(_ now: MonotonicTime, _ actions: inout [Action]) {
    while needsConnection {
      if let outage {
        guard counters.connecting == 0 else { return }
        guard now >= outage.retryAt else { return wake(at: outage.retryAt, &actions) }
      }
      guard let slot = free.popLast() else { return }
      slots[slot].condition = .connecting
      counters.connecting += 1
      actions.append(.connect(id(slot)))
    }
  }

  private var needsConnection: Bool {
    guard !isShutDown, !free.isEmpty else { return false }
    let open = idle.count + counters.busy
    return counters.connecting < waiters.count
      || open + counters.connecting < limits.connectionsMin
  }

  private mutating func extendOutage(_ failure: PostgresError, _ now: MonotonicTime) {
    // Attempts that were under way together count once.
    let isRepeated = outage.map { now >= $0.retryAt } ?? true
    guard isRepeated else { return }
    let attempts = (outage?.attempts ?? 0) + 1
    let doublings = min(attempts - 1, 30)
    let pause = min(limits.backoffMin * (1 << doublings), limits.backoffMax)
    let jittered = pause * (1 + limits.backoffJitter * (2 * random.unit() - 1))
    outage = Outage(failure: failure, attempts: attempts, retryAt: now + jittered)
  }

  // MARK: Time

  private mutating func wake(at time: MonotonicTime, _ actions: inout [Action]) {
    if let tickAt, tickAt <= time { return }
    tickAt = time
    actions.append(.scheduleTick(at: time))
  }

  /// The next time at which something has to be done, looked for from scratch.
  private func earliest() -> MonotonicTime? {
    var times = waiters.map(\.deadline)
    if needsConnection, let outage, counters.connecting == 0 { times.append(outage.retryAt) }
    times += idle.map { slots[$0].expiresAt }
    if idle.count + counters.busy > limits.connectionsMin, let oldest = idle.first {
      times.append(slots[oldest].idleSince + limits.idleMax)
    }
    return times.min()
  }
}

/// A small random number generator with a seed (Steele, Lea, Flood: SplitMix64), for jitter only.
struct SplitMix64: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }

  /// A number from 0 up to 1.
  mutating func unit() -> Double { Double.random(in: 0..<1, using: &self) }
}
