import EventLoop
import Testing

@testable import Storage

@Suite("the clock of log positions")
struct LSNRingTests {
  private static let identity = LogIdentity(systemIdentifier: 7, timeline: 1)

  /// Milliseconds on the mock clock.
  private static func at(_ milliseconds: Int) -> MonotonicTime {
    MonotonicTime(nanoseconds: 1_000_000 * UInt64(100_000_000 + milliseconds))
  }

  private static func lsn(_ value: UInt64) -> PostgresLSN { PostgresLSN(value: value) }

  /// P(0) = 100, P(100 ms) = 200, and so on.
  private static func ring(_ count: Int) -> LSNRing {
    var ring = LSNRing()
    for index in 0..<count {
      ring.add(lsn(UInt64(100 + index * 100)), at: at(index * 100), of: identity)
    }
    return ring
  }

  @Test(
    "the bound of a position is the age of the newest sample that it holds",
    arguments: [
      (99, nil), (100, 950), (199, 950), (200, 850), (550, 550), (999, 150), (1_000, 50),
      (5_000, 50),
    ] as [(UInt64, Int?)]
  )
  func staleness(_ held: UInt64, _ milliseconds: Int?) {
    // Samples at 0 to 900 ms, asked at 950 ms.
    let bound = Self.ring(10).staleness(of: Self.lsn(held), now: Self.at(950))
    #expect(bound == milliseconds.map { .milliseconds($0) })
  }

  @Test(
    "the position required for a bound is that of the oldest sample within it",
    arguments: [
      (49, nil), (50, 1_000), (149, 1_000), (150, 900), (949, 200), (950, 100), (10_000, 100),
    ] as [(Int, UInt64?)]
  )
  func required(_ bound: Int, _ position: UInt64?) {
    let required = Self.ring(10).required(bound: .milliseconds(bound), now: Self.at(950))
    #expect(required == position.map { Self.lsn($0) })
  }

  @Test("what is required for a bound has that bound, at every bound and after thinning")
  func agree() {
    var ring = LSNRing()
    var random = SplitMix64(seed: 11)
    var (time, position) = (0, UInt64(1))
    // Two hours, with pauses and jumps.
    while time < 7_200_000 {
      ring.add(Self.lsn(position), at: Self.at(time), of: Self.identity)
      time += Int.random(in: 90...300, using: &random)
      if Int.random(in: 0..<4, using: &random) > 0 { position += 1 }
    }
    let now = Self.at(time)
    for bound in stride(from: 250, through: 3_600_000, by: 777) {
      guard let required = ring.required(bound: .milliseconds(bound), now: now) else {
        Issue.record("nothing is required for \(bound) ms")
        return
      }
      let proven = ring.staleness(of: required, now: now)
      #expect(proven.map { $0 <= .milliseconds(bound) } == true)
      // One position less is older than the bound, but for what thinning left out.
      let older = ring.staleness(of: Self.lsn(required.value - 1), now: now)
      #expect(older.map { $0 > .milliseconds(bound) } ?? true)
    }
  }

  @Test("equal positions collapse to the newest time")
  func idle() {
    var ring = Self.ring(1)
    for index in 1...100_000 {
      ring.add(Self.lsn(100), at: Self.at(index * 100), of: Self.identity)
    }
    #expect(ring.count == 1)
    let now = Self.at(10_000_050)
    #expect(ring.staleness(of: Self.lsn(100), now: now) == .milliseconds(50))
    #expect(ring.required(bound: .milliseconds(50), now: now) == Self.lsn(100))
  }

  @Test("however long and fast it is sampled, its size is bounded and the largest bound covered")
  func capacity() {
    var ring = LSNRing()
    let most = LSNRing.standardTiers.reduce(0) { $0 + $1.samplesMax }
    var peak = 0
    // An hour and more, as often as the first tier keeps samples, and far more often at its end.
    for index in 0..<40_000 {
      ring.add(Self.lsn(UInt64(index)), at: Self.at(index * 100), of: Self.identity)
      if index % 8 == 0 { peak = max(peak, ring.count) }
    }
    for index in 0..<10_000 {
      ring.add(Self.lsn(UInt64(40_000 + index)), at: Self.at(4_000_000 + index), of: Self.identity)
      if index % 8 == 0 { peak = max(peak, ring.count) }
    }
    #expect(peak > most / 2 && peak <= most)
    let now = Self.at(4_010_000)
    let hour = ring.required(bound: .seconds(3_600), now: now)
    // Ten seconds between samples of that age.
    #expect(hour.map { (4_100...4_200).contains($0.value) } == true)
  }

  @Test("samples of an age are as far apart as their tier says")
  func thinning() {
    let tiers = [
      LSNRing.Tier(interval: .milliseconds(100), span: .seconds(1), samplesMax: 100),
      LSNRing.Tier(interval: .seconds(1), span: .seconds(10), samplesMax: 100),
    ]
    var ring = LSNRing(tiers: tiers)
    for index in 0...200 {
      ring.add(Self.lsn(UInt64(index)), at: Self.at(index * 100), of: Self.identity)
    }
    // 11 within a second, one a second in the ten seconds before that.
    #expect((20...22).contains(ring.count))
    let now = Self.at(20_000)
    #expect(ring.required(bound: .seconds(60), now: now).map { $0.value >= 98 } == true)
    #expect(ring.staleness(of: Self.lsn(50), now: now) == nil)
  }

  @Test(
    "another timeline, another cluster, an older position and an older time start afresh",
    arguments: [
      (LogIdentity(systemIdentifier: 7, timeline: 2), 5_000, 1_000),
      (LogIdentity(systemIdentifier: 8, timeline: 1), 5_000, 1_000),
      (LogIdentity(systemIdentifier: 7, timeline: 1), 999, 1_000),
      (LogIdentity(systemIdentifier: 7, timeline: 1), 5_000, 899),
    ] as [(LogIdentity, UInt64, Int)]
  )
  func resets(_ identity: LogIdentity, _ position: UInt64, _ time: Int) {
    var ring = Self.ring(10)
    ring.add(Self.lsn(position), at: Self.at(time), of: identity)
    #expect(ring.count == 1)
    #expect(ring.identity == identity)
    #expect(ring.staleness(of: Self.lsn(position - 1), now: Self.at(2_000)) == nil)
    #expect(ring.required(bound: .seconds(60), now: Self.at(2_000)) == Self.lsn(position))
  }

  @Test("a new ring takes over a history, without what does not rise in it")
  func seed() {
    var ring = LSNRing()
    let history = [(0, 10), (1_000, 20), (2_000, 15), (3_000, 30), (2_500, 40)]
    ring.seed(
      history.map { LSNRing.Sample(lsn: Self.lsn(UInt64($0.1)), time: Self.at($0.0)) },
      of: Self.identity
    )
    #expect(ring.count == 3)
    let now = Self.at(4_000)
    #expect(ring.staleness(of: Self.lsn(15), now: now) == .seconds(4))
    #expect(ring.staleness(of: Self.lsn(25), now: now) == .seconds(3))
    #expect(ring.required(bound: .seconds(2), now: now) == Self.lsn(30))
    // What is sampled later goes on behind it; a second seed changes nothing.
    ring.add(Self.lsn(50), at: Self.at(3_900), of: Self.identity)
    ring.seed([LSNRing.Sample(lsn: Self.lsn(90), time: Self.at(3_950))], of: Self.identity)
    #expect(ring.required(bound: .seconds(60), now: now) == Self.lsn(10))
    #expect(ring.newest?.lsn == Self.lsn(50))
  }

  @Test("before the first sample nothing is known")
  func empty() {
    let ring = LSNRing()
    #expect(ring.staleness(of: Self.lsn(.max), now: Self.at(0)) == nil)
    #expect(ring.required(bound: .seconds(3_600), now: Self.at(0)) == nil)
    #expect(ring.newest == nil && ring.identity == nil)
  }
}
