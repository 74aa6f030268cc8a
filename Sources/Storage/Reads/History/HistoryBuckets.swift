// The answer of an aggregate, and what becomes of its gaps.

/// Buckets in parallel columns, by entity, attribute and time.
public struct HistoryBuckets: Equatable, Sendable {
  /// The entity of each.
  public private(set) var entityIDs: [Int64] = []
  /// The attribute of each.
  public private(set) var attributeIDs: [UInt32] = []
  /// Where each begins, in microseconds since 1970.
  public private(set) var startsMicroseconds: [Int64] = []
  /// Values in each, NaN among them.
  public private(set) var counts: [UInt64] = []
  /// Smallest value that is not NaN.
  public private(set) var minima: [Double] = []
  /// Largest value that is not NaN.
  public private(set) var maxima: [Double] = []
  /// Average of what is not NaN.
  public private(set) var averages: [Double] = []
  /// Sum of what is not NaN.
  public private(set) var sums: [Double] = []
  /// The earliest value.
  public private(set) var firsts: [Double] = []
  /// The latest value.
  public private(set) var lasts: [Double] = []
  /// Standard deviations, if they were asked for.
  public private(set) var deviations: [Double] = []
  /// For each bucket as many as were asked for.
  public private(set) var percentiles: [Double] = []
  /// Exact figures of integers; empty when none of the attributes is of that type.
  public private(set) var integers = IntegerFigures()

  /// How many there are.
  public var count: Int { counts.count }
  private let hasDeviation: Bool
  private let percentileCount: Int
  private let hasIntegers: Bool

  private init(like aggregate: Aggregate, hasIntegers: Bool) {
    hasDeviation = aggregate.hasDeviation
    percentileCount = aggregate.percentiles.count
    self.hasIntegers = hasIntegers
  }

  /// Reads an answer of `AggregateStatement`, or of `PortableAggregateStatement`.
  init(
    _ result: PostgresResult,
    _ aggregate: Aggregate,
    hasIntegers: Bool,
    isOfWarehouse: Bool
  ) throws(PostgresError) {
    self.init(like: aggregate, hasIntegers: hasIntegers)
    let exact = result.columnCount - (hasIntegers ? IntegerFigures.columns.count : 0)
    for row in 0..<result.rowCount {
      guard let entity = try result.int64(row: row, column: 0),
        let attribute = try result.int64(row: row, column: 1),
        let start = try result.int64(row: row, column: 2),
        let count = try result.int64(row: row, column: 3),
        let plain = try result.int64(row: row, column: 4)
      else { throw .protocolViolation("a bucket without its key") }
      var figures: [Double] = []
      for column in 5..<exact {
        figures.append(try result.double(row: row, column: column) ?? .nan)
      }
      entityIDs.append(entity)
      attributeIDs.append(UInt32(truncatingIfNeeded: attribute))
      startsMicroseconds.append(start + StoredTime.epoch)
      counts.append(UInt64(count))
      minima.append(figures[0])
      maxima.append(figures[1])
      sums.append(figures[2])
      averages.append(figures[2] / Double(plain))
      firsts.append(figures[3])
      lasts.append(figures[4])
      if hasDeviation { deviations.append(figures[5]) }
      if isOfWarehouse {
        let neighbours = Array(figures.suffix(2 * percentileCount))
        percentiles += aggregate.percentiles.enumerated().map { index, fraction in
          let (low, high) = (neighbours[2 * index], neighbours[2 * index + 1])
          return PortablePercentile.value(fraction, count: plain, low: low, high: high)
        }
      } else {
        percentiles += figures.suffix(percentileCount)
      }
      if hasIntegers { try integers.append(result, row: row, column: exact) }
    }
  }

  // MARK: Gaps

  /// The same with every bucket of every series.
  ///
  /// - Parameters:
  ///   - query: names the series.
  ///   - starts: where buckets begin, ascending.
  ///   - aggregate: what becomes of gaps.
  /// - Returns: the buckets of all series in their order.
  func filled(
    _ query: HistoryQuery,
    _ starts: [Int64],
    _ aggregate: Aggregate
  ) -> HistoryBuckets {
    var filled = HistoryBuckets(like: aggregate, hasIntegers: hasIntegers)
    var next = 0
    for entity in Set(query.entityIDs).sorted() {
      for attribute in Set(query.attributeIDs).sorted() {
        var last = (number: Double.nan, integer: Int64(0))
        // Should there be buckets that the grid does not name, they are kept.
        func take(through start: Int64) -> Bool {
          var isTaken = false
          while next < count, key(next) <= (entity, attribute, start) {
            isTaken = key(next).2 == start
            last = (lasts[next], hasIntegers ? integers.lasts[next] : 0)
            filled.append(self, next)
            next += 1
          }
          return isTaken
        }
        for start in starts {
          let isTaken = take(through: start)
          if !isTaken {
            filled.append(entity, attribute, start, aggregate.fill == .previous ? last : (.nan, 0))
          }
        }
        _ = take(through: .max)
      }
    }
    return filled
  }

  private func key(_ index: Int) -> (Int64, UInt32, Int64) {
    (entityIDs[index], attributeIDs[index], startsMicroseconds[index])
  }

  private mutating func append(_ other: HistoryBuckets, _ index: Int) {
    entityIDs.append(other.entityIDs[index])
    attributeIDs.append(other.attributeIDs[index])
    startsMicroseconds.append(other.startsMicroseconds[index])
    counts.append(other.counts[index])
    minima.append(other.minima[index])
    maxima.append(other.maxima[index])
    sums.append(other.sums[index])
    averages.append(other.averages[index])
    firsts.append(other.firsts[index])
    lasts.append(other.lasts[index])
    if hasDeviation { deviations.append(other.deviations[index]) }
    let first = index * percentileCount
    percentiles += other.percentiles[first..<first + percentileCount]
    if hasIntegers { integers.append(other.integers, index) }
  }

  /// A bucket without values.
  private mutating func append(
    _ entity: Int64,
    _ attribute: UInt32,
    _ start: Int64,
    _ value: (number: Double, integer: Int64)
  ) {
    entityIDs.append(entity)
    attributeIDs.append(attribute)
    startsMicroseconds.append(start)
    counts.append(0)
    minima.append(value.number)
    maxima.append(value.number)
    sums.append(0)
    averages.append(value.number)
    firsts.append(value.number)
    lasts.append(value.number)
    if hasDeviation { deviations.append(.nan) }
    percentiles += Array(repeating: value.number, count: percentileCount)
    if hasIntegers { integers.append(value.integer) }
  }
}
