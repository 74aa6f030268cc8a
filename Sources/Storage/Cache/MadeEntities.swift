internal import EventLoop

// Entities that were just made: whoever was told that they do not exist must not be told so again.

extension CachedEntities {
  /// An entity and its name.
  typealias Made = (entity: EntityID, name: String)

  /// Tells the cache of entities whose transaction has committed, under either name.
  ///
  /// - Parameters:
  ///   - made: which.
  ///   - pool: of the primary, which is asked for its position.
  ///   - deadline: until when to wait for an answer of the primary; never fails.
  func tell(made: [Made], _ pool: PostgresPool, deadline: MonotonicTime) async {
    let token: FreshnessToken
    do throws(PostgresError) {
      let result = try await pool.withConnection(deadline: deadline) {
        connection throws(PostgresError) in
        try await connection.query(CachedEntities.position, deadline: deadline)
      }
      token = try CachedEntities.token(result)
    } catch {
      // They are there, and up to where nobody knows.
      return cache.loseInvalidation()
    }
    await cache.invalidate(
      made.flatMap { [key($0.entity), key(name: $0.name, tenant: $0.entity.tenant)] },
      token
    )
  }

  /// Read after a commit: whoever sees everything up to here sees what it wrote.
  private static let position = PostgresStatement(
    """
    SELECT f.lsn, ('x' || left(pg_walfile_name(f.lsn), 8))::bit(32)::int,
      (SELECT c.system_identifier FROM pg_control_system() c)
    FROM (SELECT pg_current_wal_flush_lsn() AS lsn) AS f
    """
  )

  private static func token(_ result: PostgresResult) throws(PostgresError) -> FreshnessToken {
    guard let lsn = try result.lsn(row: 0, column: 0),
      let timeline = try result.int64(row: 0, column: 1),
      let system = try result.int64(row: 0, column: 2)
    else { throw .protocolViolation("a primary without a position") }
    return FreshnessToken(
      systemIdentifier: UInt64(bitPattern: system),
      timeline: UInt32(truncatingIfNeeded: timeline),
      lsn: lsn
    )
  }
}
