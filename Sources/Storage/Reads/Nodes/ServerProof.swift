internal import EventLoop

// What a PostgreSQL server proves of itself in front of a read.

/// Where a server stands, read in the pipeline of a read and before its snapshot.
struct ServerProof {
  /// Whether it is a standby.
  var isStandby: Bool
  /// Flushed on a primary, replayed on a standby: whatever was committed up to here is visible to
  /// statements that come after.
  var lsn: PostgresLSN
  /// Of the log it writes or receives.
  var timeline: UInt32
  /// Whether statements have snapshots of their own, taken after this one.
  var isReadCommitted: Bool
  /// When the server started: names the run of a server, within which its identity cannot change.
  var startedAt: Int64

  /// In recovery, position, timeline, isolation, start.
  ///
  /// A commit is visible on a standby before its replayed position passes it. A standby whose
  /// receiver is gone tells the timeline of its last restart point: that is never newer than what
  /// it replays, so it may lose reads by it and never gives a wrong proof to one that follows the
  /// same primary. (Source: xlogrecovery.c, `lastReplayedEndRecPtr`.)
  static let statement = PostgresStatement(
    """
    SELECT r.is_standby,
      CASE WHEN r.is_standby THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END,
      CASE WHEN r.is_standby THEN coalesce((SELECT w.received_tli FROM pg_stat_wal_receiver w),
          (SELECT c.timeline_id FROM pg_control_checkpoint() c))
        ELSE ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::int END,
      current_setting('transaction_isolation') = 'read committed',
      (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::int8
    FROM (SELECT pg_is_in_recovery() AS is_standby) AS r
    """,
    isPrepared: true
  )
  /// `pg_control_system` reads a file, so it is asked once for each run of a server.
  static let identity = PostgresStatement(
    "SELECT system_identifier FROM pg_control_system()",
    isPrepared: true
  )

  init(_ result: PostgresResult) throws(PostgresError) {
    guard result.rowCount == 1, let isStandby = try result.bool(row: 0, column: 0),
      let lsn = try result.lsn(row: 0, column: 1),
      let timeline = try result.int64(row: 0, column: 2),
      let isReadCommitted = try result.bool(row: 0, column: 3),
      let startedAt = try result.int64(row: 0, column: 4)
    else { throw .protocolViolation("a server without a position") }
    self.isStandby = isStandby
    self.lsn = lsn
    self.timeline = UInt32(truncatingIfNeeded: timeline)
    self.isReadCommitted = isReadCommitted
    self.startedAt = startedAt
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

  /// Clusters by the start of the server: behind one address there may be several servers.
  private var clusters: [Int64: UInt64] = [:]

  /// - Throws: as `PostgresConnection.pipeline`, and the error of the proof itself; errors of the
  ///   statements are in their results.
  func run(
    _ statements: [PostgresStatement],
    on connection: PostgresConnection,
    deadline: MonotonicTime
  ) async throws(PostgresError) -> Answers {
    var asksIdentity = clusters.isEmpty
    while true {
      let head = [ServerProof.statement] + (asksIdentity ? [ServerProof.identity] : [])
      let answers = try await connection.pipeline(head + statements, deadline: deadline)
      let proof = try ServerProof(answers[0].get())
      if asksIdentity { try remember(answers[1].get(), of: proof) }
      if let cluster = clusters[proof.startedAt] {
        return Answers(
          proof: proof,
          token: FreshnessToken(
            systemIdentifier: cluster,
            timeline: proof.timeline,
            lsn: proof.lsn
          ),
          results: Array(answers.dropFirst(head.count))
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
