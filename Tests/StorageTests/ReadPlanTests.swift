import EventLoop
import Testing

@testable import Storage

@Suite("where a read goes")
struct ReadPlanTests {
  static func node(
    _ node: Int,
    holds: Bool = true,
    lag: Int64? = 10,
    open: Bool = true,
    inFlight: Int = 0,
    reads: UInt64 = 0
  ) -> ReadPlan.Candidate {
    ReadPlan.Candidate(
      node: node,
      isOpenForReads: open,
      holds: holds,
      lagMilliseconds: lag,
      readsInFlight: inFlight,
      readCount: reads
    )
  }

  static func situation(
    _ candidates: [ReadPlan.Candidate],
    silent: Bool = false,
    spent: Bool = false
  ) -> ReadPlan.Situation {
    ReadPlan.Situation(
      candidates: candidates,
      isPrimarySilent: silent,
      isBudgetSpent: spent
    )
  }

  /// One read in a world that does not change: all steps until it fails, when each is met by
  /// `obstacle`.
  private static func steps(
    _ kind: ReadPlan.Kind,
    _ situation: ReadPlan.Situation,
    degraded: Bool = false,
    obstacle: ReadPlan.Obstacle = .shortfall
  ) -> [ReadPlan.Step] {
    var plan = ReadPlan(kind, allowsDegraded: degraded)
    var steps: [ReadPlan.Step] = []
    while steps.count < 20 {
      let step = plan.next(situation)
      steps.append(step)
      switch step {
      case .fail: return steps
      case .node, .degraded: plan.note(obstacle)
      case .primary, .waitFor: break
      }
    }
    return steps
  }

  struct Row: Sendable, CustomTestStringConvertible {
    var name: String
    var kind: ReadPlan.Kind
    var situation: ReadPlan.Situation
    var degraded = false
    var obstacle = ReadPlan.Obstacle.shortfall
    var steps: [ReadPlan.Step]
    var testDescription: String { name }
  }

  static let eventual = ReadPlan.Kind.replicas(waits: false)
  static let atLeast = ReadPlan.Kind.replicas(waits: true)
  static let both = [node(0), node(1, lag: 500)]
  static let behind = [node(0, holds: false, lag: 300), node(1, holds: false, lag: 400)]

  static let rows: [Row] = [
    Row(
      name: "STRONG asks the primary alone, also when it seems silent or the budget is spent",
      kind: .primary,
      situation: situation(both, silent: true, spent: true),
      degraded: true,
      steps: [.primary, .fail(.lastError)]
    ),
    Row(
      name: "what only the primary has is within the budget",
      kind: .budgetedPrimary,
      situation: situation(both),
      steps: [.primary, .fail(.lastError)]
    ),
    Row(
      name: "what only the primary has is refused beyond the budget",
      kind: .budgetedPrimary,
      situation: situation(both, spent: true),
      steps: [.fail(.budgetSpent)]
    ),
    Row(
      name: "EVENTUAL: the least lagged, the other one, the primary; two hops",
      kind: eventual,
      situation: situation(both),
      steps: [.node(0), .node(1), .primary, .fail(.lastError)]
    ),
    Row(
      name: "three replicas are two hops: the primary is not asked any more",
      kind: eventual,
      situation: situation([node(0), node(1, lag: 300), node(2, lag: 600)]),
      steps: [.node(0), .node(1), .node(2), .fail(.budgetSpent)]
    ),
    Row(
      name: "a replica that lacks what is needed is not asked",
      kind: eventual,
      situation: situation(behind),
      steps: [.primary, .fail(.lastError)]
    ),
    Row(
      name: "nor is one whose breaker is open",
      kind: eventual,
      situation: situation([node(0, open: false), node(1, lag: 900)]),
      steps: [.node(1), .primary, .fail(.lastError)]
    ),
    Row(
      name: "AT_LEAST waits once for the replica that lacks least",
      kind: atLeast,
      situation: situation(behind),
      steps: [.waitFor(0), .primary, .fail(.lastError)]
    ),
    Row(
      name: "but not for one that is a second behind",
      kind: atLeast,
      situation: situation([node(0, holds: false, lag: 1_001), node(1, holds: false, lag: nil)]),
      steps: [.primary, .fail(.lastError)]
    ),
    Row(
      name: "it does not wait while another replica holds the token",
      kind: atLeast,
      situation: situation([node(0, holds: false), node(1, lag: 900)]),
      steps: [.node(1), .waitFor(0), .primary, .fail(.lastError)]
    ),
    Row(
      name: "beyond the budget EVENTUAL is refused",
      kind: eventual,
      situation: situation(behind, spent: true),
      steps: [.fail(.budgetSpent)]
    ),
    Row(
      name: "or degraded, where that is allowed: the least lagged",
      kind: eventual,
      situation: situation(behind, spent: true),
      degraded: true,
      steps: [.degraded(0), .fail(.budgetSpent)]
    ),
    Row(
      name: "the primary comes before a degraded answer",
      kind: eventual,
      situation: situation(behind),
      degraded: true,
      steps: [.primary, .degraded(0), .fail(.lastError)]
    ),
    Row(
      name: "without a bound there is no degraded answer",
      kind: eventual,
      situation: situation([node(0, holds: false, lag: nil)], spent: true),
      degraded: true,
      steps: [.fail(.budgetSpent)]
    ),
    Row(
      name: "primary silent: replicas that hold enough still answer, the primary is not tried",
      kind: eventual,
      situation: situation([node(0), node(1, holds: false)], silent: true),
      steps: [.node(0), .fail(.primarySilent)]
    ),
    Row(
      name: "primary silent and nothing proven: refused, or degraded where allowed",
      kind: eventual,
      situation: situation(behind, silent: true),
      degraded: true,
      steps: [.degraded(0), .fail(.primarySilent)]
    ),
    Row(
      name: "a conflict is tried once on another replica, then on the primary",
      kind: eventual,
      situation: situation([node(0), node(1, lag: 300), node(2, lag: 600)]),
      obstacle: .conflict,
      steps: [.node(0), .node(1), .primary, .fail(.lastError)]
    ),
    Row(
      name: "ANALYTICS asks the warehouse and nobody else",
      kind: .warehouse,
      situation: situation([node(2)]),
      steps: [.node(2), .fail(.noWarehouse)]
    ),
    Row(
      name: "ANALYTICS never asks the primary",
      kind: .warehouse,
      situation: situation([node(2, holds: false)]),
      steps: [.fail(.noWarehouse)]
    ),
    Row(
      name: "an older report is given to those who allow it",
      kind: .warehouse,
      situation: situation([node(2, holds: false, lag: 400_000)]),
      degraded: true,
      steps: [.degraded(2), .fail(.noWarehouse)]
    ),
    Row(
      name: "without any replica the primary answers",
      kind: atLeast,
      situation: situation([]),
      steps: [.primary, .fail(.lastError)]
    ),
  ]

  @Test("the table of levels, row by row", arguments: rows)
  func levels(_ row: Row) {
    let steps = Self.steps(
      row.kind,
      row.situation,
      degraded: row.degraded,
      obstacle: row.obstacle
    )
    #expect(steps == row.steps)
  }

  @Test("a replica that caught up during the wait is asked")
  func caughtUp() {
    var plan = ReadPlan(.replicas(waits: true), allowsDegraded: false)
    #expect(plan.next(Self.situation([Self.node(0, holds: false)])) == .waitFor(0))
    #expect(plan.next(Self.situation([Self.node(0)])) == .node(0))
  }

  @Test(
    "the least lagged; within 100 ms of it the one with the fewest reads in flight, then in all",
    arguments: [
      ([node(0, lag: 10), node(1, lag: 9)], 0),
      ([node(0, lag: 10, inFlight: 1), node(1, lag: 110)], 1),
      ([node(0, lag: 10, inFlight: 1), node(1, lag: 111)], 0),
      ([node(0, lag: 10, reads: 5), node(1, lag: 20, reads: 4)], 1),
      ([node(0, lag: nil), node(1, lag: 5_000)], 1),
      ([], nil),
    ] as [([ReadPlan.Candidate], Int?)]
  )
  func preferred(_ candidates: [ReadPlan.Candidate], _ expected: Int?) {
    #expect(ReadPlan.preferred(candidates) == expected)
  }

  @Test("whatever happens, a read ends after three sources, one wait and one degraded answer")
  func ends() {
    var random = SplitMix64(seed: 5)
    for _ in 0..<5_000 {
      let kinds = [Self.eventual, Self.atLeast, .warehouse, .primary, .budgetedPrimary]
      let kind = kinds.randomElement(using: &random) ?? .primary
      var plan = ReadPlan(kind, allowsDegraded: Bool.random(using: &random))
      var (attempts, others) = (0, 0)
      walk: for _ in 0..<20 {
        let candidates = (0..<3).map {
          Self.node(
            $0,
            holds: Bool.random(using: &random),
            lag: Bool.random(using: &random) ? Int64.random(in: 0...3_000, using: &random) : nil,
            open: Bool.random(using: &random)
          )
        }
        let situation = Self.situation(
          candidates,
          silent: Bool.random(using: &random),
          spent: Bool.random(using: &random)
        )
        switch plan.next(situation) {
        case .node(let node):
          #expect(candidates[node].isOpenForReads && candidates[node].holds)
          attempts += 1
        case .primary:
          #expect(kind != .warehouse)
          attempts += 1
        case .waitFor, .degraded: others += 1
        case .fail: break walk
        }
        plan.note([.shortfall, .conflict, .failure].randomElement(using: &random) ?? .failure)
      }
      #expect(attempts <= ReadPlan.attemptsMax && others <= 2)
    }
  }

  @Test(
    "a quarter of the primary's connections, two at the least, never all, no limit without replicas",
    arguments: [
      (1, true, 1), (2, true, 1), (3, true, 2), (8, true, 2), (12, true, 3), (100, true, 25),
      (8, false, Int.max),
    ]
  )
  func budget(_ connections: Int, _ hasReplicas: Bool, _ most: Int) {
    var budget = FallbackBudget(connections: connections, hasReplicas: hasReplicas)
    var taken = 0
    while taken < 1_000, budget.take() { taken += 1 }
    #expect(taken == min(most, 1_000))
    budget.giveBack()
    let isFree = budget.take()
    #expect(isFree)
  }
}
