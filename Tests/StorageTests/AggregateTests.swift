import EventLoop
import Testing

@testable import Storage

@Suite("buckets of history", .needsDatabases)
struct AggregateTests {
  /// Values of entity, attribute and time.
  private struct Row {
    var entity: Int64
    var attribute: UInt32
    var time: Int64
    var value: Double
  }

  private static func randomRows(_ seed: UInt64) -> [Row] {
    var random = SplitMix64(seed: seed)
    return (0..<3000).map { _ in
      let attribute = UInt32.random(in: 1...2, using: &random)
      let value =
        attribute == 2
        ? Double(Int64.random(in: -1000...1000, using: &random))
        : [.nan, Double.random(in: -1e6...1e6, using: &random)].randomElement(using: &random) ?? 0
      return Row(
        entity: Int64.random(in: 1...3, using: &random),
        attribute: attribute,
        time: Int64.random(in: -20_000_000...20_000_000, using: &random),
        value: value
      )
    }
  }

  private static func insert(_ rows: [Row], _ readers: Readers) async throws {
    _ = try await readers.database.connection.query(
      """
      INSERT INTO sluice.entity_values (tenant_id, entity_id, attribute_id, observed_at, number, integer)
      SELECT 1, e, a, to_timestamp(0) + t * interval '1 microsecond',
        CASE a WHEN 1 THEN v END, CASE a WHEN 2 THEN v::int8 END
      FROM unnest($1::int8[], $2::int4[], $3::int8[], $4::float8[]) AS r(e, a, t, v)
      """,
      [
        .array(rows.map(\.entity)), .array(rows.map { Int32($0.attribute) }),
        .array(rows.map(\.time)), .array(rows.map(\.value)),
      ],
      deadline: soon()
    )
  }

  @Test("they are what a straightforward computation gives", arguments: Readers.sources)
  func figures(feed: WarehouseFeed?) async throws {
    try await Readers.run(feed: feed) { readers in
      try await readers.makeAttributes()
      let rows = AggregateTests.randomRows(7)
      try await AggregateTests.insert(rows, readers)
      let query = HistoryQuery(
        tenant: 1,
        entityIDs: [1, 3],
        attributeIDs: [1, 2],
        startMicroseconds: -15_000_000,
        endMicroseconds: 15_000_001
      )
      let fractions = [0.5, 0, 0.99, 1]
      for width in [1_000, 250_000, 7_000_000, BucketGrid.widthMax] as [Int64] {
        let found = try await readers.buckets(
          query,
          Aggregate(BucketGrid(.width(width)), percentiles: fractions, hasDeviation: true)
        )
        let chosen = rows.filter {
          $0.entity != 2 && $0.time >= -15_000_000 && $0.time < 15_000_001
        }
        let groups = Dictionary(grouping: chosen) {
          [
            $0.entity, Int64($0.attribute),
            Int64((Double($0.time) / Double(width)).rounded(.down)) * width,
          ]
        }
        let keys = groups.keys.sorted { $0.lexicographicallyPrecedes($1) }
        #expect(found.startsMicroseconds == keys.map { $0[2] })
        #expect(found.entityIDs == keys.map { $0[0] })
        #expect(found.attributeIDs == keys.map { UInt32($0[1]) })
        for (place, key) in keys.enumerated() {
          try compare(found, place, #require(groups[key]), fractions)
        }
      }
    }
  }

  private func compare(
    _ found: HistoryBuckets,
    _ place: Int,
    _ group: [Row],
    _ fractions: [Double]
  ) {
    let real = group.map(\.value).filter { !$0.isNaN }.sorted()
    let sum = real.reduce(0, +)
    let average = real.isEmpty ? .nan : sum / Double(real.count)
    let squares = real.map { ($0 - average) * ($0 - average) }.reduce(0, +)
    #expect(found.counts[place] == UInt64(group.count))
    #expect(same(found.minima[place], real.first ?? .nan))
    #expect(same(found.maxima[place], real.last ?? .nan))
    #expect(same(found.sums[place], real.isEmpty ? .nan : sum))
    #expect(same(found.averages[place], average))
    let deviation = real.count < 2 ? .nan : (squares / Double(real.count - 1)).squareRoot()
    #expect(same(found.deviations[place], deviation))
    let times = group.map(\.time)
    let firsts = group.filter { $0.time == times.min() }.map(\.value)
    let lasts = group.filter { $0.time == times.max() }.map(\.value)
    #expect(firsts.contains { same($0, found.firsts[place]) })
    #expect(lasts.contains { same($0, found.lasts[place]) })
    for (index, fraction) in fractions.enumerated() {
      let rank = fraction * Double(real.count - 1)
      var expected = Double.nan
      if !real.isEmpty {
        let (low, high) = (real[Int(rank)], real[min(Int(rank) + 1, real.count - 1)])
        expected = low + (high - low) * (rank - rank.rounded(.down))
      }
      #expect(same(found.percentiles[place * fractions.count + index], expected))
    }
  }

  private func same(_ left: Double, _ right: Double) -> Bool {
    guard left.isFinite, right.isFinite else { return left == right || left.isNaN && right.isNaN }
    return abs(left - right) <= 1e-9 * max(1, abs(left), abs(right))
  }

  @Test(
    "extremes come back exactly, and an average does not overflow where its sum does not",
    arguments: Readers.sources
  )
  func extremes(feed: WarehouseFeed?) async throws {
    try await Readers.run(feed: feed) { readers in
      try await readers.makeAttributes()
      let values: [Double] = [
        -0.0, .infinity, -.infinity, .greatestFiniteMagnitude, .leastNonzeroMagnitude, .nan,
      ]
      var rows = values.enumerated().map {
        Row(entity: 1, attribute: 1, time: Int64($0) * 1_000_000, value: $1)
      }
      rows += [1e200, -1e200, 3e200].map { Row(entity: 2, attribute: 1, time: 5, value: $0) }
      try await AggregateTests.insert(rows, readers)
      let found = try await readers.buckets(
        HistoryQuery(
          tenant: 1,
          entityIDs: [1, 2],
          attributeIDs: [1],
          startMicroseconds: 0,
          endMicroseconds: 10_000_000
        ),
        Aggregate(BucketGrid(.width(1_000_000)), percentiles: [0.5])
      )
      for column in [found.firsts, found.lasts, found.minima, found.maxima, found.percentiles] {
        for (index, value) in values.enumerated() where !value.isNaN {
          #expect(column[index].bitPattern == value.bitPattern)
        }
        #expect(column[5].isNaN)
      }
      #expect(found.counts[5] == 1 && found.counts[6] == 3)
      #expect(same(found.averages[6], 1e200) && same(found.sums[6], 3e200))
    }
  }

  @Test(
    "percentiles lie between their neighbours, however far apart these are, or infinite",
    arguments: Readers.sources
  )
  func farPercentiles(feed: WarehouseFeed?) async throws {
    try await Readers.run(feed: feed) { readers in
      try await readers.makeAttributes()
      let (far, small) = (1.7e308, Double.leastNonzeroMagnitude)
      let (top, bottom) = (Double.infinity, -Double.infinity)
      // Values, and of them the percentiles 0.25, 0.5 and 0.75.
      let cases: [(values: [Double], percentiles: [Double])] = [
        ([top, top], [top, top, top]),
        ([bottom, bottom, .nan], [bottom, bottom, bottom]),
        ([.nan, .nan], [.nan, .nan, .nan]),
        ([-1.7e308, far], [-8.5e307, 0, 8.5e307]),
        ([far, -1.7e308, top, .nan], [0, far, top]),
        (
          [-1e307, .greatestFiniteMagnitude],
          [3.744_232_837e307, 8.488_465_674e307, 1.323_269_851e308]
        ),
        ([0, top], [top, top, top]),
        ([bottom, 1, 2, 3, top], [1, 2, 3]), ([bottom, 5], [bottom, bottom, 5]),
        ([small, small], [small, small, small]),
      ]
      var rows: [Row] = []
      for (place, (values, _)) in cases.enumerated() {
        rows += values.map { Row(entity: Int64(place), attribute: 1, time: 5, value: $0) }
      }
      try await AggregateTests.insert(rows, readers)
      let found = try await readers.buckets(
        HistoryQuery(
          tenant: 1,
          entityIDs: cases.indices.map { Int64($0) },
          attributeIDs: [1],
          startMicroseconds: 0,
          endMicroseconds: 10
        ),
        Aggregate(BucketGrid(.width(1_000_000)), percentiles: [0.25, 0.5, 0.75])
      )
      try #require(found.count == cases.count)
      for (place, (values, percentiles)) in cases.enumerated() {
        for (index, expected) in percentiles.enumerated() {
          let percentile = found.percentiles[place * 3 + index]
          #expect(percentile == expected || same(percentile, expected), "\(values)")
        }
      }
    }
  }

  @Test("buckets begin at multiples of their width, also before 1970")
  func starts() {
    let cases: [(Int64, Int64)] = [(0, 0), (6, 0), (7, 7), (-1, -7), (-7, -7), (-8, -14)]
    for (time, start) in cases { #expect(BucketGrid.start(of: time, width: 7) == start) }
  }

  @Test(
    "other types, too many buckets and sums beyond a double are refused",
    arguments: Readers.sources
  )
  func limits(feed: WarehouseFeed?) async throws {
    try await Readers.run(feed: feed) { readers in
      try await readers.makeAttributes()
      try await readers.database.script(
        """
        INSERT INTO sluice.entity_values (tenant_id, entity_id, attribute_id, observed_at, number)
          SELECT 1, 1, 1, to_timestamp(n), 1e308 FROM generate_series(0, 9) AS n
        """
      )
      func failure(
        _ attributes: [UInt32],
        width: Int64,
        max: Int,
        fill: Aggregate.Fill = .none,
        end: Int64 = 20_000_000
      ) async -> StorageError? {
        await storageFailure { () throws(StorageError) in
          try await readers.history.buckets(
            HistoryQuery(
              tenant: 1,
              entityIDs: [1],
              attributeIDs: attributes,
              startMicroseconds: 0,
              endMicroseconds: end
            ),
            Aggregate(BucketGrid(.width(width)), fill: fill),
            bucketsMax: max,
            bytesMax: 4 << 20,
            scanRowsMax: nil,
            readers.requirement,
            deadline: soon()
          )
        }
      }
      #expect(await failure([1], width: 1_000_000, max: 10) == nil)
      #expect(await failure([1], width: 1_000_000, max: 9) == .tooManyBuckets(max: 9))
      #expect(await failure([1], width: 5_000_000, max: 9) == .sumOverflow)
      #expect(await failure([1, 4], width: 1_000_000, max: 10) == .notAggregable(index: 1))
      #expect(await failure([1, 99], width: 1_000_000, max: 10) == .attributeNotFound(index: 1))
      // Twenty seconds, filled, of one or two series.
      #expect(await failure([1], width: 1_000_000, max: 20, fill: .empty) == nil)
      #expect(await failure([1], width: 1_000_000, max: 19, fill: .empty) != nil)
      #expect(await failure([1, 2], width: 1_000_000, max: 39, fill: .empty) != nil)
      let all = await failure([1], width: 1_000, max: 50_000, fill: .empty, end: .max)
      #expect(all == .tooManyBuckets(max: 50_000))
    }
  }

  // MARK: Gaps

  @Test(
    "gaps are left out, shown or filled with the last value, in every series",
    arguments: Readers.sources
  )
  func gaps(feed: WarehouseFeed?) async throws {
    try await Readers.run(feed: feed) { readers in
      try await readers.makeAttributes()
      let rows = [(10, 5), (11, 7), (30, 1), (31, -2)].map { (second, value) in
        Row(entity: 1, attribute: 1, time: Int64(second) * 1_000_000, value: Double(value))
      }
      try await AggregateTests.insert(rows, readers)
      let query = HistoryQuery(
        tenant: 1,
        entityIDs: [2, 1, 2],
        attributeIDs: [1],
        startMicroseconds: 3_000_000,
        endMicroseconds: 50_000_001
      )
      func found(_ fill: Aggregate.Fill) async throws -> HistoryBuckets {
        try await readers.buckets(
          query,
          Aggregate(
            BucketGrid(.width(10_000_000)),
            percentiles: [0, 1],
            hasDeviation: true,
            fill: fill
          )
        )
      }
      #expect(try await found(.none).counts == [2, 2])
      let starts = [0, 10, 20, 30, 40, 50].map { Int64($0) * 1_000_000 }
      for fill in [Aggregate.Fill.empty, .previous] {
        let filled = try await found(fill)
        #expect(filled.entityIDs == [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2])
        #expect(filled.startsMicroseconds == starts + starts)
        #expect(filled.counts == [0, 2, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0])
        #expect(filled.sums == [0, 12, 0, -1, 0, 0, 0, 0, 0, 0, 0, 0])
        let gap: [Double] = fill == .empty ? [.nan, .nan, .nan] : [7, -2, -2]
        let none = Array(repeating: Double.nan, count: 6)
        let lasts: [Double] = [.nan, 7, gap[0], -2, gap[1], gap[2]] + none
        for (index, expected) in lasts.enumerated() {
          #expect(same(filled.lasts[index], expected), "\(index)")
        }
        let minima: [Double] = [.nan, 5, gap[0], -2, gap[1], gap[2]] + none
        let deviations = [1: 2.0.squareRoot(), 3: 4.5.squareRoot()]
        for (index, expected) in minima.enumerated() {
          #expect(same(filled.minima[index], expected), "\(index)")
          #expect(same(filled.percentiles[2 * index], expected), "\(index)")
          #expect(same(filled.deviations[index], deviations[index] ?? .nan), "\(index)")
        }
      }
    }
  }
}

extension Readers {
  /// The buckets of a query, without a limit of what is scanned.
  func buckets(
    _ query: HistoryQuery,
    _ aggregate: Aggregate,
    _ requirement: ReadRequirement? = nil
  ) async throws -> HistoryBuckets {
    try await history.buckets(
      query,
      aggregate,
      bucketsMax: 10_000,
      bytesMax: 4 << 20,
      scanRowsMax: nil,
      requirement ?? self.requirement,
      deadline: soon()
    ).buckets
  }
}
