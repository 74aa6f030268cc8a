internal import EventLoop
public import Wire

// A producer of telemetry: numbers its values, keeps them until they are durable, never loses its
// place.

/// One producer's write session, kept open over reconnects.
///
/// Make it with `SluiceClient.producer`. Values are numbered in the order of `send`; every batch is
/// kept until the gateway says that it is durable, and sent again after a reconnect.
public actor Producer {
  private let owner: ClientLoop
  private let loop: EventLoop
  private let session: ProducerSession

  /// The client's loop.
  public nonisolated var unownedExecutor: UnownedSerialExecutor {
    unsafe loop.asUnownedSerialExecutor()
  }

  init(owner: ClientLoop, addresses: [SocketAddress], options: ProducerOptions) {
    self.owner = owner
    loop = owner.loop
    session = ProducerSession(loop: loop, addresses: addresses, options: options)
  }

  func run() async {
    await session.run()
  }

  /// Waits until the session is open.
  ///
  /// - Throws: `ClientError` when no gateway could be reached in time, or the gateway refused for
  ///   good.
  public func waitUntilOpen() async throws(ClientError) {
    try await session.wait(for: .room(bytes: 0))
  }

  /// Sends values, waiting while too much is unconfirmed.
  ///
  /// With a spool it does not wait: the values are in the spool when it returns.
  ///
  /// - Parameter columns: at least one value; not larger than the gateway's `max_batch_bytes`.
  /// - Returns: the sequence numbers that the values got, in the order of the sections.
  /// - Throws: `ClientError`: the session has failed for good (fenced, conflict, refused), the
  ///   batch is too large, the spool is full (`isSpoolFull`: send the same again later) or cannot
  ///   be written, or the producer was closed. A lost connection is not an error here.
  @discardableResult
  public func send(_ columns: ColumnsBuilder) async throws(ClientError) -> ClosedRange<UInt64> {
    precondition(columns.count > 0, "an empty batch has no sequence numbers")
    let bytes = columns.encoded()
    if session.isSpooled { return try session.spool(columns: bytes, count: UInt32(columns.count)) }
    try await session.wait(for: .room(bytes: bytes.count))
    // Other callers may have taken the room while this one was woken.
    while !session.window.hasRoom(for: bytes.count) {
      try await session.wait(for: .room(bytes: bytes.count))
    }
    guard bytes.count <= session.maxBatchBytes else {
      throw .tooLarge(bytes: bytes.count, limit: session.maxBatchBytes)
    }
    return session.append(columns: bytes, count: UInt32(columns.count))
  }

  /// Whether `send` would not wait with these values, as long as nobody else sends.
  public func hasRoom(for columns: ColumnsBuilder) -> Bool {
    session.isSpooled || session.failure != nil
      || session.window.hasRoom(for: columns.encodedByteCount)
  }

  /// Waits until every value up to `sequence` is durable.
  ///
  /// - Throws: `ClientError` when the session has failed for good or was closed before.
  public func waitUntilDurable(_ sequence: UInt64) async throws(ClientError) {
    try await session.wait(for: .durable(sequence))
  }

  /// Waits until every value up to `sequence` is at least staged.
  ///
  /// - Throws: as `waitUntilDurable`.
  public func waitUntilStaged(_ sequence: UInt64) async throws(ClientError) {
    try await session.wait(for: .staged(sequence))
  }

  /// Waits until everything sent is durable, then ends the session.
  ///
  /// - Throws: as `waitUntilDurable`; the session is closed then as well.
  public func finish() async throws(ClientError) {
    defer { session.close() }
    try await session.wait(for: .durable(session.window.position.produced))
    session.end()
  }

  /// Ends the session at once; what is not durable stays unconfirmed.
  public func close() {
    session.close()
  }

  /// Where the producer stands.
  public var position: ProducerPosition { session.window.position }

  /// What the gateway has counted for this producer since it was made.
  public var counts: Counts { session.counts }

  /// The token of the newest durable ack: a read AT_LEAST this token sees everything up to it.
  public var token: [UInt8] { session.lastToken }

  /// The epoch that the gateway gave to the present session.
  public var epoch: UInt64 { session.epoch }

  /// How often the session was opened again.
  public var reopenings: Int { session.reopenings }

  /// Why nothing is confirmed, if nothing is although something waits for it; nil when all goes
  /// well.
  ///
  /// Tells a link that is down from a gateway that is slow.
  public var wait: ProducerWait? { session.wait }

  /// Acknowledged values that a failover of the database lost and that were no longer kept here.
  public var lostRanges: [ClosedRange<UInt64>] { session.lostRanges }

  /// Rejected values since the last call, by sequence number.
  public func takeRejects() -> [Reject] {
    defer { session.rejects.removeAll() }
    return session.rejects
  }
}
