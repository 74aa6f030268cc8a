import EventLoop
import Testing

@testable import Storage

/// Plays callers, server and clock at random and checks the pool's promises after every step.
private struct PoolWalk {
  typealias ID = PoolState.ConnectionID

  var pool: PoolState
  let limits: PoolLimits
  var random: SplitMix64
  var now = MonotonicTime(nanoseconds: 1_000_000_000)
  var tickAt: MonotonicTime?
  var connecting: Set<ID> = []
  var open: Set<ID> = []
  var lent: Set<ID> = []
  var waiting: [UInt64: MonotonicTime] = [:]
  var answered: Set<UInt64> = []
  var lastWaiter: UInt64 = 0
  var isShutDown = false

  init(seed: UInt64) {
    random = SplitMix64(seed: seed)
    var limits = PoolLimits()
    limits.connectionsMax = Int.random(in: 1...5, using: &random)
    limits.connectionsMin = Int.random(in: 0...limits.connectionsMax, using: &random)
    limits.waitersMax = Int.random(in: 0...8, using: &random)
    limits.idleMax = .milliseconds(50)
    limits.ageMax = .milliseconds(200)
    limits.backoffMin = .milliseconds(5)
    limits.backoffMax = .milliseconds(40)
    limits.refusesDuringOutage = Bool.random(using: &random)
    self.limits = limits
    pool = PoolState(limits: limits, seed: seed)
  }

  mutating func run(steps: Int) {
    take(pool.start(now: now))
    for _ in 0..<steps {
      step()
      check()
    }
    finish()
  }

  private mutating func step() {
    switch Int.random(in: 0..<10, using: &random) {
    case 0...2: acquire()
    case 3: if let id = connecting.randomElement(using: &random) { connected(id) }
    case 4: if let id = connecting.randomElement(using: &random) { connectFailed(id) }
    case 5, 6: if let id = lent.randomElement(using: &random) { release(id) }
    case 7: if let id = open.subtracting(lent).randomElement(using: &random) { breakIdle(id) }
    case 8: if let waiter = waiting.keys.randomElement(using: &random) { leave(waiter) }
    default: pass(.milliseconds(Int64.random(in: 0...30, using: &random)))
    }
  }

  private mutating func acquire() {
    if Bool.random(using: &random), let id = pool.takeIdle() {
      #expect(waiting.isEmpty, "nobody may be overtaken")
      #expect(open.contains(id) && lent.insert(id).inserted)
      return
    }
    lastWaiter += 1
    let deadline = now + .milliseconds(Int64.random(in: 0...60, using: &random))
    waiting[lastWaiter] = deadline
    take(pool.acquire(lastWaiter, deadline: deadline, now: now))
  }

  private mutating func connected(_ id: ID) {
    connecting.remove(id)
    open.insert(id)
    take(pool.connected(id, now: now))
  }

  private mutating func connectFailed(_ id: ID) {
    connecting.remove(id)
    let failure = PostgresConnectFailure(kind: .unreachable, sqlstate: nil, message: "")
    take(pool.connectFailed(id, .connectFailed(failure), now: now))
  }

  private mutating func release(_ id: ID) {
    lent.remove(id)
    take(pool.released(id, isHealthy: Int.random(in: 0..<4, using: &random) > 0, now: now))
  }

  private mutating func breakIdle(_ id: ID) {
    take(pool.broken(id, now: now))
    #expect(!open.contains(id), "a connection that died must be closed")
  }

  private mutating func leave(_ waiter: UInt64) {
    waiting[waiter] = nil
    answered.insert(waiter)
    pool.cancel(waiter)
  }

  private mutating func pass(_ duration: Duration) {
    let end = now + duration
    while let next = tickAt, next <= end {
      now = max(now, next)
      tickAt = nil
      take(pool.tick(now: now))
    }
    now = end
  }

  private mutating func take(_ actions: [PoolState.Action]) {
    for action in actions {
      switch action {
      case .connect(let id): #expect(connecting.insert(id).inserted && !open.contains(id))
      case .close(let id):
        #expect(!lent.contains(id), "a lent connection is not closed under its user")
        #expect(open.remove(id) != nil || connecting.remove(id) != nil)
      case .give(let waiter, let id):
        answer(waiter)
        #expect(open.contains(id) && lent.insert(id).inserted)
      case .fail(let waiter, _): answer(waiter)
      case .scheduleTick(let time): tickAt = time
      }
    }
  }

  private mutating func answer(_ waiter: UInt64) {
    #expect(waiting.removeValue(forKey: waiter) != nil, "only who waits is answered")
    #expect(answered.insert(waiter).inserted, "and only once")
  }

  private func check() {
    let statistics = pool.statistics
    #expect(open.count + connecting.count <= limits.connectionsMax)
    #expect(statistics.waiting == waiting.count && waiting.count <= limits.waitersMax)
    #expect(statistics.busy == lent.count)
    #expect(statistics.idle == open.count - lent.count)
    #expect(statistics.connecting == connecting.count)
    #expect(statistics.created - statistics.closed == UInt64(open.count))
    #expect(waiting.isEmpty || statistics.idle == 0, "nobody waits beside an idle connection")
    for (_, deadline) in waiting { #expect(deadline >= now) }
    for (_, deadline) in waiting { #expect(tickAt.map { $0 <= deadline } == true) }
  }

  /// Everything comes to an end: waiters by their deadlines, connections by shutdown and release.
  private mutating func finish() {
    pass(.milliseconds(100))
    #expect(waiting.isEmpty)
    take(pool.shutDown())
    while let id = lent.first { release(id) }
    #expect(pool.isDrained && open.isEmpty && connecting.isEmpty && waiting.isEmpty)
    #expect(answered.count == Int(lastWaiter))
  }
}

@Suite("a pool under random events")
struct PoolRandomTests {
  @Test("limits hold and each caller is answered exactly once", arguments: 0..<200)
  func walk(seed: Int) {
    var walk = PoolWalk(seed: UInt64(seed))
    walk.run(steps: 400)
  }
}
