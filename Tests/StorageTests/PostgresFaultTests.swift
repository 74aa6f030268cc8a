import EventLoop
import Glibc
import Testing

@testable import Storage

@Suite("deadlines, cancels and lost connections", .needsPostgres)
struct PostgresFaultTests {
  private func connected(
    _ body: @escaping @Sendable (PostgresConnection, EventLoop) async throws -> Void
  ) async throws {
    try await onLoop { loop in
      let connection = try await connect(loop)
      defer { connection.close() }
      try await body(connection, loop)
    }
  }

  private func kill(_ backend: Int32, on loop: EventLoop) async throws {
    let killer = try await connect(loop)
    defer { killer.close() }
    _ = try await killer.query(
      "SELECT pg_terminate_backend($1)",
      [.int32(backend)],
      deadline: soon()
    )
  }

  /// Waits until the connection of the given role sleeps in the server.
  private func waitUntilSleeping(_ role: String, on loop: EventLoop) async throws {
    let watcher = try await connect(loop)
    defer { watcher.close() }
    var isSleeping = false
    while !isSleeping {
      await pause(.milliseconds(10), on: loop)
      let result = try await watcher.query(
        "SELECT FROM pg_stat_activity WHERE application_name = $1 AND wait_event = 'PgSleep'",
        [.text("sluice/" + role)],
        deadline: soon()
      )
      isSleeping = result.rowCount == 1
    }
  }

  @Test("a deadline cancels the statement, and the connection goes on")
  func deadline() async throws {
    try await connected { connection, _ in
      for _ in 0..<3 {
        let started = MonotonicTime.now()
        let error = await thrown { () async throws(PostgresError) in
          _ = try await connection.query(
            "SELECT pg_sleep(10)",
            deadline: soon(.milliseconds(50))
          )
        }
        #expect(error == .timedOut(outcomeUnknown: false))
        #expect(MonotonicTime.now() - started < .seconds(1))
        let result = try await connection.query("SELECT 1", deadline: soon())
        #expect(result.rowCount == 1, "the cancel did not hit the next statement")
      }
    }
  }

  @Test("a deadline cancels a pipeline at the statement it had reached")
  func pipelineDeadline() async throws {
    try await connected { connection, _ in
      let results = try await connection.pipeline(
        [
          PostgresStatement("SELECT 1"), PostgresStatement("SELECT pg_sleep(10)"),
          PostgresStatement("SELECT 2"),
        ],
        deadline: soon(.milliseconds(50))
      )
      let failures = results.map { result -> PostgresError? in
        guard case .failure(let error) = result else { return nil }
        return error
      }
      #expect(failures == [nil, .timedOut(outcomeUnknown: false), .pipelineAborted])
      _ = try await connection.query("SELECT 1", deadline: soon())
    }
  }

  @Test("a deadline behind a COMMIT says that the outcome is unknown")
  func deadlineAfterCommit() async throws {
    try await connected { connection, _ in
      let error = await thrown { () async throws(PostgresError) in
        _ = try await connection.script(
          "BEGIN; SELECT 1; COMMIT; SELECT pg_sleep(10)",
          deadline: soon(.milliseconds(50))
        )
      }
      #expect(error == .timedOut(outcomeUnknown: true))
    }
  }

  @Test("a deadline that has passed sends nothing")
  func passed() async throws {
    try await connected { connection, loop in
      let error = await thrown { () async throws(PostgresError) in
        _ = try await connection.query("SELECT 1", deadline: loop.now)
      }
      #expect(error == .timedOut(outcomeUnknown: false))
      #expect(connection.isUsable)
    }
  }

  @Test("cancelling the task cancels its statement")
  func taskCancelled() async throws {
    try await onLoop { loop in
      let task = Task(executorPreference: loop) {
        let connection = try await connect(loop, role: .pooled("cancelled-here"))
        defer { connection.close() }
        let error = await thrown { () async throws(PostgresError) in
          _ = try await connection.query("SELECT pg_sleep(10)", deadline: soon())
        }
        return (error, connection.isUsable)
      }
      try await self.waitUntilSleeping("cancelled-here", on: loop)
      task.cancel()
      let (cancelled, isUsable) = try await task.value
      #expect(cancelled == .cancelled(outcomeUnknown: false) && isUsable)
    }
  }

  @Test("cancelling from another thread does the same")
  func cancelledElsewhere() async throws {
    let loop = try EventLoop()
    let thread = try LoopThread(running: loop, name: "test-loop")
    let task = Task(executorPreference: loop) {
      let connection = try await connect(loop, role: .pooled("cancelled-elsewhere"))
      defer { connection.close() }
      return await thrown { () async throws(PostgresError) in
        _ = try await connection.query("SELECT pg_sleep(10)", deadline: soon())
      }
    }
    // Another loop is another thread, and unlike the global pool not busy with other tests.
    try await onLoop { other in
      try await self.waitUntilSleeping("cancelled-elsewhere", on: other)
      task.cancel()
    }
    let error = try await task.value
    #expect(error == .cancelled(outcomeUnknown: false))
    loop.stop()
    thread.join()
  }

  @Test("a cancel by the caller ends the running operation, and only that")
  func callerCancels() async throws {
    try await connected { connection, loop in
      connection.cancel()
      let timer = loop.schedule(at: soon(.milliseconds(50))) { connection.cancel() }
      let error = await thrown { () async throws(PostgresError) in
        _ = try await connection.query("SELECT pg_sleep(10)", deadline: soon())
      }
      loop.cancel(timer)
      #expect(error == .cancelled(outcomeUnknown: false))
      _ = try await connection.query("SELECT 1", deadline: soon())
    }
  }

  @Test("a cancel that goes nowhere closes the connection after the grace")
  func cancelLost() async throws {
    try await connected { connection, _ in
      // The backend ignores cancels here as one behind a proxy that swallows them would.
      let started = MonotonicTime.now()
      let error = await thrown { () async throws(PostgresError) in
        _ = try await connection.script(
          """
          DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN NULL; \
          END; END LOOP; END $$
          """,
          // Long enough for it to be inside of the loop, also beside much else.
          deadline: soon(.milliseconds(500))
        )
      }
      #expect(error == .timedOut(outcomeUnknown: true))
      #expect(!connection.isUsable)
      let took = MonotonicTime.now() - started
      // Its statement would take a minute.
      #expect(took > PostgresChannel.grace && took < .seconds(50))
    }
    // It would loop for ever: nobody reads its answer.
    try await onLoop { loop in
      let killer = try await connect(loop)
      defer { killer.close() }
      _ = try await killer.query(
        """
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE query LIKE 'DO $$ BEGIN LOOP%' AND pid <> pg_backend_pid()
        """,
        deadline: soon()
      )
    }
  }

  @Test("a backend killed in a statement leaves its outcome unknown")
  func killed() async throws {
    try await connected { connection, loop in
      let backend = connection.backendID
      let killer = Task(executorPreference: loop) {
        await pause(.milliseconds(50), on: loop)
        try await self.kill(backend, on: loop)
      }
      let error = await thrown { () async throws(PostgresError) in
        _ = try await connection.query("SELECT pg_sleep(10)", deadline: soon())
      }
      try await killer.value
      #expect(error == .disconnected(outcomeUnknown: true, sqlstate: "57P01"))
      #expect(!connection.isUsable)
      let next = await thrown { () async throws(PostgresError) in
        _ = try await connection.query("SELECT 1", deadline: soon())
      }
      #expect(next == .closed)
    }
  }

  @Test("a backend killed while it waits for COPY data cannot have committed")
  func killedInCopy() async throws {
    try await connected { connection, loop in
      _ = try await connection.script("CREATE TEMP TABLE t (a text)", deadline: soon())
      let backend = connection.backendID
      let row = Array("some text\n".utf8)
      let error = await thrown { () async throws(PostgresError) in
        _ = try await connection.copyIn("BEGIN; COPY t FROM STDIN; COMMIT", deadline: soon()) {
          (copy) async throws(PostgresError) in
          try await copy.put(row, row.indices)
          let killer = Task(executorPreference: loop) { try await self.kill(backend, on: loop) }
          _ = await killer.result
          for _ in 0..<200 {
            await pause(.milliseconds(5), on: loop)
            try await copy.put(row, row.indices)
          }
        }
      }
      guard case .disconnected(false, _) = error else {
        Issue.record("\(String(describing: error))")
        return
      }
      #expect(!connection.isUsable)
    }
  }

  @Test("a backend killed after the COPY data has ended may have committed")
  func killedAfterCopy() async throws {
    try await connected { connection, loop in
      _ = try await connection.script("CREATE TEMP TABLE t (a text)", deadline: soon())
      let backend = connection.backendID
      let killer = Task(executorPreference: loop) {
        await pause(.milliseconds(100), on: loop)
        try await self.kill(backend, on: loop)
      }
      let error = await thrown { () async throws(PostgresError) in
        _ = try await connection.copyIn(
          "BEGIN; COPY t FROM STDIN; SELECT pg_sleep(10); COMMIT",
          deadline: soon()
        ) { _ in }
      }
      try await killer.value
      #expect(error == .disconnected(outcomeUnknown: true, sqlstate: "57P01"))
    }
  }

  @Test("a cancel that comes as its statement ends does not hit the next one")
  func lateCancel() async throws {
    try await connected { connection, loop in
      for round in 0..<100 {
        let timer = loop.schedule(at: soon(.microseconds(2_000 + 20 * round))) {
          connection.cancel()
        }
        let first = await thrown { () async throws(PostgresError) in
          _ = try await connection.query("SELECT pg_sleep(0.002)", deadline: soon())
        }
        loop.cancel(timer)
        #expect(first == nil || first == .cancelled(outcomeUnknown: false))
        _ = try await connection.query("SELECT pg_sleep(0.005)", deadline: soon())
      }
    }
  }

  @Test("a cancel that comes before the server has begun is repeated")
  func earlyCancel() async throws {
    try await connected { connection, loop in
      // Stopped, the backend takes the cancel's signal before it reads the statement, and ignores
      // it.
      let backend = connection.backendID
      guard Glibc.kill(backend, SIGSTOP) == 0 else { return }
      let cancel = loop.schedule(at: .now()) { connection.cancel() }
      let goOn = loop.schedule(at: soon(.milliseconds(100))) { _ = Glibc.kill(backend, SIGCONT) }
      let error = await thrown { () async throws(PostgresError) in
        _ = try await connection.query("SELECT pg_sleep(10)", deadline: soon())
      }
      loop.cancel(cancel)
      loop.cancel(goOn)
      #expect(error == .cancelled(outcomeUnknown: false))
      #expect(connection.isUsable)
    }
  }

  @Test("a connection killed while idle says so by itself")
  func killedIdle() async throws {
    try await connected { connection, loop in
      var isTold = false
      connection.onBroken = { isTold = true }
      try await self.kill(connection.backendID, on: loop)
      try await turn(loop, until: "it is told") { isTold }
      #expect(isTold && !connection.isUsable)
      #expect(connection.notices.last?.sqlstate == "57P01")
    }
  }

  @Test("closing ends a running operation with an error")
  func closed() async throws {
    try await connected { connection, loop in
      let timer = loop.schedule(at: soon(.milliseconds(50))) { connection.close() }
      let error = await thrown { () async throws(PostgresError) in
        _ = try await connection.query("SELECT pg_sleep(10)", deadline: soon())
      }
      loop.cancel(timer)
      #expect(error == .closed)
      connection.close()
    }
  }
}
