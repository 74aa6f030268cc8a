// What the warehouse proves of itself in front of a read.

/// The heartbeat as it arrived there, read in the snapshot of the read.
///
/// Where transactions arrive whole and in the order of their commits, whoever sees the row sees
/// everything up to its position: in tables that the same feed brings, once each of them is past
/// its first copy. A subscription is asked for that; a standby has none and holds every table. What
/// a subscription says of its own position freezes while tables are written that are not
/// published. Of other feeds the operator vouches for it, or the position is an estimate.
struct WarehouseProof {
  let feed: WarehouseFeed

  /// One snapshot for proof and read.
  static let begin = PostgresStatement(
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    resultFormat: .text
  )
  /// As text a double has all its digits then: 2 is the most that Redshift takes, and for
  /// PostgreSQL all above 0 is the same.
  static let digits = PostgresStatement("SET LOCAL extra_float_digits TO 2", resultFormat: .text)
  static let commit = PostgresStatement("COMMIT", resultFormat: .text)

  /// Position, timeline, cluster of the heartbeat; of a subscription also whether it is a standby,
  /// or every table of it is ready and every table that reads use is among them.
  var statement: PostgresStatement {
    switch feed {
    case .subscription: WarehouseProof.ofSubscription
    case .ordered, .unordered: WarehouseProof.portable
    }
  }

  private static let ofSubscription = PostgresStatement(
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
  private static let portable = PostgresStatement(
    "SELECT CAST(lsn AS varchar(32)), timeline, system_identifier FROM sluice.heartbeat",
    resultFormat: .text
  )
  /// Asked behind a read of a subscription: what it has brought at most; nothing while it stands
  /// still.
  static let received = PostgresStatement(
    """
    SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
      ELSE (SELECT max(received_lsn) FROM pg_stat_subscription WHERE relid IS NULL) END
    """,
    isPrepared: true
  )

  /// The position it proves or makes likely; nil when there is none.
  func token(_ result: PostgresResult) throws(PostgresError) -> FreshnessToken? {
    guard result.rowCount == 1 else { return nil }
    if feed.isPostgreSQL, try result.bool(row: 0, column: 3) != true { return nil }
    guard
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
    token.isEstimated = feed == .unordered
    return token
  }

  /// What it means when there is none.
  var absence: String {
    feed.isPostgreSQL
      ? "no heartbeat has arrived there, or a table is in its first copy"
      : "no heartbeat has arrived there"
  }
}
