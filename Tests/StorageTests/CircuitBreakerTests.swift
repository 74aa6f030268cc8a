import EventLoop
import Testing

@testable import Storage

@Suite("the circuit breaker")
struct CircuitBreakerTests {
  /// What happens to a breaker.
  enum Input {
    case read(CircuitBreaker.Ending)
    case probe(CircuitBreaker.Ending)
    case drain, restore
    /// Milliseconds pass.
    case pass(Int)
  }

  private static let bad = CircuitBreaker.Ending.failure("down")

  /// A breaker without jitter, and a clock.
  private struct Bench {
    var breaker: CircuitBreaker
    var milliseconds = 1_000_000

    init() {
      var limits = CircuitBreaker.Limits()
      limits.pauseJitter = 0
      breaker = CircuitBreaker(limits: limits, seed: 1)
    }

    var now: MonotonicTime { MonotonicTime(nanoseconds: UInt64(milliseconds) * 1_000_000) }

    /// Makes a call; false when it was not let through.
    @discardableResult
    mutating func call(_ caller: CircuitBreaker.Caller, _ ending: CircuitBreaker.Ending) -> Bool {
      guard let permit = breaker.permit(caller, now: now) else { return false }
      breaker.end(permit, ending, now: now)
      return true
    }

    /// Takes permits that are never given back; how many there were.
    mutating func take(_ caller: CircuitBreaker.Caller, most: Int) -> Int {
      var count = 0
      while count < most, breaker.permit(caller, now: now) != nil { count += 1 }
      return count
    }

    mutating func feed(_ inputs: [Input]) {
      for input in inputs {
        switch input {
        case .read(let ending): call(.read, ending)
        case .probe(let ending): call(.probe, ending)
        case .drain: breaker.drain()
        case .restore: breaker.restore(now: now)
        case .pass(let time):
          milliseconds += time
          breaker.advance(now)
        }
      }
    }
  }

  private static func times(_ count: Int, _ inputs: Input...) -> [Input] {
    Array(repeating: inputs, count: count).flatMap { $0 }
  }

  @Test(
    "state and input give the next state",
    arguments: [
      ([], .closed),
      // Three failures in a row.
      (times(2, .read(bad)), .closed),
      (times(3, .read(bad)), .open),
      (times(3, .probe(bad)), .open),
      ([.read(bad), .read(bad), .read(.success), .read(bad), .read(bad)], .closed),
      // What says nothing about the node changes nothing, and hides nothing.
      (times(50, .read(.neither)), .closed),
      ([.read(bad), .read(bad), .read(.neither), .read(bad)], .open),
      // Probes that succeed do not hide reads that fail, and the other way round.
      ([.read(bad), .probe(.success), .read(bad), .probe(.success), .read(bad)], .open),
      ([.probe(bad), .read(.success), .probe(bad), .read(.success), .probe(bad)], .open),
      ([.probe(bad), .probe(.success), .probe(bad), .probe(bad)], .closed),
      // Half of at least twenty reads in ten seconds.
      (times(9, .read(bad), .read(.success)), .closed),
      (times(9, .read(bad), .read(.success)) + [.read(.success), .read(bad)], .open),
      (times(12, .read(bad), .read(.success), .read(.success)), .closed),
      (times(9, .read(bad), .read(.success)) + [.pass(11_000), .read(bad)], .closed),
      // The pause.
      (times(3, .read(bad)) + [.pass(999)], .open),
      (times(3, .read(bad)) + [.pass(1_000)], .halfOpen),
      // A probe comes first; five successes close.
      (times(3, .read(bad)) + [.pass(1_000), .read(.success), .probe(.success)], .halfOpen),
      (times(3, .read(bad)) + [.pass(1_000)] + times(5, .probe(.success)), .closed),
      (
        times(3, .read(bad)) + [.pass(1_000), .probe(.success)] + times(3, .read(.success)),
        .halfOpen
      ),
      (
        times(3, .read(bad)) + [.pass(1_000), .probe(.success)] + times(4, .read(.success)), .closed
      ),
      // The first failure opens again.
      (times(3, .read(bad)) + [.pass(1_000), .probe(bad)], .open),
      (times(3, .read(bad)) + [.pass(1_000), .probe(.success), .read(bad)], .open),
      // The state lasts five seconds at most.
      (times(3, .read(bad)) + [.pass(1_000), .pass(4_999)], .halfOpen),
      (times(3, .read(bad)) + [.pass(1_000), .pass(5_000)], .open),
      (times(3, .read(bad)) + [.pass(1_000), .probe(.success), .pass(5_000)], .closed),
      // Operators.
      ([.drain], .drained), ([.drain, .pass(100_000)], .drained),
      ([.drain, .read(bad), .probe(.success)], .drained),
      (times(3, .read(bad)) + [.drain, .pass(60_000)], .drained),
      ([.drain, .restore], .halfOpen), ([.restore], .closed),
      ([.drain, .restore] + times(5, .probe(.success)), .closed),
    ] as [([Input], BreakerState)]
  )
  func table(_ inputs: [Input], _ expected: BreakerState) {
    var bench = Bench()
    bench.feed(inputs)
    #expect(bench.breaker.state == expected)
  }

  @Test("nothing passes while it is open or drained")
  func refuses() {
    var bench = Bench()
    bench.feed(Self.times(3, .read(Self.bad)))
    var passed = bench.call(.read, .success) || bench.call(.probe, .success)
    #expect(!passed)
    bench.feed([.drain])
    passed = bench.call(.read, .success) || bench.call(.probe, .success)
    #expect(!passed)
  }

  @Test("pauses double from one second to thirty, and begin anew once it was closed")
  func pauses() {
    var bench = Bench()
    bench.feed(Self.times(3, .read(Self.bad)))
    for seconds in [1, 2, 4, 8, 16, 30, 30] {
      bench.feed([.pass(seconds * 1_000 - 1)])
      #expect(bench.breaker.state == .open)
      bench.feed([.pass(1)])
      #expect(bench.breaker.state == .halfOpen)
      bench.feed([.probe(Self.bad)])
    }
    bench.feed([.pass(30_000)] + Self.times(5, .probe(.success)) + Self.times(3, .read(Self.bad)))
    bench.feed([.pass(1_000)])
    #expect(bench.breaker.state == .halfOpen)
  }

  @Test("pauses vary by a fifth")
  func jitter() {
    var pauses: Set<Int> = []
    for seed in 0..<50 as Range<UInt64> {
      var bench = Bench()
      bench.breaker = CircuitBreaker(seed: seed)
      bench.feed(Self.times(3, .read(Self.bad)))
      var pause = 0
      while bench.breaker.state == .open {
        bench.feed([.pass(10)])
        pause += 10
      }
      #expect((800...1_210).contains(pause))
      pauses.insert(pause)
    }
    #expect(pauses.count > 10)
  }

  private func expectTaken(
    _ bench: inout Bench,
    _ caller: CircuitBreaker.Caller,
    _ count: Int,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let taken = bench.take(caller, most: 5)
    #expect(taken == count, sourceLocation: sourceLocation)
  }

  @Test("half open: one probe, then three reads at once, each for a second at most")
  func leases() {
    var bench = Bench()
    bench.feed(Self.times(3, .read(Self.bad)) + [.pass(1_000)])
    expectTaken(&bench, .read, 0)
    expectTaken(&bench, .probe, 1)
    // The probe never comes back: another one may be tried.
    bench.feed([.pass(1_000), .probe(.success)])
    expectTaken(&bench, .read, 3)
    bench.feed([.pass(999)])
    expectTaken(&bench, .read, 0)
    bench.feed([.pass(1)])
    expectTaken(&bench, .read, 3)
    // None of them ever comes back: the state ends by itself.
    bench.feed([.pass(5_000)])
    #expect(bench.breaker.state == .closed)
  }

  @Test("what began in an earlier state changes nothing")
  func late() {
    var bench = Bench()
    let early = (0..<5).compactMap { _ in bench.breaker.permit(.read, now: bench.now) }
    bench.feed(Self.times(3, .read(Self.bad)) + [.pass(1_000), .probe(.success)])
    bench.breaker.end(early[0], Self.bad, now: bench.now)
    #expect(bench.breaker.state == .halfOpen)
    for permit in early.dropFirst() { bench.breaker.end(permit, .success, now: bench.now) }
    #expect(bench.breaker.state == .halfOpen)
  }

  @Test("every transition is told once, with its reason and counters")
  func transitions() {
    var bench = Bench()
    bench.feed([.read(.success)] + Self.times(3, .read(Self.bad)) + [.pass(1_000)])
    bench.feed(Self.times(5, .probe(.success)) + [.drain])
    let told = bench.breaker.takeTransitions()
    #expect(
      told.map { "\($0)" } == [
        "CLOSED -> OPEN: 3 failures in a row, the last: down; 3 of 4 reads failed in 10 s; tried"
          + " again in 1000 ms",
        "OPEN -> HALF_OPEN: the pause is over",
        "HALF_OPEN -> CLOSED: 5 calls in a row succeeded",
        "CLOSED -> DRAINED: by the operator",
      ]
    )
    let again = bench.breaker.takeTransitions()
    #expect(again.isEmpty)
  }

  @Test("it never gets stuck, whatever happens to its permits")
  func random() {
    for seed in 0..<200 as Range<UInt64> {
      var random = SplitMix64(seed: seed)
      var bench = Bench()
      var permits: [CircuitBreaker.Permit] = []
      for _ in 0..<500 {
        switch Int.random(in: 0..<6, using: &random) {
        case 0, 1:
          let caller: CircuitBreaker.Caller = Bool.random(using: &random) ? .read : .probe
          if let permit = bench.breaker.permit(caller, now: bench.now) { permits.append(permit) }
        case 2, 3:
          guard let permit = permits.popLast() else { continue }
          let ending: CircuitBreaker.Ending =
            Int.random(in: 0..<3, using: &random) == 0 ? Self.bad : .success
          bench.breaker.end(permit, ending, now: bench.now)
        case 4: bench.feed([.pass(Int.random(in: 0...3_000, using: &random))])
        default: permits.removeAll()  // Lost: never given back.
        }
      }
      // From wherever it is, a healthy node is back after one pause and one trial.
      for _ in 0..<500 { bench.feed([.pass(100), .probe(.success), .read(.success)]) }
      #expect(bench.breaker.state == .closed, "seed \(seed)")
    }
  }
}

@Suite("what an error says about a node")
struct NodeFaultTests {
  private static func server(_ sqlstate: SQLState) -> PostgresError {
    .server(
      PostgresServerError(sqlstate: sqlstate, severity: "ERROR", message: "", statementIndex: 0)
    )
  }

  private static func connect(_ kind: PostgresConnectFailure.Kind) -> PostgresError {
    .connectFailed(PostgresConnectFailure(kind: kind, sqlstate: nil, message: ""))
  }

  private static func isFailure(_ error: PostgresError, allowed: Duration = .seconds(5)) -> Bool {
    if case .failure = CircuitBreaker.Ending(error, allowed: allowed) { true } else { false }
  }

  @Test(
    "these are failures of the node",
    arguments: [
      connect(.unreachable), connect(.authentication), connect(.timedOut),
      .timedOut(outcomeUnknown: true), .disconnected(outcomeUnknown: true, sqlstate: nil),
      .protocolViolation("what"), server("08006"), server("53300"), server("57P01"),
      server("57P02"), server("57P03"),
    ]
  )
  func failures(_ error: PostgresError) {
    #expect(Self.isFailure(error))
  }

  @Test(
    "these are not",
    arguments: [
      server("22003"), server("42P01"), server("40001"), server("57014"), connect(.outOfResources),
      .cancelled(outcomeUnknown: true), .closed, .poolFull, .waitTimedOut, .pipelineAborted,
      // The standby ends sessions that hold replay up.
      .disconnected(outcomeUnknown: true, sqlstate: "40001"),
    ]
  )
  func neither(_ error: PostgresError) {
    #expect(!Self.isFailure(error))
  }

  @Test("a read that was given less than a second says nothing by being late")
  func hasty() {
    #expect(!Self.isFailure(.timedOut(outcomeUnknown: true), allowed: .milliseconds(999)))
    #expect(Self.isFailure(.timedOut(outcomeUnknown: true), allowed: .seconds(1)))
  }
}
