public import EventLoop

// Opens a producer's session in the database.

/// Where a producer stands when its session opens.
public struct OpenedProducer: Sendable, Equatable {
  /// Fences every older session.
  public var epoch: UInt64
  /// Everything up to here is durable.
  public var durable: UInt64
  /// Acknowledged values that a failover lost and that nobody holds any more; nil when there are
  /// none.
  public var lost: ClosedRange<UInt64>?
  /// The last batches, oldest first.
  public var recent: [SequenceRange]
  /// Changes when staging was lost.
  public var incarnation: UInt64
  /// 16 bytes that name the database.
  public var database: [UInt8]

  /// How many values `lost` names.
  public var lostCount: UInt64 { lost.map { $0.upperBound - $0.lowerBound + 1 } ?? 0 }
}

/// What a session brings along to be opened.
public struct ProducerOpening: Sendable {
  /// Whose producer.
  public var tenant: Int32
  /// Its id.
  public var producer: ProducerID
  /// New for each session, the same when only the answer was lost.
  public var session: ProducerID
  /// The lowest sequence number the client could still send; 0 for nothing.
  public var lowestHeld: UInt64
  /// 16 bytes that name the database of the client's positions; nil when it knows none.
  public var database: [UInt8]?

  /// An opening of these parts.
  public init(
    tenant: Int32,
    producer: ProducerID,
    session: ProducerID,
    lowestHeld: UInt64,
    database: [UInt8]?
  ) {
    self.tenant = tenant
    self.producer = producer
    self.session = session
    self.lowestHeld = lowestHeld
    self.database = database
  }
}

/// Raises epochs and says where producers stand; confined to its loop.
public struct ProducerOpener {
  /// How often, and after which pause, it is looked whether a living gateway has made durable what
  /// it had staged of the producer: promotion takes less than 100 ms.
  private static let patience = 6
  private static let pause = Duration.milliseconds(50)

  let pool: PostgresPool
  let loop: EventLoop

  /// Opens a session: fences older ones, and tells from where to go on.
  ///
  /// - Parameters:
  ///   - opening: what the client said.
  ///   - deadline: until when to wait for a connection and the answer.
  /// - Returns: epoch and position; nil when the client's positions are of another database.
  /// - Throws: `PostgresError`.
  public func open(
    _ opening: ProducerOpening,
    deadline: MonotonicTime
  ) async throws(PostgresError) -> OpenedProducer? {
    for attempt in 0...ProducerOpener.patience {
      let isPatient = attempt < ProducerOpener.patience
      let found = try await pool.withConnection(deadline: deadline) {
        (connection) throws(PostgresError) in
        try await open(opening, isPatient: isPatient, on: connection, deadline)
      }
      if found.epoch > 0 { return found }
      if let database = opening.database, database != found.database { return nil }
      await loop.sleep(for: ProducerOpener.pause)
    }
    throw .protocolViolation("open_producer did not open a session")
  }

  private func open(
    _ opening: ProducerOpening,
    isPatient: Bool,
    on connection: PostgresConnection,
    _ deadline: MonotonicTime
  ) async throws(PostgresError) -> OpenedProducer {
    let result = try await connection.query(
      """
      SELECT epoch, durable_seq, lost_from, lost_to, array_to_string(recent, ',') AS recent,
        sluice.staging_incarnation() AS incarnation, database_id
      FROM sluice.open_producer($1, $2, $3, $4, $5, $6)
      """,
      [
        .int32(opening.tenant), .uuid(opening.producer.bytes), .uuid(opening.session.bytes),
        .int64(Int64(clamping: opening.lowestHeld)), opening.database.map { .uuid($0) } ?? .null,
        .bool(isPatient),
      ],
      deadline: deadline
    )
    // What it says is durable must be so on the replicas as well.
    try connection.requireReplication()
    guard let epoch = try result.int64(row: 0, column: 0),
      let durable = try result.int64(row: 0, column: 1),
      let lostFrom = try result.int64(row: 0, column: 2),
      let lostTo = try result.int64(row: 0, column: 3),
      let recent = result.text(row: 0, column: 4),
      let incarnation = try result.int64(row: 0, column: 5),
      let database = result.binary(row: 0, column: 6)
    else { throw .protocolViolation("open_producer answered with a NULL") }
    return OpenedProducer(
      epoch: UInt64(epoch),
      durable: UInt64(durable),
      lost: lostFrom > 0 ? UInt64(lostFrom)...UInt64(lostTo) : nil,
      recent: ProducerOpener.ranges(recent),
      incarnation: UInt64(incarnation),
      database: database
    )
  }

  /// Reads first, last and checksum of each range.
  private static func ranges(_ text: String) -> [SequenceRange] {
    let numbers = text.split(separator: ",").compactMap { UInt64($0) }
    return stride(from: 0, to: numbers.count - numbers.count % 3, by: 3).map {
      SequenceRange(
        first: numbers[$0],
        last: numbers[$0 + 1],
        checksum: UInt32(truncatingIfNeeded: numbers[$0 + 2])
      )
    }
  }
}
