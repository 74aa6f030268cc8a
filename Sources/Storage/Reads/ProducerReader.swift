public import EventLoop

// Reads what operators and repeats want to know of producers.

/// What the database knows of one producer.
public struct ProducerRecord: Equatable, Sendable {
  /// Who it is.
  public var id: ProducerID
  /// Rises with every new session.
  public var epoch: UInt64
  /// Everything up to here is durable.
  public var durable: UInt64
  /// When its newest session was opened, in microseconds since 1970.
  public var openedAt: Int64
  /// When it last wrote or opened, in microseconds since 1970.
  public var updatedAt: Int64
  /// Values staged and not durable yet.
  public var stagedCount: UInt64
  /// Rejected values that are kept.
  public var rejectedCount: UInt64
  /// Values that a failover lost.
  public var lostCount: UInt64
}

/// Answers ListProducers and remembers rejects; confined to its loop's thread.
public struct ProducerReader {
  private let pool: PostgresPool

  /// A reader over a worker's pool to the primary.
  public init(pool: PostgresPool) {
    self.pool = pool
  }

  /// Producers in the order of their ids.
  ///
  /// - Parameters:
  ///   - tenant: whose.
  ///   - only: this one alone; nil for all of them.
  ///   - id: those behind it; nil from the first on.
  ///   - limit: at most so many.
  ///   - deadline: until when.
  /// - Returns: what the database knows of each.
  /// - Throws: `.postgres`.
  public func producers(
    tenant: Int32,
    only: ProducerID?,
    after id: ProducerID?,
    limit: Int,
    deadline: MonotonicTime
  ) async throws(StorageError) -> [ProducerRecord] {
    let sql = """
      SELECT p.producer_id, p.epoch, p.durable_seq,
        (extract(epoch FROM p.opened_at) * 1000000)::bigint,
        (extract(epoch FROM p.updated_at) * 1000000)::bigint,
        (SELECT coalesce(sum(b.last_seq - greatest(b.first_seq - 1, p.durable_seq)), 0)::bigint
         FROM sluice.staged_batches b
         WHERE b.tenant_id = p.tenant_id AND b.producer_id = p.producer_id
           AND b.last_seq > p.durable_seq),
        (SELECT count(*) FROM sluice.rejected_values r
         WHERE r.tenant_id = p.tenant_id AND r.producer_id = p.producer_id),
        (SELECT coalesce(sum(l.to_seq - l.from_seq + 1), 0)::bigint FROM sluice.lost_ranges l
         WHERE l.tenant_id = p.tenant_id AND l.producer_id = p.producer_id)
      FROM sluice.producer_state p
      WHERE p.tenant_id = $1 AND ($2::uuid IS NULL OR p.producer_id > $2)
        AND ($4::uuid IS NULL OR p.producer_id = $4)
      ORDER BY p.producer_id LIMIT $3
      """
    return try await rows(
      sql,
      [
        .int32(tenant), id.map { .uuid($0.bytes) } ?? .null, .int64(Int64(limit)),
        only.map { .uuid($0.bytes) } ?? .null,
      ],
      deadline
    ) { result, row throws(PostgresError) in
      guard let producer = ProducerReader.id(result, row) else {
        throw .protocolViolation("a producer id is not 16 bytes")
      }
      var numbers: [Int64] = []
      for column in 1...7 { numbers.append(try result.int64(row: row, column: column) ?? 0) }
      return ProducerRecord(
        id: producer,
        epoch: UInt64(clamping: numbers[0]),
        durable: UInt64(clamping: numbers[1]),
        openedAt: numbers[2],
        updatedAt: numbers[3],
        stagedCount: UInt64(clamping: numbers[4]),
        rejectedCount: UInt64(clamping: numbers[5]),
        lostCount: UInt64(clamping: numbers[6])
      )
    }
  }

  /// Values of a producer in a range that were rejected when they first came, by sequence number.
  ///
  /// - Throws: `.postgres`.
  public func rejects(
    tenant: Int32,
    producer: ProducerID,
    in range: ClosedRange<UInt64>,
    deadline: MonotonicTime
  ) async throws(StorageError) -> [(sequence: UInt64, reason: RejectReason)] {
    try await rows(
      """
      SELECT seq, reason::integer FROM sluice.rejected_values
      WHERE tenant_id = $1 AND producer_id = $2 AND seq BETWEEN $3 AND $4 ORDER BY seq
      """,
      [
        .int32(tenant), .uuid(producer.bytes), .int64(Int64(clamping: range.lowerBound)),
        .int64(Int64(clamping: range.upperBound)),
      ],
      deadline
    ) { result, row throws(PostgresError) in
      let sequence = try result.int64(row: row, column: 0) ?? 0
      let code = try result.int64(row: row, column: 1) ?? 0
      let reason = RejectReason(rawValue: Int16(clamping: code)) ?? .refusedByDatabase
      return (UInt64(clamping: sequence), reason)
    }
  }

  private func rows<Row>(
    _ sql: String,
    _ parameters: [PostgresParameter],
    _ deadline: MonotonicTime,
    _ read: (PostgresResult, Int) throws(PostgresError) -> Row
  ) async throws(StorageError) -> [Row] {
    do throws(PostgresError) {
      return try await pool.withConnection(deadline: deadline) {
        connection throws(PostgresError) in
        let result = try await connection.query(sql, parameters, deadline: deadline)
        var rows: [Row] = []
        rows.reserveCapacity(result.rowCount)
        for row in 0..<result.rowCount { rows.append(try read(result, row)) }
        return rows
      }
    } catch {
      throw .postgres(error)
    }
  }

  /// The uuid in the first column, which comes in binary.
  private static func id(
    _ result: PostgresResult,
    _ row: Int
  ) -> ProducerID? {
    guard let bytes = result.bytes(row: row, column: 0) else { return nil }
    return ProducerID(Span<UInt8>(_bytes: bytes))
  }
}
