internal import EventLoop
internal import Storage
internal import Wire

// Every rpc this gateway serves, by name and kind.

/// An rpc.
enum Method: Sendable, Equatable {
  case write
  case resolveEntities, resolveAttributes, listAttributes, updateAttribute
  case upsertEntity, getEntity, batchGetEntities, listEntities
  case queryHistory, aggregateHistory, existsInRange
  case getStatus, listProducers, setNodeDrained
  case healthCheck, healthList, healthWatch

  /// Names as the protocol files have them.
  static let table: MethodTable<Method> = {
    var table = MethodTable<Method>()
    table.add("sluice.v1.IngestService", "Write", .bidirectional, .write)
    table.add("sluice.v1.CatalogService", "ResolveEntities", .unary, .resolveEntities)
    table.add("sluice.v1.CatalogService", "ResolveAttributes", .unary, .resolveAttributes)
    table.add("sluice.v1.CatalogService", "ListAttributes", .unary, .listAttributes)
    table.add("sluice.v1.CatalogService", "UpdateAttribute", .unary, .updateAttribute)
    table.add("sluice.v1.EntityService", "UpsertEntity", .unary, .upsertEntity)
    table.add("sluice.v1.EntityService", "GetEntity", .unary, .getEntity)
    table.add("sluice.v1.EntityService", "BatchGetEntities", .unary, .batchGetEntities)
    table.add("sluice.v1.EntityService", "ListEntities", .unary, .listEntities)
    table.add("sluice.v1.HistoryService", "QueryHistory", .unary, .queryHistory)
    table.add("sluice.v1.HistoryService", "AggregateHistory", .unary, .aggregateHistory)
    table.add("sluice.v1.HistoryService", "ExistsInRange", .unary, .existsInRange)
    table.add("sluice.v1.AdminService", "GetStatus", .unary, .getStatus)
    table.add("sluice.v1.AdminService", "ListProducers", .unary, .listProducers)
    table.add("sluice.v1.AdminService", "SetNodeDrained", .unary, .setNodeDrained)
    table.add("grpc.health.v1.Health", "Check", .unary, .healthCheck)
    table.add("grpc.health.v1.Health", "List", .unary, .healthList)
    table.add("grpc.health.v1.Health", "Watch", .serverStreaming, .healthWatch)
    return table
  }()

  /// Whether it is answered although the gateway is about to stop.
  var worksWhileDraining: Bool {
    switch self {
    case .healthCheck, .healthList, .healthWatch, .getStatus: true
    default: false
    }
  }

  /// Whether it is given up when its caller is gone: reads with a statement of their own that may
  /// take long.
  var endsWithCaller: Bool {
    switch self {
    case .queryHistory, .aggregateHistory, .existsInRange, .listEntities: true
    default: false
    }
  }

  /// Services whose health can be asked for; the empty name is the whole gateway.
  static let serviceNames = [
    "", "sluice.v1.IngestService", "sluice.v1.CatalogService", "sluice.v1.EntityService",
    "sluice.v1.HistoryService", "sluice.v1.AdminService",
  ]
}

/// A unary call on its way to its handler.
struct UnaryRequest: Sendable {
  let method: Method
  let payload: [UInt8]
  let caller: Caller
  let deadline: MonotonicTime
  /// Where it came in.
  let connection: ConnectionID
  /// Its stream there.
  let stream: StreamToken
  /// The last durable write of the connection before this call.
  let sessionToken: FreshnessToken?

  /// What it counts for in the memory of calls in flight.
  var heldBytes: Int { payload.count > ServerLimits.requestBytesFree ? payload.count : 0 }
}

/// Refusals of the server that more than one place needs.
extension Status {
  static let deadlineExceeded = Status(
    .deadlineExceeded,
    "the deadline of the call has passed",
    reason: "DEADLINE_EXCEEDED"
  )

  static let tooManyRequestBytes = Status(
    .resourceExhausted,
    "too many long requests in flight on this gateway",
    reason: "TOO_MANY_CALLS",
    retryAfterMilliseconds: ServerLimits.retryMilliseconds
  )

  static let draining = Status(
    .unavailable,
    "the gateway is about to stop; connect to another one or try again",
    reason: "DRAINING",
    retryAfterMilliseconds: ServerLimits.retryMilliseconds
  )
}
