internal import EventLoop

// Reads on the primary, with the proof that it is one.

/// Runs reads on connections to the primary, each behind its proof in one pipeline.
///
/// Each statement of a pipeline has a snapshot of its own, taken after the proof has answered: what
/// was acknowledged up to its position is visible to the reads behind it. (A commit that is flushed
/// but not acknowledged yet may be missing; nobody was promised it.)
final class PrimarySource {
  private let pool: PostgresPool
  private let prover = ServerProver(asksStandby: false)

  init(_ pool: PostgresPool) { self.pool = pool }

  /// Runs the statements of one read.
  ///
  /// - Parameters:
  ///   - statements: the read.
  ///   - requirement: what it must see.
  ///   - newest: whose log the clock reads; a server on an earlier timeline of it was the primary
  ///     once, though it may not know.
  ///   - deadline: until when.
  /// - Returns: the answer of each, and its proof.
  /// - Throws: `.postgres`, `.notPrimary`, `.unprovableSnapshot`, the token errors.
  func read(
    _ statements: [PostgresStatement],
    _ requirement: ReadRequirement,
    newest: LogIdentity?,
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
      let answer = try await read(statements, requirement, connection, deadline)
      let known = [newest, requirement.sessionToken?.identity].compactMap { $0 }
      guard !known.contains(where: { answer.proof.asOf.identity.isBefore($0) }) else {
        throw .notPrimary
      }
      outcome = .success(answer)
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
    let answers: ServerProver.Answers
    do throws(PostgresError) {
      answers = try await prover.run(
        statements,
        on: connection,
        asksSeen: requirement.isMonotonic,
        deadline: deadline
      )
    } catch {
      throw .postgres(error)
    }
    guard answers.proof.isAsExpected else { throw .notPrimary }
    guard answers.proof.isReadCommitted else { throw .unprovableSnapshot }
    var results: [PostgresResult] = []
    do throws(PostgresError) {
      for result in answers.results { results.append(try result.get()) }
    } catch {
      throw .postgres(error)
    }
    // A token must be of this history, and not of its future.
    for (name, token) in requirement.tokens {
      try token.check(isOf: answers.token.identity, name)
      guard token.lsn <= answers.token.lsn else { throw .tokenAhead(name) }
    }
    return ReadAnswer(
      results: results,
      proof: ReadProof(
        origin: .primary,
        node: "primary",
        asOf: answers.token,
        staleness: .zero,
        isDegraded: false,
        waited: .zero
      )
    )
  }
}
