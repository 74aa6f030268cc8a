internal import EventLoop

// What a PostgreSQL server proves of itself in front of a read.

/// Where a server stands, read in the pipeline of a read and before its snapshot.
struct ServerProof {
  /// Whether it is what was asked for: the primary, or a standby.
  var isAsExpected: Bool
  /// Flushed on a primary, replayed on a standby: whatever was committed up to here is visible to
  /// statements that come after.
  var lsn: PostgresLSN
  /// Of the log it writes or receives.
  var timeline: UInt32
  /// Whether statements have snapshots of their own, taken after this one.
  var isReadCommitted: Bool
  /// When the server started: names the run of a server, within which its identity cannot change.
  var startedAt: Int64

  /// In recovery, position, timeline, isolation, start; for a server that should be the primary.
  ///
  /// Two statements, and in the second no subquery, because pools plan them for every read: one for
  /// both cost 0.2 ms, these 0.1.
  static let primary = PostgresStatement(
    """
    SELECT pg_is_in_recovery(),
      CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_flush_lsn() END,
      CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_flush_lsn()) END,
      current_setting('transaction_isolation') = 'read committed',
      (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::int8
    """,
    isPrepared: true
  )
  /// The same for a server that should be a standby.
  ///
  /// A commit is visible on a standby before its replayed position passes it. A standby whose
  /// receiver is gone tells the timeline of its last restart point: that is never newer than what
  /// it replays, so it may lose reads by it and never gives a wrong proof to one that follows the
  /// same primary. (Source: xlogrecovery.c, `lastReplayedEndRecPtr`.)
  static let standby = PostgresStatement(
    """
    SELECT pg_is_in_recovery(),
      CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() END,
      CASE WHEN pg_is_in_recovery() THEN coalesce((pg_stat_get_wal_receiver()).received_tli,
        (pg_control_checkpoint()).timeline_id)::text END,
      current_setting('transaction_isolation') = 'read committed',
      (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::int8
    """,
    isPrepared: true
  )
  /// Asked behind a read: the read shows nothing newer, as only what is flushed becomes visible.
  static let seenOnPrimary = PostgresStatement(
    "SELECT pg_current_wal_flush_lsn()",
    isPrepared: true
  )
  /// The same of a standby: what it has shown it has replayed.
  static let seenOnStandby = PostgresStatement("SELECT pg_last_wal_replay_lsn()", isPrepared: true)
  /// `pg_control_system` reads a file, so it is asked once for each run of a server.
  static let identity = PostgresStatement(
    "SELECT system_identifier FROM pg_control_system()",
    isPrepared: true
  )

  init(_ result: PostgresResult, ofStandby: Bool) throws(PostgresError) {
    guard result.rowCount == 1, let isStandby = try result.bool(row: 0, column: 0),
      let isReadCommitted = try result.bool(row: 0, column: 3),
      let startedAt = try result.int64(row: 0, column: 4)
    else { throw .protocolViolation("a server without a proof") }
    isAsExpected = isStandby == ofStandby
    self.isReadCommitted = isReadCommitted
    self.startedAt = startedAt
    guard isAsExpected else {
      (lsn, timeline) = (PostgresLSN(value: 0), 0)
      return
    }
    // The name of a file of the log begins with its timeline.
    let text = result.text(row: 0, column: 2)
    let timeline = text.flatMap { ofStandby ? UInt32($0) : UInt32($0.prefix(8), radix: 16) }
    guard let timeline, let lsn = try result.lsn(row: 0, column: 1) else {
      throw .protocolViolation("a server without a position")
    }
    (self.lsn, self.timeline) = (lsn, timeline)
  }
}

/// Runs statements behind the proof of their server, in one pipeline.
///
/// Confined to its loop's thread.
final class ServerProver {
  /// What came back: the proof, the same as a token, and an answer for each statement.
  struct Answers {
    var proof: ServerProof
    var token: FreshnessToken
    var results: [Result<PostgresResult, PostgresError>]
  }

  private let asksStandby: Bool
  /// Clusters by the start of the server: behind one address there may be several servers.
  private var clusters: [Int64: UInt64] = [:]

  #if SLUICE_FAULT_ROUTE_ON_LAG
  /// Said instead of what the server proves.
  var believed: FreshnessToken?
  #endif

  init(asksStandby: Bool) { self.asksStandby = asksStandby }

  /// - Parameters:
  ///   - statements: what is read.
  ///   - connection: to the server.
  ///   - asksSeen: whether the token is to say how new at most what the statements showed is.
  ///   - deadline: until when.
  /// - Returns: the proof and the answers.
  /// - Throws: as `PostgresConnection.pipeline`, and the error of the proof itself; errors of the
  ///   statements are in their results.
  func run(
    _ statements: [PostgresStatement],
    on connection: PostgresConnection,
    asksSeen: Bool = false,
    deadline: MonotonicTime
  ) async throws(PostgresError) -> Answers {
    var asksIdentity = clusters.isEmpty
    let tail =
      asksSeen ? [asksStandby ? ServerProof.seenOnStandby : ServerProof.seenOnPrimary] : []
    while true {
      let head =
        [asksStandby ? ServerProof.standby : ServerProof.primary]
        + (asksIdentity ? [ServerProof.identity] : [])
      let answers = try await connection.pipeline(
        head + statements + tail,
        deadline: deadline
      )
      let proof = try ServerProof(answers[0].get(), ofStandby: asksStandby)
      if asksIdentity { try remember(answers[1].get(), of: proof) }
      if let cluster = clusters[proof.startedAt] {
        var token = FreshnessToken(
          systemIdentifier: cluster,
          timeline: proof.timeline,
          lsn: proof.lsn
        )
        // When it fails a statement before it did, or the server is not what was asked for.
        if asksSeen, case .success(let result) = answers[answers.count - 1] {
          token.seen = try result.lsn(row: 0, column: 0)
        }
        #if SLUICE_FAULT_ROUTE_ON_LAG
        let held = believed ?? token
        #else
        let held = token
        #endif
        return Answers(
          proof: proof,
          token: held,
          results: Array(answers.dropFirst(head.count).dropLast(tail.count))
        )
      }
      // Another server, or the same one started again: once more, and ask who it is.
      asksIdentity = true
    }
  }

  private func remember(
    _ result: PostgresResult,
    of proof: ServerProof
  ) throws(PostgresError) {
    guard let identifier = try result.int64(row: 0, column: 0) else {
      throw .protocolViolation("a server without an identity")
    }
    if clusters.count >= 16 { clusters.removeAll() }
    clusters[proof.startedAt] = UInt64(bitPattern: identifier)
  }
}
