public import EventLoop

// The housekeeping of one gateway in its database: heartbeats, partitions, what dead gateways left.

/// Does each chore when it is due.
///
/// A gateway has one, on one of its workers.
/// Every chore is safe to do from any number of gateways at once: the functions in the database
/// lock what they need and leave out what somebody else has done.
public final class PartitionKeeper {
  /// What the gateway was told.
  public struct Settings: Sendable {
    /// hour, day, week or month.
    public var partitionWidth: String
    /// Partitions made before their time comes.
    public var partitionsAhead: Int
    /// Age at which partitions are dropped; nil keeps everything.
    public var retention: Duration?
    /// How far in the future a value may be observed.
    public var futureLimit: Duration
    /// Whether this gateway tells a cache what it writes.
    public var hasCache: Bool

    /// Settings of these parts.
    public init(
      partitionWidth: String,
      partitionsAhead: Int,
      retention: Duration?,
      futureLimit: Duration,
      hasCache: Bool = false
    ) {
      self.partitionWidth = partitionWidth
      self.partitionsAhead = partitionsAhead
      self.retention = retention
      self.futureLimit = futureLimit
      self.hasCache = hasCache
    }
  }

  /// One kind of work.
  enum Chore: CaseIterable {
    case heartbeat, gatewayBeat, adoption, partitions, expiry, defaultPartition, deadSegments
    case oldProducers

    /// How often it is due.
    var interval: Duration {
      switch self {
      // One second each: what readers and the adoption of staged batches count on.
      case .heartbeat, .gatewayBeat, .adoption: .seconds(1)
      // Partitions are made hours ahead at the least, so a minute is early enough.
      case .partitions, .defaultPartition, .deadSegments: .seconds(60)
      case .expiry: .seconds(600)
      case .oldProducers: .seconds(86_400)
      }
    }
  }

  /// The name of the setting that holds the largest future limit any gateway ever had, in
  /// microseconds.
  static let futureLimitSetting = "future_limit_us"
  /// Staged batches adopted at once; more follow in the next second.
  static let adoptedBatchesMax = 1000
  /// A gateway judges others by their beats only when it has beaten for so long itself: after the
  /// database stood still nobody has, and all are alive.
  static let beatingMin = Duration.seconds(4)
  /// Longer than that between two beats is a pause.
  static let beatPause = Duration.seconds(2)
  /// How long one chore may take: ensure_partitions waits up to a second for each of 100
  /// partitions.
  private static let timeout: Duration = .seconds(120)

  /// Rows in the default partition when last looked at, where no row should be.
  public private(set) var defaultPartitionRows: Int64 = 0
  /// Staged batches taken over from dead gateways so far.
  public private(set) var adoptedBatches: Int64 = 0

  /// What the gateway was told; partitions and expiry are due when it changes.
  ///
  /// A new future limit takes no effect: `prepare` has told the readers.
  public var settings: Settings {
    didSet {
      due[.partitions] = nil
      due[.expiry] = nil
    }
  }

  private let gatewayID: [UInt8]
  private let loop: EventLoop
  private let log: (String) -> Void
  private var due: [Chore: MonotonicTime] = [:]
  /// Chores that failed last time: logged once, until they work again.
  private var failing: Set<Chore> = []
  /// For how many beats another gateway has had a cache and this one has not, or the other way
  /// round.
  private var beatsWithOtherCache = 0
  /// When this gateway last beat, and since when it has without a pause.
  private var lastBeat: MonotonicTime?
  private var beatingSince: MonotonicTime?

  /// A keeper whose chores are all due.
  ///
  /// - Parameters:
  ///   - settings: what the gateway was told.
  ///   - gatewayID: 16 bytes that name this run of the gateway.
  ///   - loop: whose clock says what is due.
  ///   - log: takes what an operator should know.
  public init(
    _ settings: Settings,
    gatewayID: [UInt8],
    on loop: EventLoop,
    log: @escaping (String) -> Void
  ) {
    precondition(gatewayID.count == 16, "a gateway's id is a uuid")
    self.settings = settings
    self.gatewayID = gatewayID
    self.loop = loop
    self.log = log
  }

  /// To be called once, before the gateway takes its first value: makes the partitions and lets
  /// readers know how far in the future this gateway lets values be observed.
  ///
  /// - Throws: `PostgresError`; the gateway should not start then.
  public func prepare(
    _ connection: PostgresConnection,
    deadline: MonotonicTime
  ) async throws(PostgresError) {
    _ = try await connection.query(
      """
      INSERT INTO sluice.settings AS s (name, value) VALUES ($1, $2::bigint::text)
      ON CONFLICT (name) DO UPDATE SET value = excluded.value
        WHERE s.value::bigint < excluded.value::bigint
      """,
      [.text(PartitionKeeper.futureLimitSetting), .int64(settings.futureLimit.microseconds)],
      deadline: deadline
    )
    for chore in [Chore.partitions, .gatewayBeat, .heartbeat] {
      try await run(chore, connection, deadline: deadline)
      due[chore] = loop.now + chore.interval
    }
  }

  /// Does what is due; call it about once a second.
  ///
  /// A chore the server refuses is logged and tried again when it is next due.
  ///
  /// - Throws: `PostgresError` when the connection does not work any more: make a new one.
  public func tick(_ connection: PostgresConnection) async throws(PostgresError) {
    for chore in Chore.allCases where loop.now >= due[chore] ?? loop.now {
      // From now on, not from the last time: a pause must not lead to a burst.
      due[chore] = loop.now + chore.interval
      do throws(PostgresError) {
        try await run(chore, connection, deadline: loop.now + PartitionKeeper.timeout)
        if failing.remove(chore) != nil { log("\(chore): works again") }
      } catch {
        if failing.insert(chore).inserted { log("\(chore) failed: \(error.operatorText)") }
        guard case .server = error, connection.isUsable else { throw error }
      }
    }
  }

  // MARK: Chores

  private func run(
    _ chore: Chore,
    _ connection: PostgresConnection,
    deadline: MonotonicTime
  ) async throws(PostgresError) {
    switch chore {
    case .heartbeat:
      _ = try await connection.query("SELECT sluice.beat()", deadline: deadline)
    case .gatewayBeat:
      _ = try await connection.query(
        "SELECT sluice.gateway_beat($1, $2)",
        [.uuid(gatewayID), .bool(settings.hasCache)],
        deadline: deadline
      )
      noteBeat()
      try await compareCaches(connection, deadline)
    case .adoption: try await adopt(connection, deadline)
    case .partitions:
      try await logActions(
        connection,
        "SELECT partition_name, action FROM sluice.ensure_partitions($1, $2)",
        [.text(settings.partitionWidth), .int32(Int32(settings.partitionsAhead))],
        deadline
      )
    case .expiry:
      guard let retention = settings.retention else { return }
      try await logActions(
        connection,
        """
        SELECT partition_name, action
        FROM sluice.drop_expired_partitions($1::bigint * interval '1 microsecond')
        """,
        [.int64(retention.microseconds)],
        deadline
      )
    case .defaultPartition: try await lookAtDefaultPartition(connection, deadline)
    case .deadSegments:
      _ = try await connection.query("SELECT sluice.drop_dead_segments()", deadline: deadline)
    case .oldProducers:
      _ = try await connection.query("SELECT sluice.forget_producers()", deadline: deadline)
    }
  }

  /// Readers of a cache learn late of what a gateway without one writes: that is said once.
  private func compareCaches(
    _ connection: PostgresConnection,
    _ deadline: MonotonicTime
  ) async throws(PostgresError) {
    let result = try await connection.query(
      """
      SELECT EXISTS (SELECT FROM sluice.gateways g
        WHERE g.has_cache <> $1 AND g.beat_at > clock_timestamp() - interval '3 s')
      """,
      [.bool(settings.hasCache)],
      deadline: deadline
    )
    let differ = try result.bool(row: 0, column: 0) == true
    beatsWithOtherCache = differ ? beatsWithOtherCache + 1 : 0
    // A gateway that was started again with another setting is not its own other one.
    if beatsWithOtherCache == 5 {
      let who = settings.hasCache ? "another gateway of this database runs" : "this gateway runs"
      log(
        "\(who) without 'redis', beside one that has a cache: what it writes reaches readers of the"
          + " cache late, though within their bounds; give all gateways the same setting"
      )
    }
  }

  private func noteBeat() {
    let now = loop.now
    let isPaused = lastBeat.map { now - $0 > PartitionKeeper.beatPause } ?? true
    if isPaused { beatingSince = now }
    lastBeat = now
  }

  private func adopt(
    _ connection: PostgresConnection,
    _ deadline: MonotonicTime
  ) async throws(PostgresError) {
    guard let beatingSince, loop.now - beatingSince >= PartitionKeeper.beatingMin else { return }
    let result = try await connection.query(
      "SELECT batches, moved_values FROM sluice.stage_flush($1)",
      [.int32(Int32(PartitionKeeper.adoptedBatchesMax))],
      deadline: deadline
    )
    let batches = try result.int64(row: 0, column: 0) ?? 0
    guard batches > 0 else { return }
    adoptedBatches += batches
    let values = try result.int64(row: 0, column: 1) ?? 0
    log("adopted \(batches) staged batches (\(values) values) of a gateway that is gone")
    // There may be more.
    if batches >= PartitionKeeper.adoptedBatchesMax { due[.adoption] = loop.now }
  }

  private func logActions(
    _ connection: PostgresConnection,
    _ sql: String,
    _ parameters: [PostgresParameter],
    _ deadline: MonotonicTime
  ) async throws(PostgresError) {
    let result = try await connection.query(sql, parameters, deadline: deadline)
    for row in 0..<result.rowCount {
      let name = result.text(row: row, column: 0) ?? ""
      log("partition \(name): \(result.text(row: row, column: 1) ?? "")")
    }
  }

  private func lookAtDefaultPartition(
    _ connection: PostgresConnection,
    _ deadline: MonotonicTime
  ) async throws(PostgresError) {
    let sql = "SELECT sluice.default_partition_rows()"
    let result = try await connection.query(sql, deadline: deadline)
    let rows = try result.int64(row: 0, column: 0) ?? 0
    if rows > 0, defaultPartitionRows == 0 {
      log("about \(rows) rows fell into the default partition: see sluice.health_check()")
    }
    defaultPartitionRows = rows
  }
}

extension Duration {
  /// Whole microseconds, saturating.
  var microseconds: Int64 { Int64(clamping: attoseconds / 1_000_000_000_000) }
}
