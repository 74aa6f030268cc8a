public import EventLoop

// Lends connections to tasks of one loop; decides nothing, does what `PoolState` says.

/// A pool of connections for one role to one server, confined to one loop's thread.
///
/// Call it from tasks that prefer the loop as executor. It keeps itself going by the loop's timers
/// and sockets alone. End it with `shutdown`: the loop holds on to open connections.
public final class PostgresPool {
  private enum Grant: Sendable {
    case connection(PoolState.ConnectionID)
    case failure(PostgresError)
    case cancelled
  }

  private enum Place {
    case connecting(Connector)
    case open(PostgresConnection)
  }

  /// The role of its connections.
  public let role: PostgresRole
  private let dsn: PostgresDSN
  private let limits: PoolLimits
  private let loop: EventLoop
  private var state: PoolState
  /// By slot of the connection's id.
  private var places: [Place?]
  private var actions: [PoolState.Action] = []
  private var isPerforming = false
  private var waiters: [PoolState.WaiterID: WaitCell<Grant>] = [:]
  private var lastWaiter: PoolState.WaiterID = 0
  private var timer: TimerID?
  private let drained = WaitCell<Bool>()

  /// A pool without connections; `start` opens the minimum, the first caller opens what it needs.
  ///
  /// - Parameters:
  ///   - dsn: where the server is.
  ///   - role: what the connections are for.
  ///   - limits: the bounds.
  ///   - loop: whose thread everything happens on.
  ///   - seed: of the jitter; the same seed gives the same pauses.
  public init(
    _ dsn: PostgresDSN,
    role: PostgresRole,
    limits: PoolLimits = PoolLimits(),
    on loop: EventLoop,
    seed: UInt64 = .random(in: 0...UInt64.max)
  ) {
    self.dsn = dsn
    self.role = role
    self.limits = limits
    self.loop = loop
    state = PoolState(limits: limits, seed: seed)
    places = Array(repeating: nil, count: limits.connectionsMax)
  }

  /// What the pool has and did.
  public var statistics: PoolStatistics { state.statistics }

  /// Opens the minimum number of connections.
  public func start() { perform(state.start(now: loop.now)) }

  // MARK: Lending

  /// Lends a connection for as long as `body` runs.
  ///
  /// A transaction that `body` leaves open is rolled back; a connection that is not usable
  /// afterwards is closed and replaced when needed.
  ///
  /// - Parameters:
  ///   - deadline: until when to wait for a connection.
  ///   - body: must not keep the connection.
  /// - Returns: what `body` returns.
  /// - Throws: as `acquire`, and what `body` throws.
  public func withConnection<T>(
    deadline: MonotonicTime,
    _ body: (PostgresConnection) async throws(PostgresError) -> T
  ) async throws(PostgresError) -> T {
    let connection = try await acquire(deadline: deadline)
    let outcome: Result<T, PostgresError>
    do throws(PostgresError) {
      outcome = .success(try await body(connection))
    } catch {
      outcome = .failure(error)
    }
    await connection.rollBack()
    release(connection)
    return try outcome.get()
  }

  /// Takes a connection; give it back with `release`.
  ///
  /// - Throws: `.poolFull`, `.waitTimedOut`, `.connectFailed` during an outage, `.cancelled` when
  ///   the task was cancelled, `.closed` after shutdown began.
  public func acquire(deadline: MonotonicTime) async throws(PostgresError) -> PostgresConnection {
    if let id = state.takeIdle() { return lend(id) }
    lastWaiter += 1
    let waiter = lastWaiter
    let cell = WaitCell<Grant>()
    waiters[waiter] = cell
    let grant = await cell.wait(cancelled: .cancelled) {
      perform(state.acquire(waiter, deadline: deadline, now: loop.now))
    }
    waiters[waiter] = nil
    switch grant {
    case .connection(let id): return lend(id)
    case .failure(let error): throw error
    case .cancelled:
      state.cancel(waiter)
      throw .cancelled(outcomeUnknown: false)
    }
  }

  /// Gives a connection back.
  ///
  /// One that is in a transaction or not usable is closed.
  public func release(_ connection: PostgresConnection) {
    guard let id = connection.lease.take() else {
      preconditionFailure("a connection of this pool, given back once")
    }
    let isHealthy = connection.isUsable && connection.isIdle
    perform(state.released(id, isHealthy: isHealthy, now: loop.now))
  }

  /// Refuses new callers and waiting ones, waits until lent connections are back, then closes what
  /// is left.
  ///
  /// - Parameter deadline: when connections still lent are closed under their users.
  public func shutdown(deadline: MonotonicTime) async {
    perform(state.shutDown())
    if let timer = timer.take() { loop.cancel(timer) }
    guard !state.isDrained else { return }
    let limit = loop.schedule(at: deadline) { [drained] in drained.resume(false) }
    let isDrained = await drained.wait()
    loop.cancel(limit)
    guard !isDrained else { return }
    for case .open(let connection) in places { connection.close() }
  }

  // MARK: Private

  private func lend(_ id: PoolState.ConnectionID) -> PostgresConnection {
    guard case .open(let connection) = places[id.slot] else {
      preconditionFailure("only open connections are lent")
    }
    connection.lease = id
    return connection
  }

  /// Does what the state decided, in its order: an action may end at once and bring new ones, which
  /// wait.
  private func perform(_ more: [PoolState.Action]) {
    guard !more.isEmpty else { return noteDrained() }
    actions += more
    guard !isPerforming else { return }
    isPerforming = true
    var index = 0
    while index < actions.count {
      switch actions[index] {
      case .connect(let id): connect(id)
      case .close(let id): close(id)
      case .give(let waiter, let id): give(id, to: waiter)
      case .fail(let waiter, let error): waiters[waiter]?.resume(.failure(error))
      case .scheduleTick(let time): scheduleTick(time)
      }
      index += 1
    }
    actions.removeAll(keepingCapacity: true)
    isPerforming = false
    noteDrained()
  }

  private func noteDrained() {
    if state.isDrained { drained.resume(true) }
  }

  private func connect(_ id: PoolState.ConnectionID) {
    let connector = Connector(dsn, role: role, on: loop) { [weak self] outcome in
      self?.connected(id, outcome)
    }
    places[id.slot] = .connecting(connector)
    connector.start(deadline: loop.now + limits.connectTimeout)
  }

  private func connected(_ id: PoolState.ConnectionID, _ outcome: Connector.Outcome) {
    switch outcome {
    case .success(let connection):
      places[id.slot] = .open(connection)
      connection.onBroken = { [weak self] in
        guard let self else { return }
        perform(state.broken(id, now: loop.now))
      }
      perform(state.connected(id, now: loop.now))
    case .failure(let error):
      places[id.slot] = nil
      perform(state.connectFailed(id, error, now: loop.now))
    }
  }

  private func close(_ id: PoolState.ConnectionID) {
    switch places[id.slot].take() {
    case .connecting(let connector): connector.stop()
    case .open(let connection): connection.close()
    case nil: preconditionFailure("only what exists is closed")
    }
  }

  private func give(_ id: PoolState.ConnectionID, to waiter: PoolState.WaiterID) {
    // A cancel from another thread may have come first: then the connection goes to the next one.
    if waiters[waiter]?.resume(.connection(id)) == true { return }
    perform(state.released(id, isHealthy: true, now: loop.now))
  }

  private func scheduleTick(_ time: MonotonicTime) {
    if let timer { loop.cancel(timer) }
    timer = loop.schedule(at: time) { [weak self] in
      guard let self else { return }
      timer = nil
      perform(state.tick(now: loop.now))
    }
  }
}

extension PostgresPool: CustomReflectable {
  /// Shows the counters only, as from here everything on the loop can be reached.
  public var customMirror: Mirror { Mirror(self, children: ["statistics": statistics]) }
}
