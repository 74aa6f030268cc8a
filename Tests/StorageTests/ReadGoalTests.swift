import EventLoop
import Testing

@testable import Storage

@Suite("what a read requires")
struct ReadGoalTests {
  private static let identity = LogIdentity(systemIdentifier: 7, timeline: 3)

  private static func at(_ milliseconds: Int) -> MonotonicTime {
    MonotonicTime(nanoseconds: 1_000_000 * UInt64(100_000 + milliseconds))
  }

  private static func token(
    _ lsn: UInt64,
    cluster: UInt64 = 7,
    timeline: UInt32 = 3
  ) -> FreshnessToken {
    FreshnessToken(
      systemIdentifier: cluster,
      timeline: timeline,
      lsn: PostgresLSN(value: lsn)
    )
  }

  /// Of an answer that showed more than it proves.
  private static func answered(
    _ lsn: UInt64,
    seen: UInt64,
    byWarehouse: Bool = false
  ) -> FreshnessToken {
    var token = token(lsn)
    token.seen = PostgresLSN(value: seen)
    token.isOfWarehouse = byWarehouse
    return token
  }

  /// P(0) = 0, P(1 s) = 1000, … P(10 s) = 10,000; it is 10.1 s.
  private static let ring: LSNRing = {
    var ring = LSNRing()
    for second in 0...10 {
      let lsn = PostgresLSN(value: UInt64(second * 1_000))
      ring.add(lsn, at: at(second * 1_000), of: identity)
    }
    return ring
  }()

  private static func goal(
    _ requirement: ReadRequirement,
    _ ring: LSNRing = ring
  ) throws -> ReadGoal {
    try ReadGoal(requirement, ring, now: at(10_100))
  }

  @Test("each level has its row and its position")
  func levels() throws {
    let eventual = ReadLevel.eventual(maxStaleness: .seconds(3))
    let rows: [(ReadRequirement, ReadPlan.Kind, UInt64?)] = [
      (ReadRequirement(.strong), .primary, nil),
      (ReadRequirement(eventual, includesStaged: true), .budgetedPrimary, nil),
      (ReadRequirement(.strong, includesStaged: true), .primary, nil),
      (ReadRequirement(.atLeast(Self.token(5))), .replicas(waits: true), 5),
      (ReadRequirement(eventual), .replicas(waits: false), 8_000),
      (
        ReadRequirement(.analytics(maxStaleness: .milliseconds(5_100))), .warehouse, 5_000
      ),
      // Nothing is that young: nothing can be proven.
      (
        ReadRequirement(.eventual(maxStaleness: .milliseconds(99))), .replicas(waits: false), nil
      ),
      // Floors raise the position, and are waited for.
      (ReadRequirement(eventual, floors: [Self.token(7)]), .replicas(waits: false), 8_000),
      (ReadRequirement(eventual, floors: [Self.token(9_500)]), .replicas(waits: true), 9_500),
      (
        ReadRequirement(.atLeast(Self.token(5)), floors: [Self.token(9), Self.token(6)]),
        .replicas(waits: true), 9
      ),
      (
        ReadRequirement(.analytics(maxStaleness: .seconds(5)), floors: [Self.token(9_900)]),
        .warehouse, 9_900
      ),
      // What an answer showed must be shown again, also beyond what it proves; a token asked for
      // is only what it proves.
      (
        ReadRequirement(eventual, floors: [Self.answered(9_500, seen: 9_600)]),
        .replicas(waits: true), 9_600
      ),
      (
        ReadRequirement(.atLeast(Self.answered(5, seen: 9))), .replicas(waits: true), 5
      ),
      (
        ReadRequirement(
          .analytics(maxStaleness: .seconds(5)),
          floors: [Self.answered(9_500, seen: 9_600)]
        ), .warehouse, 9_600
      ),
      // The warehouse's own snapshots never go back.
      (
        ReadRequirement(
          .analytics(maxStaleness: .seconds(5)),
          floors: [Self.answered(9_500, seen: 9_600, byWarehouse: true)]
        ), .warehouse, 9_500
      ),
      (
        ReadRequirement(
          eventual,
          floors: [Self.answered(9_500, seen: 9_600, byWarehouse: true)]
        ), .replicas(waits: true), 9_600
      ),
      // What the connection wrote itself, except for reports.
      (
        ReadRequirement(eventual, sessionToken: Self.token(9_990)), .replicas(waits: true), 9_990
      ),
      (
        ReadRequirement(.atLeast(Self.token(5)), sessionToken: Self.token(6)),
        .replicas(waits: true), 6
      ),
      (
        ReadRequirement(
          .analytics(maxStaleness: .milliseconds(5_100)),
          sessionToken: Self.token(9_990)
        ), .warehouse, 5_000
      ),
    ]
    for (requirement, kind, lsn) in rows {
      let goal = try Self.goal(requirement)
      #expect(goal.kind == kind, "\(requirement)")
      #expect(goal.position?.lsn.value == lsn, "\(requirement)")
      #expect(goal.position.map { $0.identity == Self.identity } ?? true)
    }
  }

  @Test("a named token that cannot be placed is refused by its name")
  func misplaced() {
    let eventual = ReadLevel.eventual(maxStaleness: .seconds(3))
    let rows: [(ReadRequirement, StorageError)] = [
      (ReadRequirement(.atLeast(Self.token(5, timeline: 2))), .tokenOfOtherTimeline(.ofLevel)),
      (ReadRequirement(.atLeast(Self.token(5, timeline: 4))), .tokenOfOtherTimeline(.ofLevel)),
      (ReadRequirement(.atLeast(Self.token(5, cluster: 8))), .tokenOfOtherCluster(.ofLevel)),
      (
        ReadRequirement(.atLeast(Self.token(5, cluster: 8)), floors: [Self.token(9)]),
        .tokenOfOtherCluster(.ofLevel)
      ),
      (
        ReadRequirement(eventual, floors: [Self.token(5, cluster: 8)]),
        .tokenOfOtherCluster(.floor(0))
      ),
      (
        ReadRequirement(.atLeast(Self.token(5)), floors: [Self.token(5, cluster: 8)]),
        .tokenOfOtherCluster(.floor(0))
      ),
      (
        ReadRequirement(.strong, floors: [Self.token(5), Self.token(5, timeline: 1)]),
        .tokenOfOtherTimeline(.floor(1))
      ),
    ]
    for (requirement, error) in rows {
      #expect(throws: error) { try Self.goal(requirement) }
    }
    // Two histories in one request, before anything is known of the primary.
    let both = [Self.token(5), Self.token(5, timeline: 4)]
    #expect(throws: StorageError.tokenOfOtherTimeline(.floor(1))) {
      try Self.goal(ReadRequirement(eventual, floors: both), LSNRing())
    }
  }

  @Test("after a failover the primary answers those who wrote before it")
  func failover() throws {
    let goal = try Self.goal(
      ReadRequirement(
        .eventual(maxStaleness: .seconds(3)),
        sessionToken: Self.token(99_999, timeline: 2)
      )
    )
    #expect(goal.kind == .budgetedPrimary)
    // Also before the clock has asked once: only the primary can tell which history goes on.
    let early = try Self.goal(
      ReadRequirement(
        .atLeast(Self.token(5)),
        sessionToken: Self.token(99_999, timeline: 2)
      ),
      LSNRing()
    )
    #expect(early.kind == .budgetedPrimary)
  }

  @Test("a token is good before the clock has asked once, a bound is not")
  func early() throws {
    let token = Self.token(5)
    #expect(try Self.goal(ReadRequirement(.atLeast(token)), LSNRing()).position == token)
    let bound = ReadRequirement(.eventual(maxStaleness: .seconds(3_600)))
    #expect(try Self.goal(bound, LSNRing()).position == nil)
  }

  @Test("a proof meets a goal on the same history at or behind its position")
  func met() throws {
    let goal = try Self.goal(ReadRequirement(.atLeast(Self.token(50))))
    #expect(goal.isMet(by: Self.token(50)) && goal.isMet(by: Self.token(51)))
    #expect(!goal.isMet(by: Self.token(49)))
    #expect(!goal.isMet(by: Self.token(99, timeline: 4)))
    #expect(!goal.isMet(by: Self.token(99, cluster: 8)))
    let nothing = try Self.goal(ReadRequirement(.eventual(maxStaleness: .milliseconds(1))))
    #expect(!nothing.isMet(by: Self.token(.max)))
  }
}

@Suite("advice on settings")
struct SettingsAdviceTests {
  private static let good = [
    "max_standby_streaming_delay": "1000", "hot_standby_feedback": "on",
    "wal_receiver_timeout": "5000", "wal_receiver_status_interval": "1",
    "default_transaction_isolation": "read committed", "statement_timeout": "330000",
  ]

  @Test("good settings need no advice, and neither does what was not shown")
  func good() {
    #expect(SettingsAdvice.sentences(for: "replica-1", .replica, Self.good).isEmpty)
    #expect(SettingsAdvice.sentences(for: "replica-1", .replica, [:]).isEmpty)
    let follows = ["in_hot_standby": "on"]
    #expect(SettingsAdvice.sentences(for: "replica-1", .replica, follows).isEmpty)
    let leads = ["in_hot_standby": "off"]
    #expect(SettingsAdvice.sentences(for: "primary", .primary, leads).isEmpty)
    #expect(
      SettingsAdvice.sentences(for: "replica-1", .replica, leads) == [
        "replica-1: it is not in recovery, so no read will go there; name a replica"
      ]
    )
    #expect(
      SettingsAdvice.sentences(for: "primary", .primary, ["wal_sender_timeout": "5000"]).isEmpty
    )
  }

  @Test(
    "each bad setting is named with its value",
    arguments: [
      ("max_standby_streaming_delay", "30000"), ("max_standby_streaming_delay", "-1"),
      ("hot_standby_feedback", "off"), ("wal_receiver_timeout", "60000"),
      ("wal_receiver_timeout", "0"), ("wal_receiver_status_interval", "10"),
      ("default_transaction_isolation", "repeatable read"), ("statement_timeout", "0"),
    ]
  )
  func bad(_ name: String, _ value: String) {
    var settings = Self.good
    settings[name] = value
    let sentences = SettingsAdvice.sentences(for: "replica-1", .replica, settings)
    #expect(sentences.count == 1)
    #expect(sentences.first?.hasPrefix("replica-1: \(name) is \(value); set it to ") == true)
  }

  @Test("a primary that waits long for its senders is told", arguments: ["60000", "0"])
  func sender(_ value: String) {
    let settings = ["wal_sender_timeout": value]
    #expect(SettingsAdvice.sentences(for: "primary", .primary, settings).count == 1)
    let alone = SettingsAdvice.sentences(for: "primary", .primary, hasReplicas: false, settings)
    #expect(alone.isEmpty)
  }

  @Test("every server must end statements that nobody waits for", arguments: ReadOrigin.servers)
  func timeout(_ origin: ReadOrigin) {
    let settings = ["statement_timeout": "0"]
    let sentences = SettingsAdvice.sentences(for: "it", origin, hasReplicas: false, settings)
    #expect(sentences.count == 1 && sentences[0].contains("ALTER ROLE"))
  }
}

extension ReadOrigin {
  fileprivate static let servers: [ReadOrigin] = [.primary, .replica, .warehouse]
}
