public import EventLoop
public import Wire

// A client of one or more gateways: reads, catalog and producers over connections of their own.

/// A client with a loop and a thread of its own.
///
/// Reads share one connection, which is made when it is needed and again when it was lost; every
/// producer has its own, so that bulk never delays a read. Calls may come from any task; one that
/// makes many of them in a row does so inside `run`, where a call costs no change of threads.
public actor SluiceClient {
  private let owner: ClientLoop
  private let loop: EventLoop
  private let addresses: [SocketAddress]
  private var connection: GatewayConnection?
  private var connectionTurn: CheckedTurn?
  private var addressIndex = 0
  private var isClosed = false
  private var producers: [Producer] = []
  private let isMonotonic: Bool
  private var seen = ReadTokens()

  /// The client's loop.
  public nonisolated var unownedExecutor: UnownedSerialExecutor {
    unsafe loop.asUnownedSerialExecutor()
  }

  /// Starts the client's thread; connects when the first call is made.
  ///
  /// - Parameters:
  ///   - addresses: gateways, tried in turn; at least one.
  ///   - isMonotonic: whether every read sees at least what the reads before it saw and what this
  ///     client's producers were told is durable, whichever gateway and node answers.
  /// - Throws: `SystemError` when the system gives no thread or descriptor.
  public init(_ addresses: [SocketAddress], isMonotonic: Bool = false) throws(SystemError) {
    precondition(!addresses.isEmpty, "a client needs a gateway")
    self.addresses = addresses
    self.isMonotonic = isMonotonic
    owner = try ClientLoop()
    loop = owner.loop
  }

  /// Closes every connection.
  ///
  /// Calls under way end with `ClientError.disconnected`, later ones with `ClientError.closed`;
  /// what producers have not confirmed stays unconfirmed. The thread ends with the last reference
  /// to the client and its producers.
  public func close() async {
    guard !isClosed else { return }
    isClosed = true
    for producer in producers { await producer.close() }
    producers.removeAll()
    connection?.close()
    connection = nil
  }

  /// Runs `body` in a task that stays on the client's loop.
  public nonisolated func run<Result: Sendable>(
    _ body: @escaping @Sendable () async -> Result
  ) async -> Result {
    await withTaskExecutorPreference(loop) { await body() }
  }

  // MARK: Producers

  /// Opens a producer: a write session of its own, kept open over reconnects.
  public func producer(_ options: ProducerOptions) -> Producer {
    let producer = Producer(owner: owner, addresses: addresses, options: options)
    producers.append(producer)
    loop.spawn { [weak self] in
      await producer.run()
      await self?.forget(producer)
    }
    return producer
  }

  private func forget(_ producer: Producer) {
    producers.removeAll { $0 === producer }
  }

  // MARK: Calls

  /// Makes any unary call, with a connection that is there or is made now.
  ///
  /// - Parameters:
  ///   - service: full name, "sluice.v1.CatalogService".
  ///   - method: bare name, "ResolveEntities".
  ///   - request: the message.
  ///   - limit: how long to wait for the answer; the gateway is told.
  /// - Returns: the answer.
  /// - Throws: `ClientError`.
  public func call<Request: WireMessage, Response: WireMessage>(
    _ service: String,
    _ method: String,
    _ request: Request,
    within limit: Duration = .seconds(30)
  ) async throws(ClientError) -> Response {
    let connection = try await connected(within: limit)
    return try await connection.call(service, method, request, within: limit)
  }

  /// Makes a unary call that reads; a monotonic client adds what it has seen.
  ///
  /// - Parameters:
  ///   - service: full name, "sluice.v1.EntityService".
  ///   - method: bare name, "GetEntity".
  ///   - request: the message.
  ///   - limit: how long to wait for the answer; the gateway is told.
  /// - Returns: the answer.
  /// - Throws: `ClientError`; TOKEN_OF_OTHER_TIMELINE after a failover of the database: what was
  ///   seen before cannot be compared any more, `forgetTokens` starts afresh.
  public func read<Request: ReadingRequest, Response: ReadingResponse>(
    _ service: String,
    _ method: String,
    _ request: Request,
    within limit: Duration = .seconds(30)
  ) async throws(ClientError) -> Response {
    guard isMonotonic else { return try await call(service, method, request, within: limit) }
    var request = request
    var floors = seen.tokens
    for producer in producers {
      let token = await producer.token
      if !token.isEmpty { floors.insert(token) }
    }
    request.read.floorTokens += Array(floors)
    request.read.isMonotonic = true
    do throws(ClientError) {
      let response: Response = try await call(service, method, request, within: limit)
      seen.note(response.freshness, sent: floors)
      return response
    } catch {
      // That something is not there is an answer, too.
      if case .status(let status) = error { seen.note(status.freshness, sent: floors) }
      throw error
    }
  }

  /// Forgets what a monotonic client has seen.
  public func forgetTokens() { seen.removeAll() }

  /// Ids of entities by external key, in the order of the keys; unknown ones are created.
  ///
  /// - Throws: `ClientError`.
  public func resolveEntities(
    _ keys: [String],
    existingOnly: Bool = false
  ) async throws(ClientError) -> [Int64] {
    var ids: [Int64] = []
    var rest = keys[...]
    while !rest.isEmpty {
      let page = Array(rest.prefix(10_000))
      rest = rest.dropFirst(page.count)
      let response: ResolveEntitiesResponse = try await call(
        "sluice.v1.CatalogService",
        "ResolveEntities",
        ResolveEntitiesRequest(externalKeys: page, existingOnly: existingOnly)
      )
      guard response.entityIDs.count == page.count else {
        throw .protocolViolation("ResolveEntities answered with another number of ids")
      }
      ids += response.entityIDs
    }
    return ids
  }

  /// Attributes by name, in the order of the specs; unknown ones with a type are created.
  ///
  /// - Throws: `ClientError`; ATTRIBUTE_TYPE_MISMATCH when one exists with another type.
  public func resolveAttributes(
    _ specs: [AttributeSpec]
  ) async throws(ClientError) -> [Attribute] {
    var attributes: [Attribute] = []
    var rest = specs[...]
    while !rest.isEmpty {
      let page = Array(rest.prefix(1_000))
      rest = rest.dropFirst(page.count)
      let response: ResolveAttributesResponse = try await call(
        "sluice.v1.CatalogService",
        "ResolveAttributes",
        ResolveAttributesRequest(attributes: page)
      )
      guard response.attributes.count == page.count else {
        throw .protocolViolation("ResolveAttributes answered with another number of attributes")
      }
      attributes += response.attributes
    }
    return attributes
  }

  /// One page of the catalog's attributes.
  ///
  /// - Throws: `ClientError`.
  public func listAttributes(
    _ request: ListAttributesRequest
  ) async throws(ClientError) -> ListAttributesResponse {
    try await call("sluice.v1.CatalogService", "ListAttributes", request)
  }

  /// Changes whether an attribute is hot, and its unit.
  ///
  /// - Throws: `ClientError`; NOT_FOUND when there is no such attribute.
  public func updateAttribute(
    _ request: UpdateAttributeRequest
  ) async throws(ClientError) -> Attribute {
    try await call("sluice.v1.CatalogService", "UpdateAttribute", request)
  }

  /// Writes values of one entity; a monotonic client's later reads see them.
  ///
  /// - Parameters:
  ///   - request: the values.
  ///   - limit: how long to wait for the answer; the gateway is told.
  /// - Returns: the version and the token.
  /// - Throws: `ClientError`. The status OUTCOME_UNKNOWN, `.timedOut`, `.protocolViolation` and
  ///   `.disconnected` leave open whether it was written; the last one also when the connection was
  ///   lost before the request had left. The protocol file says what a repeat does. After any other
  ///   status, `.cannotConnect` and `.closed` it was not written and will not be.
  public func upsertEntity(
    _ request: UpsertEntityRequest,
    within limit: Duration = .seconds(30)
  ) async throws(ClientError) -> UpsertEntityResponse {
    let response: UpsertEntityResponse = try await call(
      "sluice.v1.EntityService",
      "UpsertEntity",
      request,
      within: limit
    )
    if isMonotonic { seen.note(written: response.token) }
    return response
  }

  /// The newest values of many entities; fewer than asked when they would pass 4 MiB.
  ///
  /// - Throws: `ClientError`.
  public func batchGetEntities(
    _ request: BatchGetEntitiesRequest
  ) async throws(ClientError) -> BatchGetEntitiesResponse {
    try await read("sluice.v1.EntityService", "BatchGetEntities", request)
  }

  /// The newest values of one entity.
  ///
  /// - Throws: `ClientError`; ENTITY_NOT_FOUND when there is none.
  public func getEntity(_ request: GetEntityRequest) async throws(ClientError) -> GetEntityResponse
  {
    try await read("sluice.v1.EntityService", "GetEntity", request)
  }

  /// One page of entities by external key.
  ///
  /// - Throws: `ClientError`.
  public func listEntities(
    _ request: ListEntitiesRequest
  ) async throws(ClientError) -> ListEntitiesResponse {
    try await read("sluice.v1.EntityService", "ListEntities", request)
  }

  /// One page of stored values.
  ///
  /// - Throws: `ClientError`.
  public func queryHistory(
    _ request: QueryHistoryRequest
  ) async throws(ClientError) -> QueryHistoryResponse {
    try await read("sluice.v1.HistoryService", "QueryHistory", request)
  }

  /// Stored values in time buckets.
  ///
  /// - Throws: `ClientError`.
  public func aggregateHistory(
    _ request: AggregateHistoryRequest
  ) async throws(ClientError) -> AggregateHistoryResponse {
    try await read("sluice.v1.HistoryService", "AggregateHistory", request)
  }

  /// Which entities have stored values in a range.
  ///
  /// - Throws: `ClientError`.
  public func existsInRange(
    _ request: ExistsInRangeRequest
  ) async throws(ClientError) -> ExistsInRangeResponse {
    try await read("sluice.v1.HistoryService", "ExistsInRange", request)
  }

  /// What the gateway is and has counted.
  ///
  /// - Throws: `ClientError`.
  public func status() async throws(ClientError) -> GetStatusResponse {
    try await call("sluice.v1.AdminService", "GetStatus", GetStatusRequest())
  }

  /// One page of producers, by id.
  ///
  /// - Throws: `ClientError`.
  public func listProducers(
    _ request: ListProducersRequest
  ) async throws(ClientError) -> ListProducersResponse {
    try await call("sluice.v1.AdminService", "ListProducers", request)
  }

  // MARK: Private

  /// The connection for reads; callers that come while it is being made wait for the same attempt.
  private func connected(within limit: Duration) async throws(ClientError) -> GatewayConnection {
    guard !isClosed else { throw .closed }
    if let connection, !connection.isClosed { return connection }
    if let connectionTurn {
      await connectionTurn.wait()
      if let connection, !connection.isClosed { return connection }
      throw .disconnected
    }
    let turn = CheckedTurn()
    connectionTurn = turn
    defer {
      connectionTurn = nil
      turn.end()
    }
    var reasons: [String] = []
    for _ in addresses {
      do throws(ClientError) {
        let made = try await GatewayConnection.connect(
          to: addresses[addressIndex],
          loop: loop,
          within: min(limit, .seconds(5))
        )
        connection = made
        return made
      } catch {
        if case .cannotConnect(let why) = error { reasons.append(why) }
        addressIndex = (addressIndex + 1) % addresses.count
      }
    }
    throw .cannotConnect(reasons.joined(separator: "; "))
  }
}

/// Something one caller does while others wait for its end.
private final class CheckedTurn {
  private var isOver = false
  private var waiters: [CheckedContinuation<Void, Never>] = []

  func wait() async {
    guard !isOver else { return }
    await withCheckedContinuation { continuation in
      if isOver { continuation.resume() } else { waiters.append(continuation) }
    }
  }

  func end() {
    isOver = true
    let all = waiters
    waiters.removeAll()
    for waiter in all { waiter.resume() }
  }
}
