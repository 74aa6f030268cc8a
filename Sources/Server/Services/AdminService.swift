internal import EventLoop
internal import Logging
internal import Storage
internal import Wire

// sluice.v1.AdminService

/// For operators. Proto/sluice/v1/admin.proto
enum AdminService {
  static func getStatus(
    _ message: GetStatusRequest,
    _ call: Call
  ) async throws(Status) -> GetStatusResponse {
    let status = await call.context.controls.status()
    let figures = Figure.allCases.map { figure in
      Wire.Figure(
        name: figure.name,
        value: Double(status.figures[figure]),
        unit: figure.unit,
        description: figure.help
      )
    }
    return GetStatusResponse(
      version: status.version,
      state: status.state,
      uptimeMilliseconds: status.uptime.wholeMilliseconds,
      figures: figures,
      nodes: status.nodes.map { Node($0) },
      trouble: status.trouble ?? ""
    )
  }

  private static let nodeNameBytes = 1...64

  static func setNodeDrained(
    _ message: SetNodeDrainedRequest,
    _ call: Call
  ) async throws(Status) -> Node {
    try Status.check("node", message.node, bytes: nodeNameBytes)
    guard message.node != "primary" else {
      throw .invalid("node", "must not be the primary: everything is written there")
    }
    let controls = call.context.controls
    guard await controls.setDrained(message.drained, message.node),
      let node = await controls.status().nodes.first(where: { $0.name == message.node })
    else {
      throw Status(
        .notFound,
        "this gateway has no such node",
        reason: "NODE_NOT_FOUND",
        metadata: [KeyValue("field", "node")]
      )
    }
    call.context.log.notice(
      "\(node.name) was \(message.drained ? "taken out of" : "taken back into") the reads"
    )
    return Node(node)
  }

  /// Producers a page: 76 bytes each.
  private static let producersMax = 10_000

  static func listProducers(
    _ message: ListProducersRequest,
    _ call: Call
  ) async throws(Status) -> ListProducersResponse {
    let limit = try Status.pageSize(message.pageSize, default: 1_000, max: producersMax)
    let only = ProducerID(message.producerID.span)
    guard only != nil || message.producerID.isEmpty else {
      throw .invalid("producer_id", "is not 16 bytes")
    }
    let records = try await call.storage { () async throws(StorageError) in
      try await call.context.storage.producers.producers(
        tenant: call.tenant,
        only: only,
        after: PageToken.producer(message.pageToken, tenant: call.tenant),
        limit: limit,
        deadline: call.request.deadline
      )
    }
    let isLast = records.count < limit
    return ListProducersResponse(
      producers: records.map { record in
        ProducerStatus(
          producerID: record.id.bytes,
          epoch: record.epoch,
          durableSeq: record.durable,
          openedAtMicroseconds: record.openedAt,
          updatedAtMicroseconds: record.updatedAt,
          stagedValues: record.stagedCount,
          rejectedValues: record.rejectedCount,
          lostValues: record.lostCount
        )
      },
      nextPageToken: isLast
        ? [] : records.last.map { PageToken.seal(producer: $0.id, tenant: call.tenant) } ?? []
    )
  }
}

extension Node {
  /// A node as operators see it.
  fileprivate init(_ status: NodeStatus) {
    self.init(
      name: status.name,
      source: ReadSource(status.origin),
      state: Wire.BreakerState(status.state),
      provenLSN: status.proven.map { "\($0.lsn)" } ?? "",
      stalenessBoundMilliseconds: status.staleness?.boundMilliseconds ?? -1,
      reads: status.reads,
      readsInFlight: UInt64(status.readsInFlight),
      reroutes: status.reroutes,
      conflicts: status.conflicts,
      failures: status.failures,
      fallbacks: status.fallbacks,
      trouble: status.trouble ?? "",
      estimated: status.proven?.isEstimated ?? false
    )
  }
}

extension Wire.BreakerState {
  fileprivate init(_ state: Storage.BreakerState) {
    switch state {
    case .closed: self = .closed
    case .halfOpen: self = .halfOpen
    case .open: self = .open
    case .drained: self = .drained
    }
  }
}
