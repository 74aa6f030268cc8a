internal import EventLoop
internal import Testing

@Suite("Timers and flushes")
struct TimerTests {
  @Test("timers fire in order of their deadlines, none too early, equal ones as they were set")
  func order() throws {
    let loop = try EventLoop()
    let start = loop.now
    var fired: [Int] = []
    for (number, milliseconds) in [(0, 9), (1, 3), (2, 6), (3, 3), (4, -5), (5, -9)] {
      let deadline = start + .milliseconds(milliseconds)
      _ = loop.schedule(at: deadline) {
        #expect(loop.now >= deadline)
        fired.append(number)
        if number == 0 { loop.stop() }
      }
    }
    runBounded(loop)
    // What is in the past when it is set has come already: 4 and 5 are equal.
    #expect(fired == [4, 5, 1, 3, 2, 0])
  }

  @Test("a cancelled timer does not fire, not even when it is due in the same turn")
  func cancel() throws {
    let loop = try EventLoop()
    let due = loop.now + .milliseconds(2)
    var fired: [String] = []
    let early = loop.schedule(at: due) { fired.append("early") }
    var same: TimerID?
    _ = loop.schedule(at: due) {
      fired.append("canceller")
      if let same { loop.cancel(same) }
    }
    same = loop.schedule(at: due) { fired.append("same turn") }
    _ = loop.schedule(at: due + .milliseconds(5)) { loop.stop() }
    loop.cancel(early)
    runBounded(loop)
    #expect(fired == ["canceller"])
  }

  @Test("a timer that always sets the next one for now does not hold up the others")
  func hotTimer() throws {
    let loop = try EventLoop()
    let limit = 100_000
    var count = 0
    func again() {
      _ = loop.schedule(at: loop.now) {
        count += 1
        // A loop that never leaves its timers would stay here for ever.
        if count < limit { again() } else { loop.stop() }
      }
    }
    again()
    _ = loop.schedule(at: loop.now + .milliseconds(5)) { loop.stop() }
    runBounded(loop)
    #expect(count > 1)
    #expect(count < limit)
  }

  @Test("an action may cancel timers when it dies")
  func cancelInDeinit() throws {
    let loop = try EventLoop()
    let other = loop.schedule(at: loop.now) { Issue.record("was cancelled") }
    var tombstone: Tombstone? = Tombstone { loop.cancel(other) }
    let timer = loop.schedule(at: loop.now) { [tombstone] in withExtendedLifetime(tombstone) {} }
    tombstone = nil
    loop.cancel(timer)
    _ = loop.schedule(at: loop.now + .milliseconds(2)) { loop.stop() }
    runBounded(loop)
  }

  @Test("the end of the clock is a deadline like any other")
  func farDeadline() async throws {
    try await withLoopThread { loop in
      let resident = Resident(on: loop)
      await Task(executorPreference: loop) { await resident.setFarTimer() }.value
    }
  }

  @Test("a flush comes once, after the jobs of its turn")
  func flush() async throws {
    try await withLoopThread { loop in
      let resident = Resident(on: loop)
      let events = await Task(executorPreference: loop) { await resident.gatherAndFlush() }.value
      #expect(events == ["job", "flush", "next turn"])
    }
  }

  @Test("a flush that is asked for while flushing comes without sleeping")
  func flushAgain() throws {
    let loop = try EventLoop()
    var count = 0
    var flusher: Flusher?
    flusher = Flusher {
      count += 1
      if count < 3, let flusher { loop.flushBeforeSleep(flusher) } else { loop.stop() }
    }
    if let flusher { loop.flushBeforeSleep(flusher) }
    runBounded(loop)
    #expect(count == 3)
    flusher = nil
  }
}

extension Resident {
  fileprivate func setFarTimer() async {
    _ = loop.schedule(at: MonotonicTime(nanoseconds: .max)) { Issue.record("the end of time") }
    // The loop sleeps with nothing but the far timer left.
    await pause(.milliseconds(1))
  }

  fileprivate func gatherAndFlush() async -> [String] {
    var events: [String] = []
    loop.flushBeforeSleep(Flusher { events.append("flush") })
    events.append("job")
    await Task.yield()
    events.append("next turn")
    await pause(.milliseconds(1))
    return events
  }
}
