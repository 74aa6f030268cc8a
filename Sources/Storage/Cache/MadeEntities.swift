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
    let answers: ServerProver.Answers
    do throws(PostgresError) {
      // Read after the commit: whoever sees everything up to here sees what it wrote.
      answers = try await pool.withConnection(deadline: deadline) {
        connection throws(PostgresError) in
        try await ServerProver(asksStandby: false).run([], on: connection, deadline: deadline)
      }
      guard answers.proof.isAsExpected else { throw .protocolViolation("not the primary") }
    } catch {
      // They are there, and up to where nobody knows.
      return cache.loseInvalidation()
    }
    await cache.invalidate(
      made.flatMap { [key($0.entity), key(name: $0.name, tenant: $0.entity.tenant)] },
      answers.token
    )
  }
}
