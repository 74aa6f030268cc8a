import EventLoop
import Testing

@testable import Storage

// What stands in front of Redis, without a Redis: the circuit breaker and the single flight.

@Suite("Cache flight")
struct CacheFlightTests {
  @Test("who comes to a flight that has ended does not wait")
  func ended() async throws {
    try await onLoop { loop in
      let flight = CacheFlight(on: loop)
      flight.end(nil)
      var ending: CacheFlight.Ending?
      flight.follow(until: soon()) { ending = $0 }
      guard case .nothing? = ending else {
        Issue.record("it waited")
        return
      }
    }
  }
}

@Suite("Cache breaker")
struct CacheBreakerTests {
  private static func at(_ milliseconds: Int) -> MonotonicTime {
    MonotonicTime(nanoseconds: 0) + .milliseconds(milliseconds)
  }

  @Test("failures in a row shut it, one lookup probes, and successes open it again")
  func cycle() throws {
    let breaker = CacheBreaker(seed: 1) { _ in }
    for _ in 0..<3 {
      let call = try #require(breaker.admit(now: CacheBreakerTests.at(0)))
      breaker.report(call, succeeded: false, now: CacheBreakerTests.at(1))
    }
    #expect(breaker.state == .open)
    #expect(breaker.admit(now: CacheBreakerTests.at(10)) == nil)
    // The pause is over: one call alone, whoever else comes.
    let now = CacheBreakerTests.at(2_000)
    let probe = try #require(breaker.admit(now: now))
    #expect(breaker.admit(now: now) == nil)
    breaker.report(probe, succeeded: true, now: now)
    // Then three at once.
    let few = (0..<5).compactMap { _ in breaker.admit(now: now) }
    #expect(few.count == 3)
    for call in few { breaker.report(call, succeeded: true, now: now) }
    #expect(breaker.state == .halfOpen)
    let last = try #require(breaker.admit(now: now))
    breaker.report(last, succeeded: true, now: now)
    #expect(breaker.state == .closed)
  }

  @Test("a probe that fails shuts it again, and each change is one sentence")
  func failedProbe() throws {
    var sentences: [String] = []
    let breaker = CacheBreaker(seed: 1) { sentences.append($0) }
    for _ in 0..<3 {
      let call = try #require(breaker.admit(now: CacheBreakerTests.at(0)))
      breaker.report(call, succeeded: false, now: CacheBreakerTests.at(0))
    }
    let probe = try #require(breaker.admit(now: CacheBreakerTests.at(2_000)))
    breaker.report(probe, succeeded: false, now: CacheBreakerTests.at(2_000))
    #expect(breaker.state == .open)
    #expect(sentences.count == 3, "\(sentences)")
  }
}
