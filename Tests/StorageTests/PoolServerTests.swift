import EventLoop
import Testing

@testable import Storage

@Suite("a pool against a server", .needsPostgres)
struct PoolServerTests {
  private func pooled(
    _ change: (inout PoolLimits) -> Void = { _ in },
    _ body: @escaping @Sendable (PostgresPool, EventLoop) async throws -> Void
  ) async throws {
    var limits = PoolLimits()
    change(&limits)
    try await onLoop { [limits] loop in
      let dsn = try PostgresTestServer.dsn
      let pool = PostgresPool(dsn, role: .pooled("pool"), limits: limits, on: loop, seed: 1)
      do {
        try await body(pool, loop)
      } catch {
        await pool.shutdown(deadline: soon(.seconds(5)))
        throw error
      }
      await pool.shutdown(deadline: soon(.seconds(5)))
      #expect(pool.statistics.open == 0)
    }
  }

  private func one(_ pool: PostgresPool) async throws -> Int64? {
    try await pool.withConnection(deadline: soon()) { (connection) async throws(PostgresError) in
      try await connection.query("SELECT 1::int8", deadline: soon()).int64(row: 0, column: 0)
    }
  }

  @Test("a connection is made once and lent again")
  func again() async throws {
    try await pooled { pool, _ in
      for _ in 0..<10 {
        let one = try await self.one(pool)
        #expect(one == 1)
      }
      #expect(pool.statistics.created == 1 && pool.statistics.idle == 1)
    }
  }

  @Test("the minimum is opened in advance")
  func minimum() async throws {
    try await pooled({ $0.connectionsMin = 2 }) { pool, loop in
      pool.start()
      try await turn(loop, until: "both are idle") { pool.statistics.idle == 2 }
      #expect(pool.statistics.idle == 2)
    }
  }

  @Test("many tasks share a few connections, each is served")
  func crowd() async throws {
    let limits = { (limits: inout PoolLimits) in limits.connectionsMax = 3 }
    var bounds = PoolLimits()
    limits(&bounds)
    try await onLoop { [bounds] loop in
      let crowd = try PoolCrowd(loop, bounds)
      let sum = try await crowd.run(tasks: 300)
      #expect(sum == 300)
      let statistics = await crowd.statistics
      #expect(statistics.created <= 3 && statistics.busy == 0 && statistics.waiting == 0)
      await crowd.end()
    }
  }

  @Test("one waiter too many is refused, one whose deadline passes is told, the rest is served")
  func waiters() async throws {
    let limits = { (limits: inout PoolLimits) in
      limits.connectionsMax = 1
      limits.waitersMax = 2
    }
    try await pooled(limits) { pool, loop in
      let lent = try await pool.acquire(deadline: soon())
      let late = await thrown { () async throws(PostgresError) in
        _ = try await pool.acquire(deadline: soon(.milliseconds(50)))
      }
      #expect(late == .waitTimedOut)
      #expect(pool.statistics.waitTimeouts == 1 && pool.statistics.waiting == 0)
      pool.release(lent)
      let one = try await self.one(pool)
      #expect(one == 1)
    }
  }

  @Test("a connection that died while lent is replaced")
  func diedLent() async throws {
    try await pooled { pool, _ in
      let error = await thrown { () async throws(PostgresError) in
        try await pool.withConnection(deadline: soon()) {
          (connection) async throws(PostgresError) in
          _ = try await connection.query(
            "SELECT pg_terminate_backend(pg_backend_pid())",
            deadline: soon()
          )
        }
      }
      #expect(error == .disconnected(outcomeUnknown: true, sqlstate: "57P01"))
      let one = try await self.one(pool)
      #expect(one == 1)
      #expect(pool.statistics.created == 2 && pool.statistics.closed == 1)
    }
  }

  @Test("a connection that dies while idle is not lent any more")
  func diedIdle() async throws {
    try await pooled { pool, loop in
      let backend = try await pool.withConnection(deadline: soon()) {
        (connection) async throws(PostgresError) in connection.backendID
      }
      let killer = try await connect(loop)
      _ = try await killer.query(
        "SELECT pg_terminate_backend($1)",
        [.int32(backend)],
        deadline: soon()
      )
      killer.close()
      try await turn(loop, until: "it is noticed") { pool.statistics.open == 0 }
      #expect(pool.statistics.open == 0 && pool.statistics.closed == 1)
      let one = try await self.one(pool)
      #expect(one == 1)
    }
  }

  @Test("a transaction left open is rolled back before the next caller")
  func leftOpen() async throws {
    try await pooled({ $0.connectionsMax = 1 }) { pool, _ in
      try await pool.withConnection(deadline: soon()) { (connection) async throws(PostgresError) in
        _ = try await connection.script("BEGIN; SELECT 1", deadline: soon())
      }
      let isIdle = try await pool.withConnection(deadline: soon()) {
        (connection) async throws(PostgresError) in connection.isIdle
      }
      #expect(isIdle && pool.statistics.created == 1)
    }
  }

  @Test("an outage is told at once and over when the server is back")
  func outage() async throws {
    try await onLoop { loop in
      let dsn = try PostgresTestServer.dsn.setting("port", to: "1")
      var limits = PoolLimits()
      limits.backoffMin = .milliseconds(20)
      let pool = PostgresPool(dsn, role: .pooled("pool"), limits: limits, on: loop, seed: 1)
      for _ in 0..<3 {
        let error = await thrown { () async throws(PostgresError) in
          _ = try await pool.acquire(deadline: soon())
        }
        guard case .connectFailed(let failure) = error else {
          Issue.record("\(String(describing: error))")
          return
        }
        #expect(failure.kind == .unreachable)
      }
      #expect(pool.statistics.connectFailures == 1, "the pause spares the network")
      await pool.shutdown(deadline: soon())
    }
  }

  @Test("a cancelled waiter leaves the queue at once", arguments: [false, true])
  func cancelledWaiter(releasesFirst: Bool) async throws {
    try await onLoop { loop in
      var limits = PoolLimits()
      limits.connectionsMax = 1
      let crowd = try PoolCrowd(loop, limits)
      let error = try await crowd.cancelWaiter(releasesFirst: releasesFirst)
      #expect(error == .cancelled(outcomeUnknown: false))
      let statistics = await crowd.statistics
      #expect(statistics.waiting == 0 && statistics.busy == 0 && statistics.idle == 1)
      await crowd.end()
    }
  }

  @Test("a task that was cancelled before does not wait")
  func cancelledBefore() async throws {
    try await onLoop { loop in
      var limits = PoolLimits()
      limits.connectionsMax = 1
      let crowd = try PoolCrowd(loop, limits)
      #expect(try await crowd.waitCancelled() == .cancelled(outcomeUnknown: false))
      await crowd.end()
    }
  }

  @Test("shutdown waits for lent connections, and closes them at its deadline")
  func shutdown() async throws {
    try await onLoop { loop in
      let pool = PostgresPool(try PostgresTestServer.dsn, role: .pooled("pool"), on: loop)
      let lent = try await pool.acquire(deadline: soon())
      let started = MonotonicTime.now()
      await pool.shutdown(deadline: soon(.milliseconds(50)))
      #expect(MonotonicTime.now() - started >= .milliseconds(50))
      #expect(!lent.isUsable)
      pool.release(lent)
      #expect(pool.statistics.open == 0)
      let refused = await thrown { () async throws(PostgresError) in
        _ = try await pool.acquire(deadline: soon())
      }
      #expect(refused == .closed)
    }
  }
}

/// Several tasks on one loop around one pool, as a worker has them.
private actor PoolCrowd {
  nonisolated let loop: EventLoop
  private let pool: PostgresPool

  init(_ loop: EventLoop, _ limits: PoolLimits) throws {
    self.loop = loop
    pool = PostgresPool(
      try PostgresTestServer.dsn,
      role: .pooled("pool"),
      limits: limits,
      on: loop,
      seed: 1
    )
  }

  nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }

  var statistics: PoolStatistics { pool.statistics }

  func end() async { await pool.shutdown(deadline: soon(.seconds(5))) }

  func run(tasks count: Int) async throws -> Int64 {
    let tasks = (0..<count).map { index in
      Task(executorPreference: loop) { try await self.ask(index) }
    }
    var sum: Int64 = 0
    for task in tasks { sum += try await task.value }
    return sum
  }

  func cancelWaiter(releasesFirst: Bool) async throws -> PostgresError? {
    let lent = try await pool.acquire(deadline: soon())
    let waiter = Task(executorPreference: loop) { await self.waitForOne() }
    while pool.statistics.waiting == 0 { await pause(.milliseconds(1), on: loop) }
    waiter.cancel()
    // Given to the waiter that has not run yet, the connection must come back by itself.
    if releasesFirst { pool.release(lent) }
    let error = await waiter.value
    #expect(pool.statistics.waiting == 0)
    if !releasesFirst { pool.release(lent) }
    return error
  }

  func waitCancelled() async throws -> PostgresError? {
    let lent = try await pool.acquire(deadline: soon())
    let waiter = Task(executorPreference: loop) {
      unsafe withUnsafeCurrentTask { task in unsafe task?.cancel() }
      return await self.waitForOne()
    }
    let error = await waiter.value
    pool.release(lent)
    return error
  }

  private func waitForOne() async -> PostgresError? {
    await thrown { () async throws(PostgresError) in
      pool.release(try await pool.acquire(deadline: soon()))
    }
  }

  private func ask(_ index: Int) async throws -> Int64 {
    try await pool.withConnection(deadline: soon()) { (connection) async throws(PostgresError) in
      let result = try await connection.query(
        "SELECT $1::int8, pg_sleep(0.001)",
        [.int64(Int64(index))],
        deadline: soon()
      )
      return try result.int64(row: 0, column: 0) == Int64(index) ? 1 : 0
    }
  }
}
