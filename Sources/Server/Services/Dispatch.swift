internal import Logging
internal import Storage
internal import Wire

// Every unary call finds its handler here.

/// Answers unary calls.
enum Dispatch {
  /// Answers a call that needs no task of its own, at once or when its query is answered.
  ///
  /// A task and its suspensions cost more than all else that is done for such a call.
  ///
  /// - Returns: false when the call wants a task: nothing was done.
  static func answerWithoutTask(_ call: Call, _ token: StreamToken) -> Bool {
    do throws(Status) {
      switch call.request.method {
      case .healthCheck: call.respond(token, try HealthService.check(call.message(), call))
      case .healthList: call.respond(token, try HealthService.list(call.message(), call))
      case .getEntity:
        return try EntityService.getEntity(call.message(), call) { call.respond(token, $0) }
      case .upsertEntity:
        return try UpsertService.upsertEntity(call.message(), call) { call.respond(token, $0) }
      default: return false
      }
    } catch {
      call.respond(token, error)
    }
    return true
  }

  /// The answer to a call.
  ///
  /// - Throws: the status to answer with.
  static func answer(_ call: Call) async throws(Status) -> any WireMessage {
    switch call.request.method {
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
    case .healthCheck, .healthList, .write, .healthWatch:
      throw Status(.internal, "nobody answers this method here", reason: "INTERNAL")
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

  /// Takes its share of the memory for calls; false when there is no room and nothing has begun.
  func begin() -> Bool {
    guard context.requestBytes + request.heldBytes <= ServerLimits.requestBytesMax else {
      return false
    }
    context.requestBytes += request.heldBytes
    return true
  }

  /// Ends the call, also on its connection, if that is still there.
  ///
  /// To be called once, by whoever answers it, and also when its caller has its answer already.
  func respond(_ token: StreamToken, _ message: some WireMessage) {
    context.requestBytes -= request.heldBytes
    context.connections[request.connection]?.respond(token, message)
  }

  /// The same with an error.
  func respond(_ token: StreamToken, _ status: Status) {
    context.requestBytes -= request.heldBytes
    context.connections[request.connection]?.respond(token, status)
  }

  /// The same with either of them.
  func respond(_ token: StreamToken, _ answer: Result<some WireMessage, Status>) {
    switch answer {
    case .success(let message): respond(token, message)
    case .failure(let status): respond(token, status)
    }
  }

  /// From now on the handler of this call says itself what has become of it at its deadline.
  func takeDeadline() {
    context.connections[request.connection]?.leaveDeadlineToHandler(request.stream)
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
      throw status(of: error, field)
    }
  }

  /// What the caller is told of an error of storage; what only operators can mend is logged.
  func status(of error: StorageError, _ field: String = "") -> Status {
    let status = Status(error, field: field)
    if status.code == .internal { context.log.error("\(request.method): \(error.operatorText)") }
    return status
  }
}

extension StorageError {
  /// What happened, with the server's own words, for the log of an operator.
  fileprivate var operatorText: String {
    guard case .postgres(let error) = self else { return "\(self)" }
    return error.operatorText
  }
}
