public import EventLoop

// Writes batches first into an UNLOGGED segment, then from memory into the values' table.

/// The STAGED lane of one worker.
///
/// The first ack comes when a batch is committed in a segment, which costs no flush of the log. The
/// rows stay in memory and are promoted by a direct COPY of many groups at once: half the log that
/// INSERT..SELECT out of the segment would write. The segment serves readers that want what is not
/// durable yet, and whoever adopts it when this gateway dies; when it is empty of such values it is
/// truncated.
public final class StagedLane: Lane {
  /// Longest wait for more to promote together.
  ///
  /// 25 ms: p95 of a staged ack at 10,000 values/s was 1.29 to 1.38 ms, with 80 ms 1.58 to 1.64;
  /// with 10 ms it was no better (1.3 to 2.0 against 1.4 to 1.6).
  public static let linger = Duration.milliseconds(25)
  /// A segment with so many bytes is left for the other one, and truncated once all in it is
  /// durable.
  static let segmentBytesMax = 64 << 20

  private let queue: LaneQueue
  private let promoter: DurableLane
  private let loop: EventLoop
  private let connection: LaneConnection
  private let gateway: ProducerID
  private let slots: [Int]
  private var segments: [Segment] = []
  private var segmentsGeneration = -1
  private var current = 0
  private var isWriting = false
  /// When the oldest batch came that is being staged.
  private var stagingSince: MonotonicTime?
  private var isEnding = false
  private var isAbandoned = false
  private var own = LaneStatistics()
  /// Of the staging area as last read, 0 before; a new one means that what was staged is in memory
  /// only.
  private(set) var incarnation: UInt64 = 0
  /// Is told of every new incarnation, before anything is staged in it.
  var incarnationChanged: ((UInt64) -> Void)?

  /// One of the two tables that take turns.
  private struct Segment {
    let name: String
    var bytes: Int
  }

  /// A lane that makes its segments when it has something to stage.
  ///
  /// - Parameters:
  ///   - dsn: the primary, directly.
  ///   - gateway: names this gateway's segments.
  ///   - workerIndex: tells the workers' segments apart.
  ///   - loop: the worker's.
  ///   - log: takes sentences for operators.
  public init(
    _ dsn: PostgresDSN,
    gateway: GatewayIdentity,
    workerIndex: Int,
    loop: EventLoop,
    log: @escaping (String) -> Void
  ) {
    self.loop = loop
    self.gateway = gateway.id
    slots = [workerIndex * 2, workerIndex * 2 + 1]
    queue = LaneQueue(loop: loop, isStaged: true)
    connection = LaneConnection(dsn, role: "stage", loop: loop, log: log)
    promoter = DurableLane(
      dsn,
      role: "promote",
      loop: loop,
      linger: StagedLane.linger,
      recycle: { [weak queue] in queue?.recycle($0) },
      log: log
    )
  }

  /// Counters of staging and promotion together.
  public var statistics: LaneStatistics {
    var sum = promoter.statistics
    sum.add(own)
    sum.waitingBytes += Int64(queue.waitingBytes)
    sum.waitingSince = sum.waitingSince ?? stagingSince ?? queue.waitingSince
    sum.trouble = sum.trouble ?? connection.trouble
    return sum
  }

  /// Is told which newest values a promotion has changed; nil without a cache.
  var cached: CachedEntities? {
    get { promoter.cached }
    set { promoter.cached = newValue }
  }

  /// Bytes of rows that are not durable.
  public var waitingBytes: Int { queue.waitingBytes + promoter.waitingBytes }

  /// Whether nothing is waiting or being written.
  public var isIdle: Bool { queue.isEmpty && !isWriting && promoter.isIdle }

  /// Encodes a batch for the next staging transaction.
  public func submit(_ batch: LaneBatch, _ columns: borrowing BatchColumns, hot: [UInt32]) {
    queue.append(batch, columns, hot: hot)
  }

  /// Stages until it is shut down; promotion is a task of its own, `runPromotion`.
  public func run() async {
    while !isAbandoned {
      guard let group = queue.take() else {
        guard !isEnding else { break }
        // Once it has staged something it looks after that, when nothing has come for a second:
        // what came meanwhile would have to wait.
        let wake = await queue.sleep(atMost: segmentsGeneration >= 0 ? .seconds(1) : nil)
        while wake == .timePassed, queue.isEmpty, await tidyUp() {}
        continue
      }
      isWriting = true
      stagingSince = group.startedAt
      await stage(group)
      stagingSince = nil
      isWriting = false
    }
    promoter.shutDown(abandoning: isAbandoned)
    connection.close()
  }

  /// Promotes until it is shut down; the lane's second task.
  public func runPromotion() async {
    await promoter.run()
  }

  /// Ends both tasks once everything submitted is durable, or at once.
  public func shutDown(abandoning: Bool) {
    isEnding = true
    isAbandoned = abandoning
    if abandoning {
      connection.close()
      promoter.shutDown(abandoning: true)
    }
    queue.wake()
  }

  // MARK: Private

  /// Tries until every batch of the group is staged, over, or better left to the promoter, which
  /// gets the group then.
  private func stage(_ group: LaneGroup) async {
    var pause = LaneLimits.backoffMin
    var isOver = false
    while !isOver, !isAbandoned {
      LaneTransaction.endAbandoned([group])
      let transaction = LaneTransaction([group])
      guard !transaction.isEmpty else { break }
      var isUnderWay = false
      do throws(PostgresError) {
        let segment = try await readySegment()
        let ready = try await connection.ready()
        isUnderWay = true
        try await transaction.stage(
          into: segment,
          on: ready,
          deadline: loop.now + LaneLimits.transactionTime
        )
        connection.report(nil, doing: "staging")
        segments[current].bytes += group.bytes
        own.groupsStaged += 1
        transaction.staged()
        isOver = true
      } catch {
        own.groupsRetried += 1
        switch error.remedy {
        // Producers move to other gateways every day: no fault of the database.
        case .takeOutLosers(let losers): transaction.settleStaged(losers)
        case .bisect:
          // The promoter finds out which values are to blame; until then nothing is staged.
          connection.report(error, doing: "staging")
          transaction.notStaged()
          isOver = true
        case .retry:
          connection.report(error, doing: "staging")
          // It may have been committed: rows of a second one would be there twice for readers. They
          // become durable like all others, and nobody was told that they are staged.
          isOver = isUnderWay && error.isOutcomeUnknown
          guard !isOver else {
            transaction.notStaged()
            break
          }
          // Taken for dead, this gateway has lost its segments: they are made again.
          if error.sqlstate == "42P01" { segmentsGeneration = -1 }
          await loop.sleep(for: pause)
          pause = min(pause * 2, LaneLimits.backoffMax)
        }
      }
    }
    if group.open.isEmpty { queue.recycle(group) } else { promoter.promote(group) }
  }

  /// The segment to write into; both are made anew on every new connection, for a crash may have
  /// dropped them.
  private func readySegment() async throws(PostgresError) -> String {
    let connection = try await connection.ready()
    if segmentsGeneration != self.connection.generation {
      segments.removeAll()
      for slot in slots {
        let result = try await connection.query(
          "SELECT sluice.create_segment($1, $2)",
          [.uuid(gateway.bytes), .int32(Int32(slot))],
          deadline: loop.now + .seconds(10)
        )
        // What may be in it already is counted as a byte: enough to be truncated.
        segments.append(Segment(name: result.text(row: 0, column: 0) ?? "", bytes: 1))
      }
      try await readIncarnation(connection)
      segmentsGeneration = self.connection.generation
    }
    if segments[current].bytes > StagedLane.segmentBytesMax {
      let other = 1 - current
      if segments[other].bytes == 0 {
        current = other
      } else if try await truncate(other, connection) {
        current = other
      }
    }
    return segments[current].name
  }

  /// Learns whether the staging area was lost: any crash recovery empties it.
  private func readIncarnation(_ connection: PostgresConnection) async throws(PostgresError) {
    let result = try await connection.query(
      "SELECT sluice.staging_incarnation()",
      deadline: loop.now + .seconds(10)
    )
    let found = UInt64(clamping: try result.int64(row: 0, column: 0) ?? 0)
    guard incarnation != found else { return }
    if incarnation != 0 { own.stagingLost += 1 }
    incarnation = found
    incarnationChanged?(found)
  }

  /// With nothing to do: empties segments, and looks whether the staging area is still the same.
  ///
  /// - Returns: whether there may be something to do again.
  private func tidyUp() async -> Bool {
    do throws(PostgresError) {
      if try await truncateIfIdle() { return true }
      guard segmentsGeneration >= 0, queue.isEmpty, !isEnding else { return false }
      if segmentsGeneration == connection.generation {
        try await readIncarnation(connection.ready())
      } else {
        _ = try await readySegment()
      }
      connection.report(nil, doing: "looking after staging")
    } catch {
      connection.report(error, doing: "looking after staging")
    }
    return false
  }

  /// Empties a segment whose values are all durable; false when it has others or is being read.
  private func truncate(
    _ index: Int,
    _ connection: PostgresConnection
  ) async throws(PostgresError) -> Bool {
    let result = try await connection.query(
      "SELECT sluice.truncate_segment($1)",
      [.text(segments[index].name)],
      deadline: loop.now + .seconds(10)
    )
    guard try result.bool(row: 0, column: 0) == true else { return false }
    segments[index].bytes = 0
    return true
  }

  /// With nothing to stage and everything promoted the segments are emptied.
  ///
  /// - Returns: whether it did something, so that new batches are looked for again.
  private func truncateIfIdle() async throws(PostgresError) -> Bool {
    guard promoter.isIdle, let index = segments.firstIndex(where: { $0.bytes > 0 }) else {
      return false
    }
    let connection = try await connection.ready()
    // On a new connection the names may be gone.
    guard segmentsGeneration == self.connection.generation else { return false }
    return try await truncate(index, connection)
  }
}
