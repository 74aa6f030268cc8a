internal import Storage
internal import Wire

// sluice.v1.HistoryService

/// Stored values by observed time. Proto/sluice/v1/history.proto
enum HistoryService {
  private static let pageDefault = 10_000
  private static let pageMax = 50_000

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
    let page = try await call.storage("attribute_id") { () throws(StorageError) in
      try await reader(call).values(
        query,
        pageToken: message.pageToken,
        limit: limit,
        bytesMax: RequestLimits.answerBytesMax,
        scanRowsMax: scanRowsMax(call, message.allowExpensive),
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
    let aggregate = try Aggregate(message)
    let (buckets, proof) = try await call.storage("attribute_id") { () throws(StorageError) in
      try await reader(call).buckets(
        query,
        aggregate,
        bucketsMax: RequestLimits.bucketsMax,
        bytesMax: RequestLimits.answerBytesMax,
        scanRowsMax: scanRowsMax(call, message.allowExpensive),
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
      stddevs: buckets.deviations,
      percentiles: buckets.percentiles,
      integerMinima: buckets.integers.minima,
      integerMaxima: buckets.integers.maxima,
      integerFirsts: buckets.integers.firsts,
      integerLasts: buckets.integers.lasts,
      freshness: Freshness(proof)
    )
  }

  static func existsInRange(
    _ message: ExistsInRangeRequest,
    _ call: Call
  ) async throws(Status) -> ExistsInRangeResponse {
    let requirement = try ReadRequirement(message.read, call)
    let query = try query(
      call,
      message.entityIDs,
      message.attributeIDs,
      message.startMicroseconds,
      message.endMicroseconds,
      attributes: 0...RequestLimits.historyIDsMax
    )
    let (ids, proof) = try await call.storage("attribute_id") { () throws(StorageError) in
      try await reader(call).entitiesWithValues(
        query,
        scanRowsMax: scanRowsMax(call, message.allowExpensive),
        requirement,
        deadline: call.request.deadline
      )
    }
    return ExistsInRangeResponse(entityIDs: ids, freshness: Freshness(proof))
  }

  private static func query(
    _ call: Call,
    _ entityIDs: [Int64],
    _ attributeIDs: [UInt32],
    _ start: Int64,
    _ end: Int64,
    attributes: ClosedRange<Int> = 1...RequestLimits.historyIDsMax
  ) throws(Status) -> HistoryQuery {
    try Status.check("entity_id", count: entityIDs.count, 1...RequestLimits.historyIDsMax)
    try Status.check("attribute_id", count: attributeIDs.count, attributes)
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

  private static func scanRowsMax(_ call: Call, _ isAllowed: Bool) -> Int64? {
    isAllowed ? nil : call.context.configuration.scanRowsMax
  }

  private static func reader(_ call: Call) -> HistoryReader {
    HistoryReader(router: call.context.storage.router, catalog: call.context.storage.catalog)
  }
}

extension Aggregate {
  private static let bucketWidthMin: Int64 = 1_000

  /// What a request asks for.
  ///
  /// - Throws: INVALID_ARGUMENT with the field.
  fileprivate init(_ message: AggregateHistoryRequest) throws(Status) {
    self.init(
      try Aggregate.grid(message),
      percentiles: message.percentiles,
      hasDeviation: message.stddev,
      fill: Aggregate.fill(message.fill)
    )
    try Status.check("percentile", count: percentiles.count, 0...RequestLimits.percentilesMax)
    for (index, fraction) in percentiles.enumerated() where !(0...1).contains(fraction) {
      throw .invalid("percentile[\(index)]", "must be 0 to 1")
    }
  }

  private static func grid(_ message: AggregateHistoryRequest) throws(Status) -> BucketGrid {
    var zone: TimeZoneName?
    if !message.timeZone.isEmpty {
      zone = TimeZoneName(message.timeZone)
      guard zone != nil else { throw Status(.unknownTimeZone) }
    }
    let width = message.bucketWidthMicroseconds
    if let unit = BucketGrid.Unit(message.bucketUnit) {
      guard width == 0 else { throw .invalid("bucket_width_us", "does not go with bucket_unit") }
      return BucketGrid(.calendar(unit), zone: zone)
    }
    let widthMax = zone == nil ? BucketGrid.widthMax : BucketGrid.zonedWidthMax
    guard (bucketWidthMin...widthMax).contains(width) else {
      let days = zone == nil ? "" : " with a time_zone; bucket_unit has longer ones"
      throw .invalid("bucket_width_us", "must be 1000 (1 ms) to \(widthMax)\(days)")
    }
    return BucketGrid(.width(width), zone: zone)
  }

  private static func fill(_ fill: HistoryFill) -> Fill {
    switch fill {
    case .unspecified, .none: .none
    case .empty: .empty
    case .previous: .previous
    }
  }
}

extension BucketGrid.Unit {
  /// Nil when a width was asked for.
  fileprivate init?(_ unit: CalendarUnit) {
    switch unit {
    case .unspecified: return nil
    case .day: self = .day
    case .week: self = .week
    case .month: self = .month
    case .quarter: self = .quarter
    case .year: self = .year
    }
  }
}
