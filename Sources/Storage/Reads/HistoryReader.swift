public import EventLoop

// Reads stored values by observed time: raw in pages, and summed up in buckets.

/// Answers QueryHistory and AggregateHistory.
///
/// It does not assume that history is only rows of one table:
/// its statements are made in one place, and what comes back is a page.
public struct HistoryReader {
  private let router: ReadRouter
  private let catalog: Catalog

  /// A reader over a worker's router and catalog.
  public init(router: ReadRouter, catalog: Catalog) {
    self.router = router
    self.catalog = catalog
  }

  /// One page of raw values by observed time, entity and attribute.
  ///
  /// No value is lost or doubled over the pages, however many have the same key.
  ///
  /// - Parameters:
  ///   - query: which values.
  ///   - pageToken: from the last page; empty at first.
  ///   - limit: values in a page; fewer where a key would be torn or the page would pass
  ///     `bytesMax`.
  ///   - bytesMax: 28 for each value and the bytes of its text.
  ///   - requirement: how fresh.
  ///   - deadline: until when.
  /// - Returns: the page.
  /// - Throws: `.badPageToken`, `.valueTooLarge`, and as `ReadRouter.read`.
  public func values(
    _ query: HistoryQuery,
    pageToken: [UInt8],
    limit: Int,
    bytesMax: Int,
    _ requirement: ReadRequirement,
    deadline: MonotonicTime
  ) async throws(StorageError) -> HistoryPage {
    let arguments = query.fingerprint(includesStaged: requirement.includesStaged)
    var position: HistoryPosition?
    if !pageToken.isEmpty {
      position = HistoryPosition(try PageToken.open(pageToken, arguments))
      guard position != nil else { throw .badPageToken }
    }
    let statement = HistoryStatement(
      query: query,
      position: position,
      limit: limit,
      bytesMax: bytesMax,
      includesStaged: requirement.includesStaged,
      hasTexts: hasTexts(query),
      futureLimit: catalog.futureLimitMicroseconds
    )
    let answer = try await router.read([statement.statement], requirement, deadline: deadline)
    return try HistoryPage(answer.results[0], statement, arguments, answer.proof)
  }

  /// Whether labels or documents may be among the values; a type that is not known may be one.
  private func hasTexts(_ query: HistoryQuery) -> Bool {
    query.attributeIDs.contains { id in
      switch catalog.attribute(id, of: query.tenant)?.type {
      case .number, .integer, .flag: false
      case .label, .document, nil: true
      }
    }
  }

  /// Numbers and integers summed up by entity, attribute and bucket.
  ///
  /// - Parameters:
  ///   - query: which values; its order does not matter.
  ///   - bucketWidthMicroseconds: 1 to `AggregateStatement.widthMax`; buckets begin at multiples of
  ///     it.
  ///   - bucketsMax: most buckets of the answer.
  ///   - requirement: how fresh.
  ///   - deadline: until when.
  /// - Returns: the buckets that have values, by entity, attribute and time.
  /// - Throws: `.notAggregable`, `.tooManyBuckets`, `.sumOverflow`, and as `ReadRouter.read`.
  public func buckets(
    _ query: HistoryQuery,
    bucketWidthMicroseconds: Int64,
    bucketsMax: Int,
    _ requirement: ReadRequirement,
    deadline: MonotonicTime
  ) async throws(StorageError) -> (buckets: HistoryBuckets, proof: ReadProof) {
    try await catalog.learn(
      tenant: query.tenant,
      entityIDs: [],
      attributeIDs: query.attributeIDs,
      deadline: deadline
    )
    for (index, id) in query.attributeIDs.enumerated() {
      switch catalog.attribute(id, of: query.tenant)?.type {
      case .number, .integer, nil: break
      case .flag, .label, .document: throw .notAggregable(index: index)
      }
    }
    let statement = AggregateStatement(
      query: query,
      widthMicroseconds: bucketWidthMicroseconds,
      bucketsMax: bucketsMax,
      includesStaged: requirement.includesStaged,
      futureLimit: catalog.futureLimitMicroseconds
    )
    let answer: ReadAnswer
    do throws(StorageError) {
      answer = try await router.read([statement.statement], requirement, deadline: deadline)
    } catch {
      // Numeric value out of range: the one thing here that can be is a sum.
      if case .postgres(let inner) = error, inner.sqlstate == "22003" { throw .sumOverflow }
      throw error
    }
    guard answer.results[0].rowCount <= bucketsMax else { throw .tooManyBuckets(max: bucketsMax) }
    do throws(PostgresError) {
      return (try HistoryBuckets(answer.results[0]), answer.proof)
    } catch {
      throw .postgres(error)
    }
  }
}
