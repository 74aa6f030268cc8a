internal import EventLoop

// A replica or the warehouse, as one worker knows it.

/// One node beside the primary: its pool, its breaker, and what it was last seen to hold.
///
/// Confined to its loop's thread. `NodeWatch` looks at it all the time; nothing is answered on the
/// strength of what was seen, each read carries its own proof.
final class ReadNode {
  let name: String
  let origin: ReadOrigin
  let dsn: PostgresDSN
  let prover = ServerProver(asksStandby: true)
  /// Of a warehouse.
  let heartbeat: WarehouseProof
  private let pool: PostgresPool
  private let loop: EventLoop
  private let log: (String) -> Void
  private(set) var breaker: CircuitBreaker
  private(set) var status: NodeStatus
  /// What it held when it was last looked at or read; nil when it proved nothing.
  private(set) var seen: (token: FreshnessToken, at: MonotonicTime)?
  /// Why it proved nothing when it was last looked at.
  private var reason = ReadNode.unheard
  private var reading: [ObjectIdentifier: PostgresConnection] = [:]
  /// Reads that wait for it to hold something, by number.
  private var waiters: [UInt64: (goal: ReadGoal, cell: WaitCell<Bool>)] = [:]
  private var lastWaiter: UInt64 = 0
  /// Wakes whoever looks at the node.
  var onHurry: () -> Void = {}

  /// Before the first look, and the first one after it was drained.
  private static let unheard = "nothing has been heard of it yet"
  /// How old what was seen may be for the node to be asked at all.
  static let seenMax: Duration = .seconds(1)
  /// How long a read waits for a connection to it before it goes elsewhere.
  private static let acquireMax: Duration = .seconds(1)

  init(
    _ settings: ReadNodeSettings,
    connections: Int,
    loop: EventLoop,
    log: @escaping (String) -> Void
  ) {
    var limits = PoolLimits()
    limits.connectionsMax = connections
    limits.connectTimeout = .seconds(2)
    name = settings.name
    origin = settings.origin
    dsn = settings.dsn
    heartbeat = WarehouseProof(feed: settings.feed)
    self.loop = loop
    self.log = log
    pool = PostgresPool(dsn, role: .pooled("read"), limits: limits, on: loop)
    breaker = CircuitBreaker(seed: .random(in: 0...UInt64.max))
    status = NodeStatus(name, origin)
  }

  var isHurried: Bool { !waiters.isEmpty }

  /// How `NodeStatus` shows it now.
  func status(_ ring: LSNRing) -> NodeStatus {
    breaker.advance(loop.now)
    noteTransitions()
    var status = status
    status.state = breaker.state
    status.readsInFlight = reading.count
    status.proven = seen?.token
    status.staleness = seen.flatMap { seen in
      seen.token.identity == ring.identity
        ? ring.staleness(of: seen.token.lsn, now: loop.now) : nil
    }
    status.trouble = trouble(ring)
    return status
  }

  /// Why no read is sent there now.
  private func trouble(_ ring: LSNRing) -> String? {
    if breaker.state == .drained { return "drained by an operator" }
    guard let seen else { return reason }
    guard let primary = ring.identity, seen.token.identity != primary else { return nil }
    guard seen.token.systemIdentifier == primary.systemIdentifier else {
      return "it belongs to another database cluster than the primary"
    }
    return "it is on timeline \(seen.token.timeline), the primary on \(primary.timeline): it does"
      + " not follow the primary"
  }

  /// How `ReadPlan` sees it.
  func candidate(_ index: Int, _ goal: ReadGoal, _ ring: LSNRing) -> ReadPlan.Candidate {
    let now = loop.now
    let current = seen.flatMap { now - $0.at <= ReadNode.seenMax ? $0.token : nil }
    let isOnTimeline = current.map { $0.identity == ring.identity ?? $0.identity } ?? false
    let allows = breaker.allows(.read, now: now)
    noteTransitions()
    return ReadPlan.Candidate(
      node: index,
      isOpenForReads: allows && isOnTimeline,
      holds: current.map { goal.isMet(by: $0) } ?? false,
      lagMilliseconds: current.flatMap {
        ring.staleness(of: $0.lsn, now: now)?.wholeMilliseconds
      },
      readsInFlight: reading.count,
      readCount: status.reads
    )
  }

  // MARK: Reads

  /// Runs the statements of a read behind the node's proof.
  ///
  /// - Parameters:
  ///   - statements: what is read.
  ///   - asksSeen: whether the token is to say how new at most the answers are.
  ///   - deadline: until when.
  ///   - isEnough: whether what the node proves will do.
  /// - Returns: the answers, and what they hold.
  /// - Throws: `NodeFault`; what came back is dropped then.
  func read(
    _ statements: [PostgresStatement],
    asksSeen: Bool,
    deadline: MonotonicTime,
    _ isEnough: (FreshnessToken) -> Bool
  ) async throws(NodeFault) -> (results: [PostgresResult], token: FreshnessToken) {
    guard let permit = breaker.permit(.read, now: loop.now) else { throw .shortfall }
    let allowed = deadline - loop.now
    let outcome: Result<Proven, PostgresError>
    do throws(PostgresError) {
      outcome = .success(try await run(statements, asksSeen, deadline))
    } catch {
      outcome = .failure(error)
    }
    switch outcome {
    case .failure(let error):
      let ending = CircuitBreaker.Ending(error, allowed: allowed)
      if case .failure = ending { status.failures += 1 }
      end(permit, ending)
      throw NodeFault(error)
    case .success(let answer):
      end(permit, .success)
      see(answer.token, because: noProof)
      guard let token = answer.token, isEnough(token) else { throw .shortfall }
      status.reads += 1
      return (answer.results, token)
    }
  }

  /// Counts what stood in the way of a read; failures are counted with the breaker.
  func count(_ fault: NodeFault) {
    switch fault {
    case .shortfall: status.reroutes += 1
    case .conflict: status.conflicts += 1
    case .failure, .final: break
    }
  }

  private struct Proven {
    /// What is held; nil when nothing is proven, and then there are no results.
    var token: FreshnessToken?
    var results: [PostgresResult]
  }

  private func run(
    _ statements: [PostgresStatement],
    _ asksSeen: Bool,
    _ deadline: MonotonicTime
  ) async throws(PostgresError) -> Proven {
    let limit = min(deadline, loop.now + ReadNode.acquireMax)
    let connection = try await pool.acquire(deadline: limit)
    let key = ObjectIdentifier(connection)
    reading[key] = connection
    defer {
      reading[key] = nil
      pool.release(connection)
    }
    return origin == .warehouse
      ? try await readWarehouse(statements, asksSeen, connection, deadline)
      : try await readReplica(statements, asksSeen, connection, deadline)
  }

  private func readReplica(
    _ statements: [PostgresStatement],
    _ asksSeen: Bool,
    _ connection: PostgresConnection,
    _ deadline: MonotonicTime
  ) async throws(PostgresError) -> Proven {
    let answers = try await prover.run(
      statements,
      on: connection,
      asksSeen: asksSeen,
      deadline: deadline
    )
    // Promoted: whoever follows the primary does not follow this one.
    guard answers.proof.isAsExpected, answers.proof.isReadCommitted else {
      return Proven(token: nil, results: [])
    }
    var results: [PostgresResult] = []
    for result in answers.results { results.append(try result.get()) }
    return Proven(token: answers.token, results: results)
  }

  private func readWarehouse(
    _ statements: [PostgresStatement],
    _ asksSeen: Bool,
    _ connection: PostgresConnection,
    _ deadline: MonotonicTime
  ) async throws(PostgresError) -> Proven {
    let head = [WarehouseProof.begin, WarehouseProof.digits, heartbeat.statement]
    let answers = try await connection.pipeline(
      head + statements
        + [asksSeen ? WarehouseProof.received : nil, WarehouseProof.commit].compactMap(\.self),
      deadline: deadline
    )
    _ = try answers[0].get()
    _ = try answers[1].get()
    guard var token = try heartbeat.token(answers[2].get()) else {
      return Proven(token: nil, results: [])
    }
    var results: [PostgresResult] = []
    for answer in answers.dropFirst(head.count) { results.append(try answer.get()) }
    if asksSeen {
      guard let received = try results[statements.count].lsn(row: 0, column: 0) else {
        return Proven(token: nil, results: [])
      }
      token.seen = received
    }
    return Proven(token: token, results: Array(results.prefix(statements.count)))
  }

  /// What it means when a node answers and proves nothing.
  var noProof: String {
    origin == .warehouse
      ? heartbeat.absence
      : "it is no standby with isolation READ COMMITTED: promoted, or not a replica's address"
  }

  // MARK: Waiting

  /// Waits until the node is seen to hold what a read needs.
  ///
  /// - Returns: false when it does not by `limit`.
  func wait(for goal: ReadGoal, until limit: MonotonicTime) async -> Bool {
    lastWaiter += 1
    let number = lastWaiter
    let cell = WaitCell<Bool>()
    var timer: TimerID?
    let isMet = await cell.wait(cancelled: false) {
      waiters[number] = (goal, cell)
      timer = loop.schedule(at: limit) { cell.resume(false) }
      onHurry()
    }
    waiters[number] = nil
    if let timer { loop.cancel(timer) }
    return isMet
  }

  /// Takes note of what the node holds, or why it proves nothing.
  ///
  /// - Parameters:
  ///   - token: nil when it proves nothing; what it proves ends the reason of an earlier time.
  ///   - reason: why it proves nothing; nil leaves the reason of an earlier time.
  func see(_ token: FreshnessToken?, because reason: String? = nil) {
    if token != nil {
      self.reason = ReadNode.unheard
    } else if let reason {
      self.reason = reason
    }
    seen = token.map { ($0, loop.now) }
    guard let token else { return }
    for waiter in waiters.values where waiter.goal.isMet(by: token) { waiter.cell.resume(true) }
  }

  // MARK: The breaker

  /// The right to look at the node.
  func probe() -> CircuitBreaker.Permit? {
    let permit = breaker.permit(.probe, now: loop.now)
    noteTransitions()
    return permit
  }

  func end(_ permit: CircuitBreaker.Permit, _ ending: CircuitBreaker.Ending) {
    breaker.end(permit, ending, now: loop.now)
    noteTransitions()
  }

  /// Lets it go, or takes it back; what runs may finish.
  func setDrained(_ isDrained: Bool) {
    if isDrained { breaker.drain() } else { breaker.restore(now: loop.now) }
    noteTransitions()
    onHurry()
  }

  private func noteTransitions() {
    for transition in breaker.takeTransitions() { log("\(name): \(transition)") }
  }

  /// Ends reads that wait for a node which has fallen silent, so that they go elsewhere.
  func abandonReads() {
    for connection in Array(reading.values) { connection.close() }
  }

  func shutDown() async { await pool.shutdown(deadline: loop.now + .seconds(2)) }
}
