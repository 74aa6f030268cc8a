internal import EventLoop
internal import Synchronization
internal import Testing

@Suite("LoopThread", .timeLimit(.minutes(15)))
struct LoopThreadTests {
  @Test("starts, stops and is joined a hundred times, and the loop is gone afterwards")
  func startStopJoin() throws {
    for round in 0..<100 {
      weak var gone: EventLoop?
      do {
        let loop = try EventLoop()
        gone = loop
        _ = loop.schedule(at: loop.now + .seconds(round)) {}
        let thread = try LoopThread(running: loop, name: "round \(round)")
        loop.stop()
        thread.join()
        #expect(!loop.isOnLoopThread)
      }
      #expect(gone == nil)
    }
  }

  @Test("stopped before it runs, it runs one turn")
  func stopBeforeRun() throws {
    let loop = try EventLoop()
    var isFlushed = false
    loop.flushBeforeSleep(Flusher { isFlushed = true })
    loop.stop()
    runBounded(loop)
    #expect(isFlushed)
  }

  @Test("a job enqueued before the stop still runs", arguments: 0..<50)
  func jobBeforeStop(round: Int) async throws {
    let loop = try EventLoop()
    let tally = Tally()
    let resident = Resident(on: loop)
    let thread = try LoopThread(running: loop, name: "job before stop")
    let parked = await withCheckedContinuation { isParked in
      Task(executorPreference: loop) { await resident.park(isParked, thenAddTo: tally) }
    }
    parked.resume()
    loop.stop()
    thread.join()
    #expect(tally.sum == 1)
  }

  @Test("what a turn has gathered is flushed although the turn stops the loop")
  func stopFlushes() throws {
    let loop = try EventLoop()
    let tally = Tally()
    let thread = try LoopThread(running: loop, name: "stop flushes")
    Task(executorPreference: loop) {
      loop.flushBeforeSleep(Flusher { tally.add(1) })
      loop.stop()
    }
    thread.join()
    #expect(tally.sum == 1)
  }

  @Test("stopping twice, and from many threads, is stopping")
  func stopTwice() async throws {
    let loop = try EventLoop()
    let thread = try LoopThread(running: loop, name: "stop twice")
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<8 { group.addTask { loop.stop() } }
    }
    thread.join()
  }

  @Test("a loop cannot run twice at once")
  func runsOnce() async {
    await #expect(processExitsWith: .failure) {
      let loop = try EventLoop()
      _ = loop.schedule(at: loop.now) { loop.run() }
      loop.run()
    }
  }
}

extension Resident {
  /// Suspends and hands out what resumes it.
  fileprivate func park(
    _ isParked: CheckedContinuation<CheckedContinuation<Void, Never>, Never>,
    thenAddTo tally: Tally
  ) async {
    await withCheckedContinuation { isParked.resume(returning: $0) }
    tally.add(1)
  }
}

/// A sum that threads share.
private final class Tally: Sendable {
  private let total = Atomic(0)
  var sum: Int { total.load(ordering: .relaxed) }
  func add(_ count: Int) { total.add(count, ordering: .relaxed) }
}
