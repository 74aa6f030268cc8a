internal import EventLoop
internal import Testing

@Suite("Executor", .timeLimit(.minutes(15)))
struct ExecutorTests {
  @Test("a task that prefers the loop resumes on its thread after every kind of wait")
  func staysOnLoop() async throws {
    try await withLoopThread { loop in
      try await withLoopThread { other in
        let resident = Resident(on: loop)
        #expect(!loop.isOnLoopThread)
        await Task(executorPreference: loop) { await resident.visitEveryWait(other) }.value
      }
    }
  }

  @Test("a spawned task is on the loop, also after it slept, and slept long enough")
  func spawnAndSleep() async throws {
    try await withLoopThread { loop in
      await withCheckedContinuation { done in
        loop.spawn {
          #expect(loop.isOnLoopThread)
          let start = loop.now
          await loop.sleep(for: .milliseconds(3))
          #expect(loop.isOnLoopThread)
          #expect(loop.now >= start + .milliseconds(3))
          done.resume()
        }
      }
    }
  }

  @Test("a program that does one thing runs it on the calling thread and ends with it")
  func runBlocking() throws {
    let result = try EventLoop.runBlocking { loop in
      await loop.sleep(for: .milliseconds(1))
      return loop.isOnLoopThread ? 7 : 0
    }
    #expect(result == 7)
  }

  @Test("callbacks of the loop are inside the actor")
  func assumeIsolated() async throws {
    try await withLoopThread { loop in
      let resident = Resident(on: loop)
      await Task(executorPreference: loop) { await resident.addFromTimer() }.value
      #expect(await resident.count == 1)
      #expect(loop.isIsolatingCurrentContext() == false)
    }
  }

  @Test("jobs of other threads arrive, all of them")
  func enqueueFromOtherThreads() async throws {
    try await withLoopThread { loop in
      let resident = Resident(on: loop)
      await withTaskGroup(of: Void.self) { group in
        for _ in 0..<8 {
          group.addTask {
            for _ in 0..<500 { await resident.add() }
          }
        }
      }
      #expect(await resident.count == 4_000)
    }
  }

  @Test("no wake-up is lost when two loops take turns in waking each other")
  func pingPong() async throws {
    try await withLoopThread { first in
      try await withLoopThread { second in
        let ping = Resident(on: first)
        let pong = Resident(on: second)
        await Task(executorPreference: first) {
          for _ in 0..<2_000 {
            await ping.add()
            await Task(executorPreference: second) { await pong.add() }.value
          }
        }.value
        #expect(await ping.count == 2_000)
        #expect(await pong.count == 2_000)
      }
    }
  }

  @Test("jobs that enqueue jobs for ever hold up neither timers nor stop")
  func hotJob() async throws {
    try await withLoopThread { loop in
      let resident = Resident(on: loop)
      let hot = Task(executorPreference: loop) {
        while !Task.isCancelled {
          await resident.add()
          await Task.yield()
        }
      }
      await Task(executorPreference: loop) { await resident.pause(.milliseconds(2)) }.value
      hot.cancel()
      await hot.value
      #expect(await resident.count > 1)
    }
  }
}

extension Resident {
  fileprivate func visitEveryWait(_ other: EventLoop) async {
    #expect(loop.isOnLoopThread, "at the start")
    await Task.yield()
    #expect(loop.isOnLoopThread, "after a yield")
    await pause(.milliseconds(1))
    #expect(loop.isOnLoopThread, "after a timer")
    await withCheckedContinuation { continuation in
      Task(executorPreference: other) { continuation.resume() }
    }
    #expect(loop.isOnLoopThread, "after a continuation that another thread resumed")
    await Resident(on: other).add()
    #expect(loop.isOnLoopThread, "after a call to an actor of another loop")
    await Resident(on: loop).add()
    #expect(loop.isOnLoopThread, "after a call to an actor of the same loop")
    await withTaskGroup(of: Bool.self) { group in
      for _ in 0..<4 { group.addTask { [loop] in loop.isOnLoopThread } }
      for await isOnLoopThread in group { #expect(isOnLoopThread, "in a child task") }
    }
    #expect(loop.isOnLoopThread, "after a group")
    let isIsolated = await Task(executorPreference: loop) { [loop] in loop.isOnLoopThread }.value
    #expect(isIsolated, "in a task without an actor")
    #expect(loop.isOnLoopThread, "after awaiting a task")
  }

  fileprivate func addFromTimer() async {
    await withCheckedContinuation { continuation in
      _ = loop.schedule(at: loop.now) {
        self.assumeIsolated { $0.add() }
        continuation.resume()
      }
    }
  }
}
