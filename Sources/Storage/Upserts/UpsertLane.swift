public import EventLoop

// Writes upserts for callers who wait: one transaction takes all that came in meanwhile.

/// What a lane of upserts has done.
public struct UpsertStatistics: Equatable, Sendable {
  /// Upserts committed.
  public var upserts: Int64 = 0
  /// Transactions committed.
  public var groups: Int64 = 0
  /// Upserts refused because too many waited.
  public var refused: Int64 = 0
}

/// The upserts of one worker.
///
/// Natural batching: while a transaction runs the next group gathers. When PostgreSQL refuses the
/// data of a group, its halves are tried, so that a bad upsert fails alone. The connections keep no
/// session state, so that a transaction pooler may stand between. Confined to its loop's thread.
public final class UpsertLane {
  /// Counters.
  public private(set) var statistics = UpsertStatistics()

  /// Is told which newest values have changed; nil without a cache.
  var cached: CachedEntities?

  private let queue = UpsertQueue()
  private let pool: PostgresPool
  private let loop: EventLoop
  private var clusters: [Int64: UInt64] = [:]
  /// Upserts of the transactions under way.
  private var writing = 0
  private var isShutDown = false

  /// How many tasks `run` wants.
  public static let writerCount = UpsertLimits.connectionsMax

  /// A lane that connects when it has something to write.
  public init(_ dsn: PostgresDSN, loop: EventLoop) {
    self.loop = loop
    var limits = PoolLimits()
    limits.connectionsMax = UpsertLimits.connectionsMax
    limits.connectionsMin = 0
    pool = PostgresPool(
      dsn,
      role: .pooled("upsert", requiresSynchronousCommit: true),
      limits: limits,
      on: loop
    )
  }

  /// Whether nothing waits or is being written.
  public var isIdle: Bool { queue.isEmpty && writing == 0 }

  /// Upserts that wait for a transaction.
  var waitingCount: Int { queue.count }

  /// Is told what has become of an upsert.
  public typealias Done = (Result<UpsertOutcome, StorageError>) -> Void

  /// Writes an upsert; the caller has checked it with `UpsertCheck`.
  ///
  /// At the deadline the caller is told at once: `.outcomeUnknown` when the transaction is under
  /// way, and `.postgres(.waitTimedOut)` when it has not begun, which it never will then. Other
  /// errors are `.tooManyUpserts`, `.projectionFull`, `.valueRefused`, `.outcomeUnknown` when it
  /// may have been written, `.postgres` when it has not been and will not be.
  ///
  /// - Parameters:
  ///   - upsert: what is written.
  ///   - deadline: until when.
  ///   - done: is called once, at once when it is refused or in a later turn of the loop. A task
  ///     that waits for each would cost more than its share of the transaction.
  public func ask(_ upsert: Upsert, deadline: MonotonicTime, _ done: @escaping Done) {
    guard !isShutDown else { return done(.failure(.postgres(.closed))) }
    let entry = UpsertQueue.Entry(upsert, deadline: deadline, done)
    guard queue.append(entry) else {
      statistics.refused += 1
      return entry.end(.failure(.tooManyUpserts))
    }
    entry.timer = loop.schedule(at: deadline) { entry.expire() }
  }

  /// The same for a task that waits.
  ///
  /// - Throws: the errors of `ask`.
  public func write(
    _ upsert: Upsert,
    deadline: MonotonicTime
  ) async throws(StorageError) -> UpsertOutcome {
    let cell = WaitCell<Result<UpsertOutcome, StorageError>>()
    return try await cell.wait {
      ask(upsert, deadline: deadline) { cell.resume($0) }
    }.get()
  }

  /// Writes until it is shut down; run `writerCount` of these.
  public func run() async {
    while !isShutDown {
      let group = queue.takeGroup(beside: writing)
      guard !group.isEmpty else {
        if queue.isEmpty { await queue.sleep() }
        continue
      }
      writing += group.count
      await write(group[...])
      writing -= group.count
    }
  }

  /// Ends `run`; what waits is refused.
  public func shutDown() async {
    isShutDown = true
    queue.wakeAll()
    while !queue.isEmpty {
      for entry in queue.takeGroup(beside: 0) { end(entry, .failure(.postgres(.closed))) }
    }
    await pool.shutdown(deadline: loop.now + .seconds(2))
  }

  // MARK: One group

  /// Those that are in time; the others are told that they are not written.
  private func current(_ group: ArraySlice<UpsertQueue.Entry>) -> ArraySlice<UpsertQueue.Entry> {
    let now = loop.now
    return group.filter { entry in
      guard now >= entry.deadline else { return true }
      entry.expire()
      return false
    }[...]
  }

  private func write(
    _ all: ArraySlice<UpsertQueue.Entry>,
    _ way: UpsertStatement.Way? = nil
  ) async {
    var (group, attempts) = (all, 0)
    while true {
      do throws(StorageError) {
        let way = way ?? UpsertStatement.Way(group.map(\.upsert))
        let outcomes = try await transaction(&group, way)
        let left = await end(group, outcomes)
        if !left.isEmpty { await write(left, .any) }
        return
      } catch {
        // Perhaps it is written, and nobody knows up to where.
        if case .outcomeUnknown = error { cached?.cache.loseInvalidation() }
        attempts += 1
        if UpsertLane.isConflict(error), attempts <= UpsertLimits.retriesMax { continue }
        guard UpsertLane.blamesData(error), group.count > 1 else {
          for entry in group { end(entry, .failure(error)) }
          return
        }
      }
      let middle = group.startIndex + group.count / 2
      await write(group[..<middle], way)
      await write(group[middle...], way)
      return
    }
  }

  private func end(_ entry: UpsertQueue.Entry, _ outcome: Result<UpsertOutcome, StorageError>) {
    if let timer = entry.timer.take() { loop.cancel(timer) }
    entry.end(outcome)
  }

  /// Tells the callers what is committed; returns those of whom nothing was written.
  private func end(
    _ group: ArraySlice<UpsertQueue.Entry>,
    _ outcomes: [UpsertOutcome?]
  ) async -> ArraySlice<UpsertQueue.Entry> {
    var written: [(entry: UpsertQueue.Entry, outcome: UpsertOutcome)] = []
    var left: [UpsertQueue.Entry] = []
    for (entry, outcome) in zip(group, outcomes) {
      if let outcome {
        written.append((entry, outcome))
      } else {
        entry.isUnderWay = false
        left.append(entry)
      }
    }
    guard !written.isEmpty else { return left[...] }
    statistics.groups += 1
    statistics.upserts += Int64(written.count)
    await tell(written)
    for (entry, outcome) in written { end(entry, .success(outcome)) }
    return left[...]
  }

  /// Tells the cache what is committed, before the callers are told that it is.
  private func tell(_ written: [(entry: UpsertQueue.Entry, outcome: UpsertOutcome)]) async {
    guard let cached, let token = written.first?.outcome.token else { return }
    var changed: Set<EntityID> = []
    // Without a version it wrote history alone.
    for (entry, outcome) in written where outcome.version > 0 {
      changed.insert(EntityID(tenant: entry.upsert.tenant, id: entry.upsert.entityID))
    }
    await cached.invalidate(changed, token)
  }

  /// Two transactions were in each other's way; nothing is written.
  private static func isConflict(_ error: StorageError) -> Bool {
    guard case .postgres(.server(let inner)) = error else { return false }
    return inner.sqlstate.family == "40"
  }

  private static func blamesData(_ error: StorageError) -> Bool {
    switch error {
    case .valueRefused, .projectionFull: true
    default: false
    }
  }

  // MARK: One transaction

  /// Writes those of a group that are in time when there is a connection; the others leave it.
  private func transaction(
    _ group: inout ArraySlice<UpsertQueue.Entry>,
    _ way: UpsertStatement.Way
  ) async throws(StorageError) -> [UpsertOutcome?] {
    let connection: PostgresConnection
    let deadline = loop.now + UpsertLimits.transactionTime
    do throws(PostgresError) {
      connection = try await pool.acquire(deadline: deadline)
    } catch {
      throw .postgres(error)
    }
    group = current(group)
    guard !group.isEmpty else {
      pool.release(connection)
      return []
    }
    for entry in group { entry.isUnderWay = true }
    let outcome: Result<[UpsertOutcome?], StorageError>
    do throws(StorageError) {
      outcome = .success(
        try await run(UpsertStatement(group.map(\.upsert), way), connection, deadline)
      )
    } catch {
      // After a failover this address may lead to the new primary.
      if case .notPrimary = error { connection.close() }
      // Nothing of it is written: those that it may be tried again for can still be dropped.
      if error != .outcomeUnknown { for entry in group { entry.isUnderWay = false } }
      outcome = .failure(error)
    }
    await connection.rollBack()
    pool.release(connection)
    return try outcome.get()
  }

  private func run(
    _ statement: UpsertStatement,
    _ connection: PostgresConnection,
    _ deadline: MonotonicTime
  ) async throws(StorageError) -> [UpsertOutcome?] {
    let asksIdentity = clusters.isEmpty
    var isCommitted = false
    do throws(PostgresError) {
      let results = try await connection.pipeline(
        statement.pipeline(asksIdentity: asksIdentity),
        deadline: deadline
      )
      _ = try results[0].get()
      let written = try results[1].get()
      guard try results[2].get().commandTag == "COMMIT" else {
        throw .protocolViolation("the transaction was not committed")
      }
      isCommitted = true
      // Cancelled by an operator while it waited for a synchronous replica: here it is, there not.
      try connection.requireReplication()
      let identity = asksIdentity ? try results[4].get() : nil
      let token = try await token(results[3].get(), identity, connection, deadline)
      return try statement.outcomes(written, token: token)
    } catch {
      throw UpsertLane.failure(error, isCommitted: isCommitted)
    }
  }

  private static func failure(_ error: PostgresError, isCommitted: Bool) -> StorageError {
    guard !isCommitted, !error.isOutcomeUnknown else { return .outcomeUnknown }
    guard case .server(let inner) = error else { return .postgres(error) }
    switch (inner.sqlstate.code, inner.sqlstate.family) {
    case (UpsertStatement.fullState.code, _): return .projectionFull
    case ("25006", _): return .notPrimary
    // Data exception, constraint, program limit, an operator's trigger.
    case (_, "22"), (_, "23"), (_, "54"), (_, "P0"): return .valueRefused
    default: return .postgres(error)
    }
  }

  private func token(
    _ position: PostgresResult,
    _ identity: PostgresResult?,
    _ connection: PostgresConnection,
    _ deadline: MonotonicTime
  ) async throws(PostgresError) -> FreshnessToken {
    guard let lsn = try position.lsn(row: 0, column: 0),
      let timeline = try position.int64(row: 0, column: 1),
      let startedAt = try position.int64(row: 0, column: 2)
    else { throw .protocolViolation("a committed transaction without its position") }
    if clusters[startedAt] == nil {
      let answer: PostgresResult
      if let identity {
        answer = identity
      } else {
        // Another server behind the same address, or the same one started again.
        answer = try await connection.query(ServerProof.identity, deadline: deadline)
      }
      guard let identifier = try answer.int64(row: 0, column: 0) else {
        throw .protocolViolation("a server without an identity")
      }
      clusters = [startedAt: UInt64(bitPattern: identifier)]
    }
    return FreshnessToken(
      systemIdentifier: clusters[startedAt] ?? 0,
      timeline: UInt32(truncatingIfNeeded: timeline),
      lsn: lsn
    )
  }
}
