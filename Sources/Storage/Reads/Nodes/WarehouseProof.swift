// What a logical subscriber, or a standby for reports, proves of itself in front of a read.

/// The heartbeat as it arrived there, read in the snapshot of the read.
///
/// Transactions arrive whole and in the order of their commits, so whoever sees the row sees
/// everything up to its position: in tables that the same subscription feeds, once each of them is
/// past its first copy. A standby has no subscription and holds every table. What a subscription
/// says of its own position freezes while tables are written that are not published. Where there is
/// no `pg_subscription_rel` (Redshift) nothing is proven.
enum WarehouseProof {
  /// One snapshot for proof and read.
  static let begin = PostgresStatement("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
  /// Position, timeline, cluster of the heartbeat; whether it is a standby, or every table of the
  /// subscription is ready and every table that reads use is among them.
  static let statement = PostgresStatement(
    """
    SELECT h.lsn, h.timeline, h.system_identifier,
      pg_is_in_recovery() OR (SELECT coalesce(bool_and(s.srsubstate = 'r'), false) AND count(DISTINCT s.srsubid) = 1
          AND count(*) FILTER (WHERE s.srrelid IN ('sluice.heartbeat'::regclass,
            'sluice.entity_values'::regclass, 'sluice.entities'::regclass,
            'sluice.entity_jsonb'::regclass)) = 4
        FROM pg_subscription_rel s)
    FROM sluice.heartbeat h
    """,
    isPrepared: true
  )
  /// Asked behind a read: what the feed has brought at most; nothing while it stands still.
  static let received = PostgresStatement(
    """
    SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
      ELSE (SELECT max(received_lsn) FROM pg_stat_subscription WHERE relid IS NULL) END
    """,
    isPrepared: true
  )
  static let commit = PostgresStatement("COMMIT")

  /// The position it proves; nil when it proves none.
  static func token(_ result: PostgresResult) throws(PostgresError) -> FreshnessToken? {
    guard result.rowCount == 1, try result.bool(row: 0, column: 3) == true,
      let lsn = try result.lsn(row: 0, column: 0),
      let timeline = try result.int64(row: 0, column: 1),
      let cluster = try result.int64(row: 0, column: 2)
    else { return nil }
    var token = FreshnessToken(
      systemIdentifier: UInt64(bitPattern: cluster),
      timeline: UInt32(truncatingIfNeeded: timeline),
      lsn: lsn
    )
    token.isOfWarehouse = true
    return token
  }
}
