internal import Storage
internal import Wire

// sluice.v1.HistoryService

/// Stored values by observed time. Proto/sluice/v1/history.proto
enum HistoryService {
  private static let pageDefault = 10_000
  private static let pageMax = 50_000
  private static let bucketWidthMin: Int64 = 1_000

  static func queryHistory(
    _ message: QueryHistoryRequest,
    _ call: Call
  ) async throws(Status) -> QueryHistoryResponse {
    let requirement = try ReadRequirement(message.read, call)
    let limit = try Status.pageSize(message.pageSize, default: pageDefault, max: pageMax)
    var query = try query(
      call,
      message.entityIDs,
      message.attributeIDs,
      message.startMicroseconds,
      message.endMicroseconds
    )
    query.isDescending = message.order == .descending
    let page = try await call.storage { () throws(StorageError) in
      try await reader(call).values(
        query,
        pageToken: message.pageToken,
        limit: limit,
        bytesMax: RequestLimits.answerBytesMax,
        requirement,
        deadline: call.request.deadline
      )
    }
    let columns = try await call.storage { () throws(StorageError) in
      var collector = ColumnsCollector()
      try page.visit(&collector)
      return collector.columns
    }
    return QueryHistoryResponse(
      columns: columns,
      nextPageToken: page.nextPageToken,
      freshness: Freshness(page.proof)
    )
  }

  static func aggregateHistory(
    _ message: AggregateHistoryRequest,
    _ call: Call
  ) async throws(Status) -> AggregateHistoryResponse {
    let requirement = try ReadRequirement(message.read, call)
    let query = try query(
      call,
      message.entityIDs,
      message.attributeIDs,
      message.startMicroseconds,
      message.endMicroseconds
    )
    let width = message.bucketWidthMicroseconds
    guard (bucketWidthMin...AggregateStatement.widthMax).contains(width) else {
      throw .invalid("bucket_width_us", "must be 1000 (1 ms) to \(AggregateStatement.widthMax)")
    }
    let (buckets, proof) = try await call.storage("attribute_id") { () throws(StorageError) in
      try await reader(call).buckets(
        query,
        bucketWidthMicroseconds: width,
        bucketsMax: RequestLimits.bucketsMax,
        requirement,
        deadline: call.request.deadline
      )
    }
    return AggregateHistoryResponse(
      entityIDs: buckets.entityIDs,
      attributeIDs: buckets.attributeIDs,
      bucketStartsMicroseconds: buckets.startsMicroseconds,
      counts: buckets.counts,
      minima: buckets.minima,
      maxima: buckets.maxima,
      averages: buckets.averages,
      sums: buckets.sums,
      firsts: buckets.firsts,
      lasts: buckets.lasts,
      freshness: Freshness(proof)
    )
  }

  private static func query(
    _ call: Call,
    _ entityIDs: [Int64],
    _ attributeIDs: [UInt32],
    _ start: Int64,
    _ end: Int64
  ) throws(Status) -> HistoryQuery {
    try Status.check("entity_id", count: entityIDs.count, 1...RequestLimits.historyIDsMax)
    try Status.check("attribute_id", count: attributeIDs.count, 1...RequestLimits.historyIDsMax)
    guard start <= end else {
      throw .invalid("end_unix_us", "must not be before start_unix_us")
    }
    return HistoryQuery(
      tenant: call.tenant,
      entityIDs: entityIDs,
      attributeIDs: attributeIDs,
      startMicroseconds: start,
      endMicroseconds: end
    )
  }

  private static func reader(_ call: Call) -> HistoryReader {
    HistoryReader(router: call.context.storage.router, catalog: call.context.storage.catalog)
  }
}

/// Puts the values of a page into columns.
private struct ColumnsCollector: HistoryVisitor {
  var columns = ColumnsBuilder()

  mutating func number(_ value: Double, _ key: HistoryKey) {
    columns.appendNumber(
      value,
      entityID: key.entityID,
      attributeID: key.attributeID,
      observedAtMicroseconds: key.observedAtMicroseconds
    )
  }

  mutating func integer(_ value: Int64, _ key: HistoryKey) {
    columns.appendInteger(
      value,
      entityID: key.entityID,
      attributeID: key.attributeID,
      observedAtMicroseconds: key.observedAtMicroseconds
    )
  }

  mutating func flag(_ value: Bool, _ key: HistoryKey) {
    columns.appendFlag(
      value,
      entityID: key.entityID,
      attributeID: key.attributeID,
      observedAtMicroseconds: key.observedAtMicroseconds
    )
  }

  mutating func label(_ text: RawSpan, _ key: HistoryKey) {
    columns.appendLabel(
      text,
      entityID: key.entityID,
      attributeID: key.attributeID,
      observedAtMicroseconds: key.observedAtMicroseconds
    )
  }

  mutating func document(_ json: RawSpan, _ key: HistoryKey) {
    columns.appendDocument(
      json,
      entityID: key.entityID,
      attributeID: key.attributeID,
      observedAtMicroseconds: key.observedAtMicroseconds
    )
  }
}
