internal import EventLoop

// Whether a commit is as durable as the server's settings promise.

extension PostgresConnection {
  /// Whether a COMMIT of the last operation came back although no synchronous replica had it.
  ///
  /// An operator who cancels that wait (pg_cancel_backend) gets a WARNING, the client a COMMIT.
  /// Recognized by the server's function, for the sentence is in the server's language.
  private var wasReplicationGivenUp: Bool {
    notices.contains { $0.function == "SyncRepWaitForLSN" }
  }

  /// Throws when a COMMIT of the last operation did not wait for its synchronous replica.
  func requireReplication() throws(PostgresError) {
    guard wasReplicationGivenUp else { return }
    throw .protocolViolation("a commit did not wait until a synchronous replica had it")
  }

  /// Waits until what other transactions have committed is as durable as the settings say.
  ///
  /// A commit of its own does that: it is flushed, and replicated, after all before it.
  ///
  /// - Returns: a position that holds all of them.
  /// - Throws: `PostgresError`; nothing is known then.
  func confirmCommits(deadline: MonotonicTime) async throws(PostgresError) -> PostgresLSN {
    _ = try await query(
      "SELECT pg_logical_emit_message(true, 'sluice', 'confirm')",
      deadline: deadline
    )
    try requireReplication()
    let result = try await query("SELECT pg_current_wal_flush_lsn()", deadline: deadline)
    guard let position = try result.lsn(row: 0, column: 0) else {
      throw .protocolViolation("a primary without a position")
    }
    return position
  }
}
