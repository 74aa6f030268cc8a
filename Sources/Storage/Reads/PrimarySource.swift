internal import EventLoop

// Reads on the primary, with the proof that it is one.

/// Runs reads on connections to the primary, each behind its proof in one pipeline.
final class PrimarySource {
  /// Which cluster and timeline a connection leads to; read once for each connection and timeline.
  private final class Known {
    weak var connection: PostgresConnection?
    let systemIdentifier: UInt64
    let timeline: UInt32

    init(_ connection: PostgresConnection, _ systemIdentifier: UInt64, _ timeline: UInt32) {
      self.connection = connection
      self.systemIdentifier = systemIdentifier
      self.timeline = timeline
    }
  }

  /// One row: in recovery, flushed position, its file name (which begins with the timeline),
  /// isolation.
  ///
  /// Each statement of a pipeline has a snapshot of its own, taken after this one has answered:
  /// what was acknowledged up to the position is visible to the reads behind it. (A commit that is
  /// flushed but not acknowledged yet may be missing; nobody was promised it.)
  private static let proof = """
    SELECT r.is_standby, CASE WHEN NOT r.is_standby THEN pg_current_wal_flush_lsn() END,
      CASE WHEN NOT r.is_standby THEN pg_walfile_name(pg_current_wal_flush_lsn()) END,
      current_setting('transaction_isolation')
    FROM (SELECT pg_is_in_recovery() AS is_standby) AS r
    """
  /// pg_control_system reads a file, so it is not asked each time.
  private static let identity = "SELECT system_identifier FROM pg_control_system()"

  private let pool: PostgresPool
  private let loop: EventLoop
  private var known: [ObjectIdentifier: Known] = [:]

  init(_ pool: PostgresPool, _ loop: EventLoop) {
    self.pool = pool
    self.loop = loop
  }

  func read(
    _ statements: [PostgresStatement],
    _ requirement: ReadRequirement,
    deadline: MonotonicTime
  ) async throws(StorageError) -> ReadAnswer {
    let connection: PostgresConnection
    do throws(PostgresError) {
      connection = try await pool.acquire(deadline: deadline)
    } catch {
      throw .postgres(error)
    }
    let outcome: Result<ReadAnswer, StorageError>
    do throws(StorageError) {
      outcome = .success(try await read(statements, requirement, connection, deadline))
    } catch {
      outcome = .failure(error)
    }
    // A standby is of no use here: after a failover a new connection finds the new primary.
    if case .failure(.notPrimary) = outcome { connection.close() }
    pool.release(connection)
    return try outcome.get()
  }

  private func read(
    _ statements: [PostgresStatement],
    _ requirement: ReadRequirement,
    _ connection: PostgresConnection,
    _ deadline: MonotonicTime
  ) async throws(StorageError) -> ReadAnswer {
    let known = known[ObjectIdentifier(connection)].flatMap {
      $0.connection === connection ? $0 : nil
    }
    var pipeline = [PostgresStatement(PrimarySource.proof)]
    if known == nil { pipeline.append(PostgresStatement(PrimarySource.identity)) }
    let proofCount = pipeline.count
    pipeline += statements
    var results: [PostgresResult] = []
    let lsn: PostgresLSN
    let timeline: UInt32
    let cluster: UInt64
    var refusal: StorageError?
    do throws(PostgresError) {
      let answers = try await connection.pipeline(pipeline, deadline: deadline)
      let proof = try answers[0].get()
      refusal = try PrimarySource.refusal(proof)
      if let refusal { throw .protocolViolation("\(refusal)") }
      for answer in answers.dropFirst() { results.append(try answer.get()) }
      (lsn, timeline) = try PrimarySource.position(proof)
      if let known {
        cluster = known.systemIdentifier
      } else {
        cluster = try PrimarySource.cluster(results[0])
      }
    } catch {
      if let refusal { throw refusal }
      throw .postgres(error)
    }
    if let known, known.timeline != timeline {
      // Behind a pooler another server may have taken over: ask who it is.
      self.known[ObjectIdentifier(connection)] = nil
      return try await read(statements, requirement, connection, deadline)
    }
    remember(connection, cluster, timeline)
    let asOf = FreshnessToken(systemIdentifier: cluster, timeline: timeline, lsn: lsn)
    try PrimarySource.check(requirement, asOf)
    return ReadAnswer(
      results: Array(results.dropFirst(proofCount - 1)),
      proof: ReadProof(
        origin: .primary,
        node: "primary",
        asOf: asOf,
        staleness: .zero,
        isDegraded: false,
        waited: .zero
      )
    )
  }

  /// A token must be of this history, and not of its future.
  private static func check(
    _ requirement: ReadRequirement,
    _ asOf: FreshnessToken
  ) throws(StorageError) {
    guard case .atLeast(let token) = requirement.level else { return }
    guard token.systemIdentifier == asOf.systemIdentifier else { throw .tokenOfOtherCluster }
    guard token.timeline == asOf.timeline else { throw .tokenOfOtherTimeline }
    guard token.lsn <= asOf.lsn else { throw .tokenAhead }
  }

  /// Why this connection proves nothing.
  private static func refusal(_ proof: PostgresResult) throws(PostgresError) -> StorageError? {
    guard try proof.bool(row: 0, column: 0) == false else { return .notPrimary }
    return proof.text(row: 0, column: 3) == "read committed" ? nil : .unprovableSnapshot
  }

  private static func position(
    _ proof: PostgresResult
  ) throws(PostgresError) -> (PostgresLSN, UInt32) {
    guard let lsn = try proof.lsn(row: 0, column: 1),
      let timeline = proof.text(row: 0, column: 2).flatMap({ UInt32($0.prefix(8), radix: 16) })
    else { throw .protocolViolation("a primary without a position") }
    return (lsn, timeline)
  }

  private static func cluster(_ result: PostgresResult) throws(PostgresError) -> UInt64 {
    guard let identifier = try result.int64(row: 0, column: 0) else {
      throw .protocolViolation("a server without an identity")
    }
    return UInt64(bitPattern: identifier)
  }

  private func remember(_ connection: PostgresConnection, _ cluster: UInt64, _ timeline: UInt32) {
    let key = ObjectIdentifier(connection)
    guard known[key]?.connection !== connection else { return }
    known = known.filter { $0.value.connection != nil }
    known[key] = Known(connection, cluster, timeline)
  }
}
