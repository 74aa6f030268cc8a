public import EventLoop

// Writes batches so that an ack means committed and flushed: one transaction takes all that waits.

/// The DURABLE lane of one writer connection, and the promoter of the STAGED one.
///
/// Natural batching: while one transaction runs the next group fills. Nothing is dropped: a group
/// whose transaction fails is tried again until every batch in it has an ending.
public final class DurableLane: Lane {
  /// Counters, and how it goes at the moment.
  public var statistics: LaneStatistics {
    var sum = counted
    sum.waitingBytes = Int64(waitingBytes)
    sum.waitingSince = writingSince ?? queue.waitingSince
    sum.trouble = connection.trouble
    return sum
  }

  private let queue: LaneQueue
  private let loop: EventLoop
  private let connection: LaneConnection
  private let linger: Duration
  private var counted = LaneStatistics()
  private var isWriting = false
  /// When the oldest batch came that is being written.
  private var writingSince: MonotonicTime?
  private var isEnding = false
  private var isAbandoned = false
  private let recycle: ((LaneGroup) -> Void)?
  /// Is told which newest values have changed; nil without a cache.
  var cached: CachedEntities?

  /// A lane that connects when it has something to write.
  ///
  /// - Parameters:
  ///   - dsn: the primary, directly: not through a transaction pooler.
  ///   - role: shown in pg_stat_activity.
  ///   - loop: the worker's.
  ///   - log: takes sentences for operators.
  public convenience init(
    _ dsn: PostgresDSN,
    role: String,
    loop: EventLoop,
    log: @escaping (String) -> Void
  ) {
    self.init(dsn, role: role, loop: loop, linger: .zero, recycle: nil, log: log)
  }

  /// A promoter waits `linger` for more before it writes, so that one flush of the log serves many.
  init(
    _ dsn: PostgresDSN,
    role: String,
    loop: EventLoop,
    linger: Duration,
    recycle: ((LaneGroup) -> Void)?,
    log: @escaping (String) -> Void
  ) {
    self.loop = loop
    self.linger = linger
    self.recycle = recycle
    queue = LaneQueue(loop: loop, isStaged: false)
    connection = LaneConnection(dsn, role: role, loop: loop, log: log)
  }

  /// Whether nothing is waiting or being written.
  public var isIdle: Bool { queue.isEmpty && !isWriting }

  /// Bytes of rows waiting for a transaction.
  public var waitingBytes: Int { queue.waitingBytes }

  /// Encodes a batch for the next transaction.
  public func submit(_ batch: LaneBatch, _ columns: borrowing BatchColumns, hot: [UInt32]) {
    queue.append(batch, columns, hot: hot)
  }

  /// Takes over a group that is staged.
  func promote(_ group: LaneGroup) {
    queue.append(group)
    if linger == .zero || queue.waitingBytes >= LaneLimits.promotionBytes { queue.wake() }
  }

  /// Writes until it is shut down.
  public func run() async {
    while !isAbandoned {
      if queue.isEmpty {
        guard !isEnding else { break }
        // A promoter looks when its time has come; a durable lane is woken by the first batch.
        await queue.sleep(atMost: linger == .zero ? nil : linger)
        continue
      }
      isWriting = true
      let groups = takeGroups()
      writingSince = groups.first?.startedAt
      await write(groups)
      writingSince = nil
      isWriting = false
    }
    connection.close()
  }

  /// Ends `run()` once everything submitted is written, or at once.
  public func shutDown(abandoning: Bool) {
    isEnding = true
    if abandoning {
      isAbandoned = true
      connection.close()
    }
    queue.wake()
  }

  // MARK: One transaction

  private func takeGroups() -> [LaneGroup] {
    var groups: [LaneGroup] = []
    var bytes = 0
    while let group = queue.take() {
      groups.append(group)
      bytes += group.bytes
      // A durable group is a transaction of its own; a promotion takes several.
      if linger == .zero || bytes >= LaneLimits.promotionBytes { break }
    }
    return groups
  }

  /// Tries until every batch of the groups is over.
  private func write(_ groups: [LaneGroup]) async {
    var pause = LaneLimits.backoffMin
    // Falls when PostgreSQL refuses a transaction and no row of it is to blame.
    var batchesMax = Int.max
    // What is staged others may promote, too.
    var mayBeCommitted = linger != .zero
    while !isAbandoned {
      LaneTransaction.endAbandoned(groups)
      let transaction = LaneTransaction(groups, batchesMax: batchesMax)
      guard !transaction.isEmpty else { break }
      #if SLUICE_FAULT_EARLY_ACK
      // WRONG ON PURPOSE, and in no build but that of `scripts/faults --mutants`: promises what is
      // not committed, which the fault matrix must notice.
      transaction.end(at: connection.token(at: PostgresLSN(value: 0)))
      #endif
      do throws(PostgresError) {
        let outcome = try await transaction.run(
          on: connection.ready(),
          deadline: loop.now + LaneLimits.transactionTime
        )
        connection.report(nil, doing: "writing")
        counted.groupsCommitted += 1
        counted.hotFolded += outcome.folded
        let token = connection.token(at: outcome.position)
        if outcome.folded > 0 { await tell(transaction, token) }
        #if !SLUICE_FAULT_EARLY_ACK
        transaction.end(at: token)
        #endif
        pause = LaneLimits.backoffMin
      } catch {
        counted.groupsRetried += 1
        await recover(from: error, transaction, &mayBeCommitted, &pause, &batchesMax)
      }
    }
    for group in groups { recycle?(group) ?? queue.recycle(group) }
  }

  private func recover(
    from error: PostgresError,
    _ transaction: LaneTransaction,
    _ mayBeCommitted: inout Bool,
    _ pause: inout Duration,
    _ batchesMax: inout Int
  ) async {
    switch error.remedy {
    case .takeOutLosers(let losers):
      await settle(losers, transaction, mayBeCommitted, &pause)
    case .bisect:
      connection.report(error, doing: "writing")
      do throws(PostgresError) {
        let refused = try await transaction.bisect(on: connection.ready()) { [loop] in
          loop.now + LaneLimits.transactionTime
        }
        counted.valuesRefused += Int64(refused)
        if refused == 0 { batchesMax = max(1, transaction.count / 2) }
      } catch {
        await wait(&pause)
      }
    case .retry:
      // An unknown outcome is looked up by trying again: the guard finds what is committed already,
      // also where only the wait for a replica was cut short.
      mayBeCommitted = true
      connection.report(error, doing: "writing")
      await wait(&pause)
    }
  }

  /// Ends the batches of producers that lost; those that were committed before are durable.
  private func settle(
    _ losers: [GroupStatement.Loser],
    _ transaction: LaneTransaction,
    _ mayBeCommitted: Bool,
    _ pause: inout Duration
  ) async {
    // What an earlier attempt committed may still wait for a replica: nobody is told before.
    let position: PostgresLSN
    do throws(PostgresError) {
      position = try await connection.ready().confirmCommits(
        deadline: loop.now + LaneLimits.transactionTime
      )
    } catch {
      connection.report(error, doing: "confirming what was committed")
      return await wait(&pause)
    }
    let token = connection.token(at: position)
    // Nobody knows whether the attempt that committed them had told.
    await tell(transaction, token)
    transaction.settle(losers, at: token, mayBeCommitted: mayBeCommitted)
  }

  /// Tells the cache what is committed, before anybody is told that it is.
  private func tell(_ transaction: LaneTransaction, _ token: FreshnessToken) async {
    guard let cached else { return }
    await cached.invalidate(transaction.hotEntities, token)
  }

  private func wait(_ pause: inout Duration) async {
    guard !isAbandoned else { return }
    await loop.sleep(for: pause)
    pause = min(pause * 2, LaneLimits.backoffMax)
  }
}
