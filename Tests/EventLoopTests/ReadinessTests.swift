internal import Testing

@testable internal import EventLoop

@Suite("Readiness")
struct ReadinessTests {
  @Test("a readable descriptor calls its handler, in every turn until it is read")
  func levelTriggered() throws {
    let loop = try EventLoop()
    let source = try WakeUp()
    let watcher = Watcher()
    let registration = try loop.add(
      descriptor: source.descriptor.number,
      interest: .readable,
      handler: watcher
    )
    watcher.act { [unowned watcher] _ in
      if watcher.calls.count == 3 { loop.remove(registration); loop.stop() }
    }
    source.signal()
    runBounded(loop)
    #expect(watcher.calls == [.readable, .readable, .readable])
  }

  @Test("only what one is interested in is told")
  func interest() throws {
    let loop = try EventLoop()
    let source = try WakeUp()
    let watcher = Watcher()
    source.signal()
    let registration = try loop.add(
      descriptor: source.descriptor.number,
      interest: .writable,
      handler: watcher
    )
    watcher.act { [unowned watcher] _ in
      loop.setInterest(registration, [])
      guard watcher.calls.count == 1 else { return loop.stop() }
      // Silent while the interest is empty, heard again when it is both.
      _ = loop.schedule(at: loop.now + .milliseconds(20)) {
        #expect(watcher.calls == [.writable])
        loop.setInterest(registration, [.readable, .writable])
      }
    }
    runBounded(loop)
    #expect(watcher.calls == [.writable, [.readable, .writable]])
  }

  @Test("a handler removed by another of the same batch is not called")
  func removalInBatch() throws {
    let loop = try EventLoop()
    let sources = [try Source(), try Source()]
    let watchers = [Watcher(), Watcher()]
    var registrations: [Registration] = []
    for (source, watcher) in zip(sources, watchers) {
      watcher.act { _ in
        for registration in registrations { loop.remove(registration) }
        _ = loop.schedule(at: loop.now) { loop.stop() }
      }
      registrations.append(try source.add(to: loop, watcher))
      source.signal()
    }
    withExtendedLifetime(sources) { runBounded(loop) }
    #expect(watchers.map(\.calls.count).reduce(0, +) == 1)
  }

  @Test("an event for a removed descriptor does not reach who took over its slot")
  func slotReuseInBatch() throws {
    let loop = try EventLoop()
    let sources = [try Source(), try Source()]
    let quiet = try Source()
    let heir = Watcher()
    var registrations: [Registration] = []
    var inherited: Registration?
    for (index, source) in sources.enumerated() {
      // Whoever comes first gives the slot of the other to a descriptor that has nothing to say.
      let watcher = Watcher { _ in
        guard inherited == nil else { return }
        loop.remove(registrations[index])
        loop.remove(registrations[1 - index])
        do { inherited = try quiet.add(to: loop, heir) } catch { Issue.record(error) }
        #expect(inherited?.slot == registrations[1 - index].slot)
        _ = loop.schedule(at: loop.now + .milliseconds(20)) { loop.stop() }
      }
      registrations.append(try source.add(to: loop, watcher))
      source.signal()
    }
    withExtendedLifetime((sources, quiet)) { runBounded(loop) }
    #expect(inherited != nil)
    #expect(heir.calls.isEmpty)
  }

  @Test("a stale registration changes nothing")
  func staleRegistration() throws {
    let loop = try EventLoop()
    let first = try Source()
    let second = try Source()
    let stale = try first.add(to: loop, Watcher())
    loop.remove(stale)
    loop.remove(stale)
    let watcher = Watcher { _ in loop.stop() }
    let current = try second.add(to: loop, watcher)
    #expect(current.slot == stale.slot)
    #expect(current != stale)
    loop.setInterest(stale, [])
    loop.remove(stale)
    second.signal()
    runBounded(loop)
    #expect(watcher.calls == [.readable])
  }

  @Test("a handler may remove others when it dies")
  func removalInDeinit() throws {
    let loop = try EventLoop()
    let first = try Source()
    let second = try Source()
    let other = try second.add(to: loop, Watcher())
    var died = false
    // The loop alone keeps the watcher, which alone keeps the tombstone.
    var tombstone: Tombstone? = Tombstone {
      died = true
      loop.remove(other)
    }
    let watcher = Watcher { [tombstone] _ in withExtendedLifetime(tombstone) {} }
    tombstone = nil
    let registration = try first.add(to: loop, consume watcher)
    #expect(!died)
    loop.remove(registration)
    #expect(died)
    loop.stop()
    runBounded(loop)
  }

  @Test("one descriptor cannot be added twice, and the refusal leaves the first in place")
  func addedTwice() throws {
    let loop = try EventLoop()
    let source = try Source()
    let watcher = Watcher { _ in loop.stop() }
    _ = try source.add(to: loop, watcher)
    #expect(throws: SystemError.self) { _ = try source.add(to: loop, Watcher()) }
    source.signal()
    runBounded(loop)
    #expect(watcher.calls.count == 1)
  }

  @Test("more ready descriptors than one batch takes are all served")
  func moreThanABatch() throws {
    let loop = try EventLoop()
    let sources = try (0..<Epoll.batchMax + 44).map { _ in try Source() }
    var served: Set<Int> = []
    for (index, source) in sources.enumerated() {
      source.signal()
      _ = try source.add(
        to: loop,
        Watcher { _ in
          served.insert(index)
          if served.count == sources.count { loop.stop() }
        }
      )
    }
    runBounded(loop)
    #expect(served.count == sources.count)
  }
}

/// A descriptor that becomes readable on demand and is never read.
private final class Source {
  private let wakeUp: WakeUp

  init() throws(SystemError) { wakeUp = try WakeUp() }

  func signal() { wakeUp.signal() }

  func add(to loop: EventLoop, _ handler: Watcher) throws(SystemError) -> Registration {
    try loop.add(descriptor: wakeUp.descriptor.number, interest: .readable, handler: handler)
  }
}
