internal import EventLoop
internal import Storage
internal import Wire

// sluice.v1.AdminService

/// For operators. Proto/sluice/v1/admin.proto
enum AdminService {
  static func getStatus(
    _ message: GetStatusRequest,
    _ call: Call
  ) async throws(Status) -> GetStatusResponse {
    let status = await call.context.statusSource()
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
      figures: figures
    )
  }

  /// Producers a page: 76 bytes each.
  private static let producersMax = 10_000

  static func listProducers(
    _ message: ListProducersRequest,
    _ call: Call
  ) async throws(Status) -> ListProducersResponse {
    let limit = try Status.pageSize(message.pageSize, default: 1_000, max: producersMax)
    let records = try await call.storage { () async throws(StorageError) in
      try await call.context.storage.producers.producers(
        tenant: call.tenant,
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
