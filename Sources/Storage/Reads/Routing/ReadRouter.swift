public import EventLoop

// Chooses where a read is answered, and proves how fresh the answer is.

/// A node beside the primary, as the configuration names it.
public struct ReadNodeSettings: Sendable {
  /// "replica-1", "warehouse".
  public var name: String
  /// A replica or the warehouse.
  public var origin: ReadOrigin
  /// Where it is.
  public var dsn: PostgresDSN
  /// Of a warehouse.
  public var feed: WarehouseFeed

  /// A node of these parts.
  public init(
    name: String,
    origin: ReadOrigin,
    dsn: PostgresDSN,
    feed: WarehouseFeed = .subscription
  ) {
    self.name = name
    self.origin = origin
    self.dsn = dsn
    self.feed = feed
  }
}

/// Picks a source for each read by its level, as `ReadPlan` decides.
///
/// Confined to its loop's thread.
public final class ReadRouter {
  /// What it did so far.
  public private(set) var statistics = RouterStatistics()

  private let primary: PrimarySource
  private var primaryStatus = NodeStatus("primary", .primary)
  private let nodes: [ReadNode]
  private let watches: [NodeWatch]
  private let clock: LSNClock
  private var budget: FallbackBudget
  private let loop: EventLoop
  /// Whether there is a replica beside the primary.
  let hasReplicas: Bool
  /// What feeds the warehouse, also when there is none.
  let warehouseFeed: WarehouseFeed

  /// How long a read waits for a replica that lacks what it needs.
  private static let waitMax: Duration = .milliseconds(50)

  /// A router over the primary's pool and the nodes beside it.
  ///
  /// - Parameters:
  ///   - primary: connections to the primary; somebody else shuts them down.
  ///   - primaryDSN: where the clock asks.
  ///   - nodes: replicas and the warehouse.
  ///   - connections: reads at once on each server.
  ///   - loop: the worker's.
  ///   - log: takes sentences for operators.
  public init(
    primary: PostgresPool,
    primaryDSN: PostgresDSN,
    nodes: [ReadNodeSettings] = [],
    connections: Int,
    loop: EventLoop,
    log: @escaping (String) -> Void = { _ in }
  ) {
    self.loop = loop
    self.primary = PrimarySource(primary)
    self.nodes = nodes.map {
      ReadNode($0, connections: connections, loop: loop, log: log)
    }
    watches = self.nodes.map { NodeWatch($0, loop) }
    clock = LSNClock(primaryDSN, loop: loop, log: log)
    hasReplicas = nodes.contains { $0.origin == .replica }
    warehouseFeed = nodes.first { $0.origin == .warehouse }?.feed ?? .subscription
    budget = FallbackBudget(connections: connections, hasReplicas: hasReplicas)
    #if SLUICE_FAULT_ROUTE_ON_LAG
    clock.gauge = LagGauge(self.nodes)
    #endif
  }

  // MARK: Tasks

  /// How many nodes there are beside the primary; each wants `runWatch` in a task of its own.
  public var nodeCount: Int { nodes.count }

  /// Samples the primary's log until `shutDown`.
  public func runClock() async { await clock.run() }

  /// Looks at one node until `shutDown`.
  public func runWatch(_ index: Int) async { await watches[index].run() }

  /// Ends the tasks and closes the connections to the nodes.
  public func shutDown() async {
    clock.shutDown()
    for watch in watches { watch.shutDown() }
    for node in nodes { await node.shutDown() }
  }

  // MARK: Operators

  /// The primary and the nodes, in the order of the configuration.
  public var status: [NodeStatus] {
    var status = primaryStatus
    if let newest = clock.ring.newest, let identity = clock.ring.identity {
      status.proven = FreshnessToken(identity, newest.lsn)
      status.staleness = clock.ring.staleness(of: newest.lsn, now: loop.now)
    }
    return [status] + nodes.map { $0.status(clock.ring) }
  }

  /// Takes a node out, or back; false when there is none of that name.
  ///
  /// Reads that run there may finish. The primary cannot be taken out.
  public func setDrained(_ isDrained: Bool, node name: String) -> Bool {
    guard let node = nodes.first(where: { $0.name == name }) else { return false }
    node.setDrained(isDrained)
    return true
  }

  // MARK: What a cache asks

  /// Is told each position of the primary that the clock brings, and the time before it was asked
  /// for.
  public var onSample: (FreshnessToken, MonotonicTime) -> Void {
    get { clock.onSample }
    set { clock.onSample = newValue }
  }

  /// What an entry must hold to answer a read that comes in now, for a source that is asked before
  /// any database.
  ///
  /// - Returns: nil when no entry will do: the level is STRONG or ANALYTICS, values that are staged
  ///   are asked for, or nothing can be proven.
  /// - Throws: `.tokenOfOtherCluster`, `.tokenOfOtherTimeline`.
  public func requiredOfCache(
    _ requirement: ReadRequirement
  ) throws(StorageError) -> FreshnessToken? {
    let goal = try ReadGoal(requirement, clock.ring, now: loop.now)
    // How new an entry may be at most nobody knows.
    guard !requirement.isMonotonic else { return nil }
    switch goal.kind {
    case .primary, .budgetedPrimary, .warehouse: return nil
    case .replicas: return goal.position
    }
  }

  /// The proof of an answer that was held up to `token`; nil when nothing is known of its age.
  public func proof(ofCached token: FreshnessToken) -> ReadProof? {
    guard token.identity == clock.ring.identity else { return nil }
    return clock.ring.staleness(of: token.lsn, now: loop.now).map {
      ReadProof(
        origin: .cache,
        node: "cache",
        asOf: token,
        staleness: $0,
        isDegraded: false,
        waited: .zero,
        cache: .hit
      )
    }
  }

  // MARK: Reads

  /// Whether nothing has been heard of the primary for a while.
  var isPrimarySilent: Bool { clock.isSilent }

  /// Runs the statements of one read, all on the same node.
  ///
  /// - Throws: `.postgres`, `.notPrimary`, `.unprovableSnapshot`, `.noAnalyticsSource`,
  ///   `.floorsUnprovable`, `.noveltyUnknown`, `.primarySilent`, `.fallbackBudgetSpent`, the token
  ///   errors.
  public func read(
    _ statements: [PostgresStatement],
    _ requirement: ReadRequirement,
    deadline: MonotonicTime
  ) async throws(StorageError) -> ReadAnswer {
    let goal = try ReadGoal(requirement, clock.ring, now: loop.now)
    if goal.kind == .warehouse, requirement.isMonotonic, !warehouseFeed.isPostgreSQL {
      throw .noveltyUnknown
    }
    var course = Course(ReadPlan(goal.kind, allowsDegraded: requirement.allowsDegraded))
    while true {
      switch course.plan.next(situation(goal)) {
      case .node(let index):
        let answer = try await ask(index, statements, requirement, deadline, &course) {
          goal.isMet(by: $0)
        }
        if let answer { return answer }
      case .degraded(let index):
        let identity = clock.ring.identity
        let answer = try await ask(index, statements, requirement, deadline, &course) {
          $0.identity == identity ?? $0.identity
        }
        if let answer { return degraded(answer, goal) }
      case .waitFor(let index):
        let start = loop.now
        let limit = min(deadline, start + ReadRouter.waitMax)
        _ = await nodes[index].wait(for: goal, until: limit)
        course.waited += loop.now - start
        statistics.waits += 1
      case .primary:
        do throws(StorageError) {
          return try await askPrimary(statements, requirement, goal, deadline, course.waited)
        } catch {
          // Another node would say the same.
          guard error.isOfOneNode else { throw error }
          course.last = error
        }
      case .fail(let refusal): throw refused(refusal, goal, course.last)
      }
    }
  }

  /// How far a read has come.
  private struct Course {
    var plan: ReadPlan
    var last = StorageError.noAnalyticsSource
    var waited = Duration.zero

    init(_ plan: ReadPlan) { self.plan = plan }
  }

  private func situation(_ goal: ReadGoal) -> ReadPlan.Situation {
    var origin: ReadOrigin?
    switch goal.kind {
    case .primary, .budgetedPrimary: break
    case .replicas: origin = .replica
    case .warehouse: origin = .warehouse
    }
    var candidates: [ReadPlan.Candidate] = []
    for (index, node) in nodes.enumerated() where node.origin == origin {
      candidates.append(node.candidate(index, goal, clock.ring))
    }
    return ReadPlan.Situation(
      candidates: candidates,
      isPrimarySilent: hasReplicas && clock.isSilent,
      isBudgetSpent: budget.isSpent
    )
  }

  /// Asks a node; nil when the read has to go on.
  private func ask(
    _ index: Int,
    _ statements: [PostgresStatement],
    _ requirement: ReadRequirement,
    _ deadline: MonotonicTime,
    _ course: inout Course,
    _ isEnough: (FreshnessToken) -> Bool
  ) async throws(StorageError) -> ReadAnswer? {
    let node = nodes[index]
    let fault: NodeFault
    do throws(NodeFault) {
      let (results, token) = try await node.read(
        statements,
        asksSeen: requirement.isMonotonic,
        deadline: deadline,
        isEnough
      )
      // Measured when the answer is here: whatever delayed it, the data is not older than this.
      guard let staleness = clock.ring.staleness(of: token.lsn, now: loop.now) else {
        throw .shortfall
      }
      return ReadAnswer(
        results: results,
        proof: ReadProof(
          origin: node.origin,
          node: node.name,
          asOf: token,
          staleness: staleness,
          isDegraded: false,
          waited: course.waited
        )
      )
    } catch {
      fault = error
    }
    node.count(fault)
    switch fault {
    case .shortfall: course.plan.note(.shortfall)
    case .conflict(let error):
      course.plan.note(.conflict)
      course.last = .postgres(error)
    case .failure(let error):
      course.plan.note(.failure)
      course.last = .postgres(error)
    case .final(let error): throw error
    }
    return nil
  }

  private func degraded(_ answer: ReadAnswer, _ goal: ReadGoal) -> ReadAnswer {
    var answer = answer
    // It may have caught up meanwhile.
    answer.proof.isDegraded = !goal.isMet(by: answer.proof.asOf)
    if answer.proof.isDegraded { statistics.degraded += 1 }
    return answer
  }

  private func askPrimary(
    _ statements: [PostgresStatement],
    _ requirement: ReadRequirement,
    _ goal: ReadGoal,
    _ deadline: MonotonicTime,
    _ waited: Duration
  ) async throws(StorageError) -> ReadAnswer {
    let isLimited = goal.kind != .primary
    guard !isLimited || budget.take() else { throw .fallbackBudgetSpent }
    primaryStatus.readsInFlight += 1
    defer {
      primaryStatus.readsInFlight -= 1
      if isLimited { budget.giveBack() }
    }
    let allowed = deadline - loop.now
    var answer: ReadAnswer
    do throws(StorageError) {
      answer = try await primary.read(
        statements,
        requirement,
        newest: clock.ring.identity,
        deadline: deadline
      )
    } catch {
      if error.isFailure(allowed: allowed) { primaryStatus.failures += 1 }
      throw error
    }
    answer.proof.waited = waited
    primaryStatus.reads += 1
    if isLimited, hasReplicas {
      primaryStatus.fallbacks += 1
      statistics.fallbacks += 1
    }
    return answer
  }

  private func refused(
    _ refusal: ReadPlan.Refusal,
    _ goal: ReadGoal,
    _ last: StorageError
  ) -> StorageError {
    switch refusal {
    case .primarySilent:
      statistics.silenceRefusals += 1
      return .primarySilent
    case .budgetSpent:
      statistics.budgetRefusals += 1
      return .fallbackBudgetSpent
    case .noWarehouse:
      return goal.hasFloor && warehouseFeed == .unordered ? .floorsUnprovable : .noAnalyticsSource
    case .lastError: return last
    }
  }
}
