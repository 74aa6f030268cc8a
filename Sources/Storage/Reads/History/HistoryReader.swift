public import EventLoop

// Reads stored values by observed time: raw in pages, and summed up in buckets.

/// Answers QueryHistory, AggregateHistory and ExistsInRange.
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

  // MARK: Raw values

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
  ///   - scanRowsMax: rows in the range at which it is refused; nil lets it go on.
  ///   - requirement: how fresh.
  ///   - deadline: until when.
  /// - Returns: the page.
  /// - Throws: `.badPageToken`, `.valueTooLarge`, `.attributeNotFound`, `.tooExpensive`, and as
  ///   `ReadRouter.read`.
  public func values(
    _ query: HistoryQuery,
    pageToken: [UInt8],
    limit: Int,
    bytesMax: Int,
    scanRowsMax: Int64?,
    _ requirement: ReadRequirement,
    deadline: MonotonicTime
  ) async throws(StorageError) -> HistoryPage {
    let arguments = query.fingerprint(
      includesStaged: requirement.includesStaged,
      isOfWarehouse: requirement.isOfWarehouse
    )
    var position: HistoryPosition?
    if !pageToken.isEmpty {
      position = HistoryPosition(
        try PageToken.open(pageToken, arguments),
        isOfWarehouse: requirement.isOfWarehouse
      )
      guard position != nil else { throw .badPageToken }
    }
    try await learn(query, deadline)
    let statement = HistoryStatement(
      query: query,
      position: position,
      limit: limit,
      bytesMax: bytesMax,
      includesStaged: requirement.includesStaged,
      isOfWarehouse: requirement.isOfWarehouse,
      hasTexts: hasTexts(query),
      futureLimit: catalog.futureLimitMicroseconds
    )
    let answer = try await read(
      [statement.statement],
      of: statement.range,
      scanRowsMax,
      requirement,
      deadline
    )
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

  // MARK: Buckets

  /// Numbers and integers summed up by entity, attribute and bucket.
  ///
  /// - Parameters:
  ///   - query: which values; its order does not matter.
  ///   - aggregate: what of them.
  ///   - bucketsMax: most buckets of the answer.
  ///   - bytesMax: most bytes of their figures on the wire, `Aggregate.bucketBytes` each.
  ///   - scanRowsMax: rows in the range at which it is refused; nil lets it go on.
  ///   - requirement: how fresh.
  ///   - deadline: until when.
  /// - Returns: the buckets, by entity, attribute and time.
  /// - Throws: `.attributeNotFound`, `.notAggregable`, `.tooManyBuckets`, `.sumOverflow`,
  ///   `.unknownTimeZone`, `.tooExpensive`, and as `ReadRouter.read`.
  public func buckets(
    _ query: HistoryQuery,
    _ aggregate: Aggregate,
    bucketsMax: Int,
    bytesMax: Int,
    scanRowsMax: Int64?,
    _ requirement: ReadRequirement,
    deadline: MonotonicTime
  ) async throws(StorageError) -> (buckets: HistoryBuckets, proof: ReadProof) {
    try await learn(query, deadline)
    var hasIntegers = false
    for (index, id) in query.attributeIDs.enumerated() {
      switch catalog.attribute(id, of: query.tenant)?.type {
      case .number: break
      case .integer, nil: hasIntegers = true
      case .flag, .label, .document: throw .notAggregable(index: index)
      }
    }
    let bucketsMax = min(bucketsMax, bytesMax / aggregate.bucketBytes(hasIntegers: hasIntegers))
    let range = HistoryRange(query: query, futureLimit: catalog.futureLimitMicroseconds)
    let isOfWarehouse = requirement.isOfWarehouse
    var statements =
      isOfWarehouse
      ? [
        PortableAggregateStatement(
          range: range,
          aggregate: aggregate,
          bucketsMax: bucketsMax,
          hasIntegers: hasIntegers
        ).statement
      ]
      : [
        AggregateStatement(
          range: range,
          aggregate: aggregate,
          bucketsMax: bucketsMax,
          includesStaged: requirement.includesStaged,
          hasIntegers: hasIntegers
        ).statement
      ]
    var starts: BucketGrid.Starts?
    if aggregate.fill != .none {
      starts = aggregate.grid.starts(of: query, max: bucketsMax, isOfWarehouse: isOfWarehouse)
      switch starts {
      case .asked(let statement): statements.append(statement)
      case .cut(let starts): statements.append(starts.statement)
      case .known: break
      case nil: throw .tooManyBuckets(max: bucketsMax)
      }
    }
    if let zone = aggregate.grid.zone { statements.append(zone.check) }
    let answer: ReadAnswer
    do throws(StorageError) {
      answer = try await read(statements, of: range, scanRowsMax, requirement, deadline)
    } catch {
      throw HistoryReader.aggregateError(error)
    }
    guard answer.results[0].rowCount <= bucketsMax else { throw .tooManyBuckets(max: bucketsMax) }
    let (buckets, all): (HistoryBuckets, [Int64]?)
    do throws(PostgresError) {
      buckets = try HistoryBuckets(
        answer.results[0],
        aggregate,
        hasIntegers: hasIntegers,
        isOfWarehouse: isOfWarehouse
      )
      all = try starts.map { starts throws(PostgresError) in
        try HistoryReader.times(starts, answer.results)
      }
    } catch {
      throw .postgres(error)
    }
    guard let all else { return (buckets, answer.proof) }
    let series = Set(query.entityIDs).count * Set(query.attributeIDs).count
    guard all.count <= bucketsMax / series else { throw .tooManyBuckets(max: bucketsMax) }
    return (buckets.filled(query, all, aggregate), answer.proof)
  }

  // Numeric value out of range: the one thing here that can be is a sum. An invalid parameter: the
  // one thing that was not checked is the zone.
  private static func aggregateError(_ error: StorageError) -> StorageError {
    guard case .postgres(let inner) = error else { return error }
    switch inner.sqlstate {
    case "22003": return .sumOverflow
    case "22023": return .unknownTimeZone
    default: return error
    }
  }

  private static func times(
    _ starts: BucketGrid.Starts,
    _ results: [PostgresResult]
  ) throws(PostgresError) -> [Int64] {
    if case .known(let times) = starts { return times }
    var times: [Int64] = []
    for row in 0..<results[1].rowCount {
      guard let time = try results[1].int64(row: row, column: 0) else {
        throw .protocolViolation("a bucket without a start")
      }
      times.append(time + StoredTime.epoch)
    }
    if case .cut(let starts) = starts { return starts.buckets(times) }
    return times
  }

  // MARK: Existence

  /// Which entities have at least one value in a range.
  ///
  /// - Parameters:
  ///   - query: which values; without attributes those of all.
  ///   - scanRowsMax: rows in the range at which it is refused; nil lets it go on.
  ///   - requirement: how fresh.
  ///   - deadline: until when.
  /// - Returns: their ids, ascending.
  /// - Throws: `.attributeNotFound`, `.tooExpensive`, and as `ReadRouter.read`.
  public func entitiesWithValues(
    _ query: HistoryQuery,
    scanRowsMax: Int64?,
    _ requirement: ReadRequirement,
    deadline: MonotonicTime
  ) async throws(StorageError) -> (entityIDs: [Int64], proof: ReadProof) {
    try await learn(query, deadline)
    let range = HistoryRange(query: query, futureLimit: catalog.futureLimitMicroseconds)
    let statement =
      requirement.isOfWarehouse
      ? PortableExistsStatement(range: range).statement
      : ExistsStatement(range: range, includesStaged: requirement.includesStaged).statement
    let answer = try await read(
      [statement],
      of: range,
      scanRowsMax,
      requirement,
      deadline
    )
    do throws(PostgresError) {
      var ids: [Int64] = []
      for row in 0..<answer.results[0].rowCount {
        guard let id = try answer.results[0].int64(row: row, column: 0) else {
          throw .protocolViolation("an entity without an id")
        }
        ids.append(id)
      }
      return (ids, answer.proof)
    } catch {
      throw .postgres(error)
    }
  }

  // MARK: Private

  /// Makes sure that the attributes exist.
  ///
  /// While the primary cannot be asked, what is not known is taken to exist: reads of other nodes
  /// go on without it.
  ///
  /// - Throws: `.attributeNotFound` with the place of the first one that does not.
  private func learn(
    _ query: HistoryQuery,
    _ deadline: MonotonicTime
  ) async throws(StorageError) {
    do throws(StorageError) {
      try await catalog.learn(
        tenant: query.tenant,
        entityIDs: [],
        attributeIDs: query.attributeIDs,
        deadline: deadline
      )
    } catch {
      switch error {
      case .postgres(.cancelled): throw error
      case .postgres: return
      default: throw error
      }
    }
    for (index, id) in query.attributeIDs.enumerated() {
      guard catalog.attribute(id, of: query.tenant) != nil else {
        throw .attributeNotFound(index: index)
      }
    }
  }

  /// Runs the statements of one read behind their guard; the guard's answer is left out.
  ///
  /// A warehouse that is not PostgreSQL has neither the guard's function nor a planner to ask.
  private func read(
    _ statements: [PostgresStatement],
    of range: HistoryRange,
    _ scanRowsMax: Int64?,
    _ requirement: ReadRequirement,
    _ deadline: MonotonicTime
  ) async throws(StorageError) -> ReadAnswer {
    let isGuarded = !requirement.isOfWarehouse || router.warehouseFeed.isPostgreSQL
    let scanRowsMax = isGuarded ? scanRowsMax : nil
    let guards = scanRowsMax.map { ScanGuard(range: range, rowsMax: $0).statements } ?? []
    do throws(StorageError) {
      var answer = try await router.read(guards + statements, requirement, deadline: deadline)
      answer.results.removeFirst(guards.count)
      return answer
    } catch {
      guard let scanRowsMax, let cost = ScanGuard.cost(in: error) else { throw error }
      throw .tooExpensive(cost, rowsMax: scanRowsMax)
    }
  }
}
