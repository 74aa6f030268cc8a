// Decides where a read goes next; no I/O.

/// The way of one read over its sources.
///
/// Ask `next` for a step, do it, tell what stood in the way by `note`, and ask again; a step that
/// answered ends the read.
struct ReadPlan {
  /// Which row of the table of levels.
  enum Kind: Equatable {
    /// The primary alone, whatever it costs.
    case primary
    /// The primary alone, within the budget: what only it can prove or has.
    case budgetedPrimary
    /// Replicas, then the primary within its budget.
    case replicas(waits: Bool)
    /// The warehouse, never the primary.
    case warehouse
  }

  /// A replica, or the warehouse, as it was last seen.
  struct Candidate: Equatable {
    /// Its place in the router's list.
    var node: Int
    /// Its breaker lets a read through, and it was seen lately on the primary's timeline.
    var isOpenForReads: Bool
    /// What it was last seen to hold is enough.
    var holds: Bool
    /// How old what it holds is at most; nil when that cannot be proven.
    var lagMilliseconds: Int64?
    var readsInFlight: Int
    var readCount: UInt64
  }

  /// How everything stands.
  struct Situation: Equatable {
    var candidates: [Candidate]
    /// Nothing has been heard of the primary for a while.
    var isPrimarySilent: Bool
    var isBudgetSpent: Bool
  }

  enum Step: Equatable {
    case node(Int)
    /// Wait until the node holds enough, for a short time.
    case waitFor(Int)
    case primary
    /// Take what the node has and say so.
    case degraded(Int)
    case fail(Refusal)
  }

  /// Why there is no source left.
  enum Refusal: Equatable {
    /// The primary is silent, so nothing can be proven that replicas did not hold before.
    case primarySilent
    case budgetSpent
    case noWarehouse
    /// What the last source threw.
    case lastError
  }

  /// What stood in the way.
  enum Obstacle: Equatable {
    /// The proof fell short: the rows were dropped.
    case shortfall
    /// Replay was in the way of the statement on a standby.
    case conflict
    /// The node could not answer.
    case failure
  }

  /// Sources of one read: the first and two hops.
  static let attemptsMax = 3
  /// Within this much of the least lagged the one with the fewest reads is taken.
  static let similarMilliseconds: Int64 = 100
  /// A replica that lags more is not waited for: what is missing does not come within 50 ms.
  static let waitableLagMilliseconds: Int64 = 1_000

  private let kind: Kind
  private let allowsDegraded: Bool
  private var tried: Set<Int> = []
  private var attempts = 0
  private var conflicts = 0
  private var hasWaited = false
  private var hasTriedPrimary = false
  private var hasTriedDegraded = false

  init(_ kind: Kind, allowsDegraded: Bool) {
    self.kind = kind
    self.allowsDegraded = allowsDegraded
  }

  mutating func note(_ obstacle: Obstacle) {
    if obstacle == .conflict { conflicts += 1 }
  }

  mutating func next(_ situation: Situation) -> Step {
    let step = decide(situation)
    switch step {
    case .node(let node):
      tried.insert(node)
      attempts += 1
    case .primary:
      hasTriedPrimary = true
      attempts += 1
    case .waitFor: hasWaited = true
    case .degraded: hasTriedDegraded = true
    case .fail: break
    }
    return step
  }

  // MARK: Private

  private func decide(_ situation: Situation) -> Step {
    guard kind != .primary else { return hasTriedPrimary ? .fail(.lastError) : .primary }
    if attempts < ReadPlan.attemptsMax {
      // Rule 6: a conflict is tried once on another replica, then the primary has to do it.
      if conflicts < 2, let node = bestNode(situation) { return .node(node) }
      if let node = nodeToWaitFor(situation) { return .waitFor(node) }
      if mayAskPrimary(situation), !situation.isBudgetSpent { return .primary }
    }
    if allowsDegraded, !hasTriedDegraded, let node = degradedNode(situation) {
      return .degraded(node)
    }
    return .fail(refusal(situation))
  }

  private var asksNodes: Bool {
    switch kind {
    case .replicas, .warehouse: true
    case .primary, .budgetedPrimary: false
    }
  }

  private func mayAskPrimary(_ situation: Situation) -> Bool {
    kind != .warehouse && !hasTriedPrimary && !situation.isPrimarySilent
  }

  private func bestNode(_ situation: Situation) -> Int? {
    guard asksNodes else { return nil }
    let able = situation.candidates.filter {
      $0.isOpenForReads && $0.holds && !tried.contains($0.node)
    }
    return ReadPlan.preferred(able)
  }

  /// The least lagged; of those within 100 ms of it the one with the fewest reads in flight, then
  /// the one that has had the fewest.
  static func preferred(_ candidates: [Candidate]) -> Int? {
    func lag(_ candidate: Candidate) -> Int64 { candidate.lagMilliseconds ?? .max }
    guard let least = candidates.map(lag).min() else { return nil }
    let similar = candidates.filter { lag($0) - least <= similarMilliseconds }
    return similar.min {
      ($0.readsInFlight, $0.readCount, $0.node) < ($1.readsInFlight, $1.readCount, $1.node)
    }?.node
  }

  private func nodeToWaitFor(_ situation: Situation) -> Int? {
    guard case .replicas(waits: true) = kind, !hasWaited, conflicts == 0 else { return nil }
    let near = situation.candidates.filter {
      $0.isOpenForReads && !$0.holds && !tried.contains($0.node)
        && ($0.lagMilliseconds ?? .max) <= ReadPlan.waitableLagMilliseconds
    }
    return ReadPlan.preferred(near)
  }

  private func degradedNode(_ situation: Situation) -> Int? {
    guard asksNodes else { return nil }
    // Without a bound there is nothing true to say about its age.
    return ReadPlan.preferred(
      situation.candidates.filter { $0.isOpenForReads && $0.lagMilliseconds != nil }
    )
  }

  private func refusal(_ situation: Situation) -> Refusal {
    if kind == .warehouse { return .noWarehouse }
    if hasTriedPrimary { return .lastError }
    return situation.isPrimarySilent ? .primarySilent : .budgetSpent
  }
}
