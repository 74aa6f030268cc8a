internal import Logging
internal import Storage
internal import Wire

// Every unary call finds its handler here.

/// Answers unary calls of one worker.
struct Dispatch {
  let context: WorkerContext

  /// The answer to a call.
  ///
  /// - Throws: the status to answer with.
  func answer(_ request: UnaryRequest) async throws(Status) -> any WireMessage {
    let call = Call(context: context, request: request)
    return switch request.method {
    case .resolveEntities: try await CatalogService.resolveEntities(call.message(), call)
    case .resolveAttributes: try await CatalogService.resolveAttributes(call.message(), call)
    case .listAttributes: try await CatalogService.listAttributes(call.message(), call)
    case .updateAttribute: try await CatalogService.updateAttribute(call.message(), call)
    case .upsertEntity: try await UpsertService.upsertEntity(call.message(), call)
    case .batchGetEntities: try await EntityService.batchGetEntities(call.message(), call)
    case .getEntity: try await EntityService.getEntity(call.message(), call)
    case .listEntities: try await EntityService.listEntities(call.message(), call)
    case .queryHistory: try await HistoryService.queryHistory(call.message(), call)
    case .aggregateHistory: try await HistoryService.aggregateHistory(call.message(), call)
    case .existsInRange: try await HistoryService.existsInRange(call.message(), call)
    case .getStatus: try await AdminService.getStatus(call.message(), call)
    case .listProducers: try await AdminService.listProducers(call.message(), call)
    case .setNodeDrained: try await AdminService.setNodeDrained(call.message(), call)
    case .healthCheck: try HealthService.check(call.message(), call)
    case .healthList: try HealthService.list(call.message(), call)
    case .write, .healthWatch:
      throw Status(.unimplemented, "this method is a stream", reason: "METHOD_IS_A_STREAM")
    }
  }
}

/// One unary call and what its handler needs.
struct Call {
  let context: WorkerContext
  let request: UnaryRequest

  var tenant: Int32 { request.caller.tenantID }

  /// The request's message.
  ///
  /// - Throws: the status that says what is wrong with it.
  func message<Message: WireMessage>() throws(Status) -> Message {
    do throws(MessageError) {
      return try unsafe Message(decoding: request.payload.span.bytes, arena: context.arena)
    } catch {
      throw error.status
    }
  }

  /// A write of this call is durable: reads that come later on its connection have to see it.
  func noteDurable(_ token: FreshnessToken) {
    context.connections[request.connection]?.noteDurable(token)
  }

  /// Does something in storage and turns its error into a status.
  ///
  /// - Parameters:
  ///   - field: what an index in an error points into.
  ///   - body: the work.
  /// - Returns: what `body` returns.
  /// - Throws: the status.
  func storage<T>(
    _ field: String = "",
    _ body: () async throws(StorageError) -> T
  ) async throws(Status) -> T {
    do throws(StorageError) {
      return try await body()
    } catch {
      let status = Status(error, field: field)
      if status.code == .internal { context.log.error("\(request.method): \(error.operatorText)") }
      throw status
    }
  }
}

extension StorageError {
  /// What happened, with the server's own words, for the log of an operator.
  fileprivate var operatorText: String {
    guard case .postgres(let error) = self else { return "\(self)" }
    return error.operatorText
  }
}
