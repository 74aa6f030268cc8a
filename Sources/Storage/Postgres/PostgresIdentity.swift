public import EventLoop

// Who a server is, so that log positions are compared within one cluster and timeline only.

/// What a server says about itself.
public struct PostgresIdentity: Equatable, Sendable {
  /// The cluster, the same on primary and replicas.
  public var systemIdentifier: UInt64
  /// The timeline of the last checkpoint; it grows with each failover.
  public var timeline: UInt32
  /// Whether it is a replica.
  public var isInRecovery: Bool
  /// synchronous_commit as it is for this session: "off" means that an answer to COMMIT proves
  /// nothing.
  public var synchronousCommit: String
}

extension PostgresConnection {
  /// Asks the server who it is.
  ///
  /// - Throws: as `query`; `.server` where the control functions do not exist (Redshift).
  public func identity(deadline: MonotonicTime) async throws(PostgresError) -> PostgresIdentity {
    let result = try await query(
      """
      SELECT (SELECT system_identifier FROM pg_control_system()),
        (SELECT timeline_id FROM pg_control_checkpoint()), pg_is_in_recovery(),
        current_setting('synchronous_commit')
      """,
      deadline: deadline
    )
    guard let system = try result.int64(row: 0, column: 0),
      let timeline = try result.int64(row: 0, column: 1),
      let isInRecovery = try result.bool(row: 0, column: 2),
      let synchronousCommit = result.text(row: 0, column: 3)
    else { throw .protocolViolation("a server without identity") }
    return PostgresIdentity(
      systemIdentifier: UInt64(bitPattern: system),
      timeline: UInt32(truncatingIfNeeded: timeline),
      isInRecovery: isInRecovery,
      synchronousCommit: synchronousCommit
    )
  }
}
