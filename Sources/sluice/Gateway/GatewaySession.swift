internal import Client
internal import EventLoop
internal import Formats
internal import Wire

// What a command asks a gateway, in the words of the command.

/// A client with the patience that the user asked for.
struct GatewaySession: Sendable {
  let client: SluiceClient
  /// How long a producer's session may take to open; nil when the user did not say.
  let openingMax: Duration?
  private let timeout: Duration

  private init(_ client: SluiceClient, _ timeout: Duration?) {
    self.client = client
    openingMax = timeout
    self.timeout = timeout ?? .seconds(30)
  }

  /// Runs a command's work with a client, on a loop of the calling thread.
  ///
  /// - Parameters:
  ///   - options: which gateway.
  ///   - isMonotonic: whether no read may be older than one before it; such reads bypass the cache.
  ///   - prepare: runs before the client has started its thread.
  ///   - body: the work; the client is closed when it returns or throws.
  /// - Throws: what `prepare` or `body` threw, as a `CommandFailure`.
  static func run<Prepared>(
    _ options: GatewayOptions,
    isMonotonic: Bool = true,
    prepare: @escaping @Sendable (EventLoop) throws -> Prepared,
    _ body: @escaping @Sendable (GatewaySession, Prepared) async throws -> Void
  ) throws {
    let addresses = try options.addresses()
    let timeout = options.timeout
    let result: Result<Void, CommandFailure> = try EventLoop.runBlocking { loop in
      do {
        let prepared = try prepare(loop)
        // Pages of one answer may come from several nodes: none of them older than the one before.
        let client = try SluiceClient(addresses, isMonotonic: isMonotonic)
        do {
          try await body(GatewaySession(client, timeout), prepared)
        } catch {
          await client.close()
          throw error
        }
        await client.close()
        return .success(())
      } catch {
        return .failure(CommandFailure(error))
      }
    }
    try result.get()
  }

  /// Runs a command's work with a client, on a loop of the calling thread.
  static func run(
    _ options: GatewayOptions,
    isMonotonic: Bool = true,
    _ body: @escaping @Sendable (GatewaySession) async throws -> Void
  ) throws {
    try run(options, isMonotonic: isMonotonic, prepare: { _ in }) { session, _ in
      try await body(session)
    }
  }

  // MARK: Catalog

  /// An entity that was named by a user.
  struct NamedEntity: Sendable {
    let id: Int64
    let key: String
  }

  /// The entity that a user named by its key or as `#id`.
  ///
  /// - Throws: `ClientError`, or a failure that names the entity when there is none.
  func entity(_ name: String) async throws -> NamedEntity {
    if let id = Self.numericID(name) {
      // A name, not a reading: what is read next need not be as new as this answer.
      let response: GetEntityResponse = try await explaining(Self.missing(entity: name)) {
        () async throws(ClientError) in
        let request = GetEntityRequest(by: .entityID(id))
        return try await client.call(
          "sluice.v1.EntityService",
          "GetEntity",
          request,
          within: timeout
        )
      }
      return NamedEntity(id: id, key: response.entity?.externalKey ?? name)
    }
    let response: ResolveEntitiesResponse = try await explaining(Self.missing(entity: name)) {
      () async throws(ClientError) in
      try await client.call(
        "sluice.v1.CatalogService",
        "ResolveEntities",
        ResolveEntitiesRequest(externalKeys: [name], existingOnly: true),
        within: timeout
      )
    }
    guard let id = response.entityIDs.first else {
      throw ClientError.protocolViolation("ResolveEntities answered with another number of ids")
    }
    return NamedEntity(id: id, key: name)
  }

  /// Entities that a user named, each once, in the order of their names.
  ///
  /// - Throws: as `entity`.
  func entities(_ names: [String]) async throws -> [NamedEntity] {
    var entities: [NamedEntity] = []
    for name in names {
      let entity = try await entity(name)
      if !entities.contains(where: { $0.id == entity.id }) { entities.append(entity) }
    }
    return entities
  }

  /// Runs a call; NOT_FOUND becomes a sentence that names what is missing.
  private func explaining<Value: Sendable>(
    _ missing: String,
    _ body: () async throws(ClientError) -> Value
  ) async throws -> Value {
    do throws(ClientError) {
      return try await body()
    } catch {
      guard case .status(let status) = error, status.code == .notFound else { throw error }
      throw CommandFailure(missing, .notFound)
    }
  }

  private static func missing(entity: String) -> String {
    "there is no entity '\(entity)'; 'sluice catalog entities' lists them"
  }

  /// How a request names the entity that a user named by its key or as `#id`.
  static func entityKey(_ name: String) -> GetEntityRequest.Key {
    numericID(name).map { .entityID($0) } ?? .externalKey(name)
  }

  private static func numericID(_ name: String) -> Int64? {
    name.hasPrefix("#") ? Int64(name.dropFirst()) : nil
  }

  /// Attributes that exist, in the order of their names.
  ///
  /// - Parameters:
  ///   - names: each of which must exist.
  ///   - limit: how long one call may take; as the user said when it is left out.
  /// - Returns: an attribute for each name.
  /// - Throws: `ClientError`; NOT_FOUND when one of them does not exist.
  func attributes(_ names: [String], within limit: Duration? = nil) async throws -> [Attribute] {
    var found: [Attribute] = []
    for start in stride(from: 0, to: names.count, by: Self.namesAtOnce) {
      let part = Array(names[start..<min(start + Self.namesAtOnce, names.count)])
      found += try await attributes(part: part, within: limit ?? timeout)
    }
    return found
  }

  /// Names that one ResolveAttributes takes. Proto/sluice/v1/catalog.proto
  private static let namesAtOnce = 1_000

  private func attributes(
    part names: [String],
    within limit: Duration
  ) async throws -> [Attribute] {
    let list = names.map { "'\($0)'" }.joined(separator: ", ")
    let missing = names.count == 1 ? "there is no attribute \(list)" : "not all of \(list) exist"
    let response: ResolveAttributesResponse = try await explaining(
      "\(missing); 'sluice catalog' lists the attributes"
    ) { () async throws(ClientError) in
      try await client.call(
        "sluice.v1.CatalogService",
        "ResolveAttributes",
        ResolveAttributesRequest(attributes: names.map { AttributeSpec(name: $0) }),
        within: limit
      )
    }
    guard response.attributes.count == names.count else {
      throw ClientError.protocolViolation("ResolveAttributes answered with another number")
    }
    return response.attributes
  }

  /// The attribute of a name; nil when there is none and there need not be one.
  ///
  /// - Throws: `ClientError`, or a failure that names the attribute that must exist.
  func attribute(_ name: String, mustExist: Bool) async throws -> Attribute? {
    do {
      return try await attributes([name])[0]
    } catch let failure as CommandFailure where failure.status == .notFound && !mustExist {
      return nil
    }
  }

  /// Makes attributes, an attribute for each spec.
  func makeAttributes(_ specs: [AttributeSpec]) async throws(ClientError) -> [Attribute] {
    guard !specs.isEmpty else { return [] }
    let made = try await client.resolveAttributes(specs)
    guard made.count == specs.count else {
      throw .protocolViolation("ResolveAttributes answered with another number")
    }
    return made
  }

  /// One page of attributes.
  func listAttributes(_ request: ListAttributesRequest) async throws -> ListAttributesResponse {
    try await client.call("sluice.v1.CatalogService", "ListAttributes", request, within: timeout)
  }

  /// Changes an attribute.
  func updateAttribute(_ request: UpdateAttributeRequest) async throws -> Attribute {
    try await client.call("sluice.v1.CatalogService", "UpdateAttribute", request, within: timeout)
  }

  // MARK: Entities

  /// Writes values of an entity.
  func upsertEntity(_ request: UpsertEntityRequest) async throws -> UpsertEntityResponse {
    let name =
      switch request.by {
      case .entityID(let id): "#\(id)"
      case .externalKey(let key): key
      }
    return try await explaining(Self.missing(entity: name)) { () async throws(ClientError) in
      try await client.upsertEntity(request, within: timeout)
    }
  }

  // MARK: Reads

  /// The newest values of an entity.
  func getEntity(_ request: GetEntityRequest) async throws -> GetEntityResponse {
    let name =
      switch request.by {
      case .entityID(let id): "#\(id)"
      case .externalKey(let key): key
      }
    return try await explaining(Self.missing(entity: name)) { () async throws(ClientError) in
      try await client.read("sluice.v1.EntityService", "GetEntity", request, within: timeout)
    }
  }

  /// One page of entities.
  func listEntities(_ request: ListEntitiesRequest) async throws -> ListEntitiesResponse {
    try await client.read("sluice.v1.EntityService", "ListEntities", request, within: timeout)
  }

  /// One page of stored values.
  func queryHistory(_ request: QueryHistoryRequest) async throws -> QueryHistoryResponse {
    try await client.read("sluice.v1.HistoryService", "QueryHistory", request, within: timeout)
  }

  /// Stored values in buckets.
  func aggregateHistory(
    _ request: AggregateHistoryRequest
  ) async throws -> AggregateHistoryResponse {
    try await client.read("sluice.v1.HistoryService", "AggregateHistory", request, within: timeout)
  }

  /// Which entities have stored values.
  func existsInRange(_ request: ExistsInRangeRequest) async throws -> ExistsInRangeResponse {
    try await client.read("sluice.v1.HistoryService", "ExistsInRange", request, within: timeout)
  }

  /// What the gateway is and has counted.
  func status() async throws -> GetStatusResponse {
    try await client.call(
      "sluice.v1.AdminService",
      "GetStatus",
      GetStatusRequest(),
      within: timeout
    )
  }

  /// Takes a node out of the gateway's reads, or back in.
  func setNodeDrained(_ name: String, isDrained: Bool) async throws -> Node {
    let missing = "this gateway has no node '\(name)'; 'sluice status' shows them"
    return try await explaining(missing) { () async throws(ClientError) in
      try await client.call(
        "sluice.v1.AdminService",
        "SetNodeDrained",
        SetNodeDrainedRequest(node: name, drained: isDrained),
        within: timeout
      )
    }
  }

  /// One page of producers.
  func listProducers(_ request: ListProducersRequest) async throws -> ListProducersResponse {
    try await client.call("sluice.v1.AdminService", "ListProducers", request, within: timeout)
  }
}
