import EventLoop
import Testing

@testable import Storage

@Suite("what a pool decides")
struct PoolStateTests {
  private typealias Action = PoolState.Action

  /// A time on the mock clock.
  private func at(_ milliseconds: UInt64) -> MonotonicTime {
    MonotonicTime(nanoseconds: 1_000_000 * (1_000 + milliseconds))
  }

  private func pool(_ change: (inout PoolLimits) -> Void = { _ in }) -> PoolState {
    var limits = PoolLimits()
    limits.connectionsMax = 2
    limits.waitersMax = 2
    limits.ageJitter = 0
    limits.backoffJitter = 0
    change(&limits)
    return PoolState(limits: limits, seed: 1)
  }

  private func id(_ slot: Int, _ generation: UInt32 = 0) -> PoolState.ConnectionID {
    PoolState.ConnectionID(slot: slot, generation: generation)
  }

  private let down = PostgresError.connectFailed(
    .init(kind: .unreachable, sqlstate: nil, message: "")
  )

  @Test("the first caller opens a connection and gets it")
  func first() {
    var pool = pool()
    #expect(
      pool.acquire(1, deadline: at(500), now: at(0)) == [
        .connect(id(0)), .scheduleTick(at: at(500)),
      ]
    )
    #expect(pool.connected(id(0), now: at(1)) == [.give(1, id(0))])
    #expect(pool.statistics.busy == 1 && pool.statistics.open == 1)
  }

  @Test("a released connection goes to whoever waited longest")
  func order() {
    var pool = pool { $0.connectionsMax = 1 }
    _ = pool.acquire(1, deadline: at(500), now: at(0))
    _ = pool.connected(id(0), now: at(0))
    _ = pool.acquire(2, deadline: at(500), now: at(1))
    _ = pool.acquire(3, deadline: at(500), now: at(2))
    #expect(pool.released(id(0), isHealthy: true, now: at(3)) == [.give(2, id(0))])
    #expect(pool.released(id(0), isHealthy: true, now: at(4)) == [.give(3, id(0))])
  }

  @Test("the connection used last is lent first, the others grow old")
  func lastInFirstOut() {
    var pool = pool()
    for waiter in 1...2 { _ = pool.acquire(UInt64(waiter), deadline: at(500), now: at(0)) }
    _ = pool.connected(id(0), now: at(0))
    _ = pool.connected(id(1), now: at(0))
    _ = pool.released(id(0), isHealthy: true, now: at(1))
    _ = pool.released(id(1), isHealthy: true, now: at(2))
    #expect(pool.takeIdle() == id(1))
    #expect(pool.takeIdle() == id(0))
    #expect(pool.takeIdle() == nil)
  }

  @Test("one caller too many is refused")
  func full() {
    var pool = pool { $0.connectionsMax = 1 }
    for waiter in 1...2 { _ = pool.acquire(UInt64(waiter), deadline: at(500), now: at(0)) }
    #expect(pool.acquire(3, deadline: at(500), now: at(0)) == [.fail(3, .poolFull)])
    #expect(pool.statistics.refused == 1 && pool.statistics.waiting == 2)
  }

  @Test("a waiter's deadline ends its wait and nobody else's")
  func deadline() {
    var pool = pool { $0.connectionsMax = 1 }
    _ = pool.acquire(1, deadline: at(900), now: at(0))
    #expect(pool.acquire(2, deadline: at(100), now: at(0)) == [.scheduleTick(at: at(100))])
    #expect(
      pool.tick(now: at(100)) == [.fail(2, .waitTimedOut), .scheduleTick(at: at(900))]
    )
    #expect(pool.connected(id(0), now: at(101)) == [.give(1, id(0))])
    #expect(pool.statistics.waitTimeouts == 1)
  }

  @Test("a deadline that has passed is not waited for")
  func lateDeadline() {
    var pool = pool()
    #expect(pool.acquire(1, deadline: at(0), now: at(0)) == [.fail(1, .waitTimedOut)])
  }

  @Test("a waiter that left gets nothing")
  func cancelled() {
    var pool = pool { $0.connectionsMax = 1 }
    _ = pool.acquire(1, deadline: at(500), now: at(0))
    pool.cancel(1)
    pool.cancel(1)
    let actions = pool.connected(id(0), now: at(1))
    #expect(!actions.contains { if case .give = $0 { true } else { false } })
    #expect(pool.statistics.idle == 1)
  }

  @Test("a failed connect refuses waiters, then newcomers until the pause is over")
  func outage() {
    var pool = pool()
    _ = pool.acquire(1, deadline: at(900), now: at(0))
    #expect(pool.connectFailed(id(0), down, now: at(10)) == [.fail(1, down)])
    #expect(pool.acquire(2, deadline: at(900), now: at(109)) == [.fail(2, down)])
    #expect(pool.acquire(3, deadline: at(900), now: at(110)).contains(.connect(id(0, 1))))
    // Twice the pause after the second failure in a row.
    #expect(pool.connectFailed(id(0, 1), down, now: at(120)) == [.fail(3, down)])
    #expect(pool.acquire(4, deadline: at(900), now: at(319)) == [.fail(4, down)])
    #expect(pool.acquire(5, deadline: at(900), now: at(320)).contains(.connect(id(0, 2))))
  }

  @Test("callers can wait through an outage, which is probed one connection at a time")
  func patience() {
    var pool = pool { $0.refusesDuringOutage = false }
    _ = pool.acquire(1, deadline: at(900), now: at(0))
    _ = pool.acquire(2, deadline: at(900), now: at(0))
    #expect(pool.connectFailed(id(0), down, now: at(0)) == [])
    #expect(pool.connectFailed(id(1), down, now: at(0)) == [.scheduleTick(at: at(100))])
    #expect(pool.tick(now: at(100)) == [.connect(id(1, 1)), .scheduleTick(at: at(900))])
    let actions = pool.connected(id(1, 1), now: at(110))
    #expect(actions == [.give(1, id(1, 1)), .connect(id(0, 1))])
  }

  @Test("a waiter that waited through an outage is told about it")
  func patienceEnds() {
    var pool = pool { $0.refusesDuringOutage = false }
    _ = pool.acquire(1, deadline: at(50), now: at(0))
    _ = pool.connectFailed(id(0), down, now: at(0))
    #expect(pool.tick(now: at(50)).first == .fail(1, down))
  }

  @Test("a broken connection is closed and its slot used again")
  func broken() {
    var pool = pool { $0.connectionsMax = 1 }
    _ = pool.acquire(1, deadline: at(500), now: at(0))
    _ = pool.connected(id(0), now: at(0))
    _ = pool.acquire(2, deadline: at(500), now: at(0))
    #expect(
      pool.released(id(0), isHealthy: false, now: at(1)) == [.close(id(0)), .connect(id(0, 1))]
    )
    #expect(pool.broken(id(0), now: at(2)) == [], "an old name means nothing")
  }

  @Test("a connection that dies while idle is replaced up to the minimum")
  func brokenIdle() {
    var pool = pool { $0.connectionsMin = 1 }
    #expect(pool.start(now: at(0)) == [.connect(id(0))])
    _ = pool.connected(id(0), now: at(0))
    #expect(pool.broken(id(0), now: at(1)) == [.close(id(0)), .connect(id(0, 1))])
  }

  @Test("idle connections above the minimum are closed, the oldest first")
  func idleLimit() {
    var pool = pool {
      $0.connectionsMin = 1
      $0.idleMax = .seconds(1)
    }
    _ = pool.start(now: at(0))
    _ = pool.connected(id(0), now: at(0))
    _ = pool.takeIdle()
    _ = pool.acquire(1, deadline: at(500), now: at(0))
    _ = pool.connected(id(1), now: at(0))
    _ = pool.released(id(1), isHealthy: true, now: at(10))
    _ = pool.released(id(0), isHealthy: true, now: at(20))
    #expect(pool.tick(now: at(1_009)) == [.scheduleTick(at: at(1_010))])
    #expect(pool.tick(now: at(1_010)).first == .close(id(1)))
    #expect(pool.tick(now: at(9_000)).contains(.close(id(0))) == false)
  }

  @Test("a connection over its age is closed when it comes back or lies idle")
  func age() {
    var pool = pool { $0.ageMax = .seconds(1) }
    _ = pool.acquire(1, deadline: at(5_000), now: at(0))
    _ = pool.connected(id(0), now: at(0))
    #expect(pool.released(id(0), isHealthy: true, now: at(1_000)) == [.close(id(0))])
    _ = pool.acquire(2, deadline: at(9_000), now: at(2_000))
    _ = pool.connected(id(0, 1), now: at(2_000))
    _ = pool.released(id(0, 1), isHealthy: true, now: at(2_500))
    #expect(pool.tick(now: at(3_000)).first == .close(id(0, 1)))
  }

  @Test("ages differ by the jitter and never exceed the limit")
  func ageJitter() {
    var ends: Set<UInt64> = []
    for seed in 0..<20 {
      var limits = PoolLimits()
      limits.ageMax = .seconds(100)
      limits.ageJitter = 0.2
      limits.idleMax = .seconds(1_000)
      var pool = PoolState(limits: limits, seed: UInt64(seed))
      _ = pool.acquire(1, deadline: at(500), now: at(0))
      _ = pool.connected(id(0), now: at(0))
      let actions = pool.released(id(0), isHealthy: true, now: at(400))
      _ = pool.tick(now: at(500))
      for case .scheduleTick(let time) in actions + pool.tick(now: at(501)) where time > at(600) {
        #expect(time > at(79_999) && time <= at(100_000))
        ends.insert(time.nanoseconds)
      }
    }
    #expect(ends.count > 10)
  }

  @Test("shutdown refuses waiters, ends what is idle or connecting, and waits for the rest")
  func shutDown() {
    var pool = pool { $0.connectionsMax = 3 }
    for waiter in 1...2 { _ = pool.acquire(UInt64(waiter), deadline: at(500), now: at(0)) }
    _ = pool.connected(id(0), now: at(0))
    _ = pool.connected(id(1), now: at(0))
    _ = pool.released(id(1), isHealthy: true, now: at(0))
    _ = pool.takeIdle()
    _ = pool.acquire(3, deadline: at(500), now: at(0))
    _ = pool.released(id(1), isHealthy: true, now: at(0))
    // Lent: 0 and 1 (to waiter 3); connecting: 2.
    #expect(pool.shutDown().contains(.close(id(2))))
    #expect(!pool.isDrained)
    #expect(pool.acquire(4, deadline: at(500), now: at(1)) == [.fail(4, .closed)])
    #expect(pool.released(id(0), isHealthy: true, now: at(2)) == [.close(id(0))])
    #expect(pool.released(id(1), isHealthy: true, now: at(2)) == [.close(id(1))])
    #expect(pool.isDrained)
  }
}
