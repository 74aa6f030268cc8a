import EventLoop
import Testing

@testable import Storage

@Suite("figures of integers", .needsDatabases)
struct IntegerFiguresTests {
  /// Attribute 2 is an integer, attribute 1 a number.
  private static func fill(_ readers: Readers) async throws {
    try await readers.makeAttributes()
    try await readers.database.script(
      """
      INSERT INTO sluice.entity_values
        (tenant_id, entity_id, attribute_id, observed_at, number, integer)
      VALUES
        (1, 1, 2, to_timestamp(0), NULL, 9223372036854775807),
        (1, 1, 2, to_timestamp(0.000001), NULL, -9223372036854775808),
        (1, 1, 2, to_timestamp(1), NULL, 9007199254740993),
        (1, 1, 2, to_timestamp(1), NULL, 9007199254740992),
        (1, 1, 2, to_timestamp(5), NULL, 7),
        (1, 1, 1, to_timestamp(1), 0.5, NULL)
      """
    )
  }

  private static func query(_ attributes: [UInt32]) -> HistoryQuery {
    HistoryQuery(
      tenant: 1,
      entityIDs: [1],
      attributeIDs: attributes,
      startMicroseconds: 0,
      endMicroseconds: 6_000_000
    )
  }

  @Test(
    "they are exact at every end of 64 bits, and of equal times the smaller one is first",
    arguments: Readers.sources
  )
  func exact(feed: WarehouseFeed?) async throws {
    try await Readers.run(feed: feed) { readers in
      try await IntegerFiguresTests.fill(readers)
      let grid = BucketGrid(.width(1_000_000))
      let found = try await readers.buckets(IntegerFiguresTests.query([2]), Aggregate(grid))
      #expect(found.counts == [2, 2, 1])
      #expect(found.integers.minima == [.min, 9_007_199_254_740_992, 7])
      #expect(found.integers.maxima == [.max, 9_007_199_254_740_993, 7])
      #expect(found.integers.firsts == [.max, 9_007_199_254_740_992, 7])
      #expect(found.integers.lasts == [.min, 9_007_199_254_740_993, 7])
      #expect(found.maxima[2] == 7 && found.lasts[2] == 7)
    }
  }

  @Test(
    "gaps repeat the last one exactly, and other attributes have none",
    arguments: Readers.sources
  )
  func gaps(feed: WarehouseFeed?) async throws {
    try await Readers.run(feed: feed) { readers in
      try await IntegerFiguresTests.fill(readers)
      let grid = BucketGrid(.width(1_000_000))
      let filled = try await readers.buckets(
        IntegerFiguresTests.query([1, 2]),
        Aggregate(grid, percentiles: [0.5], hasDeviation: true, fill: .previous)
      )
      let last: Int64 = 9_007_199_254_740_993
      #expect(filled.attributeIDs == [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2])
      #expect(filled.integers.lasts == [0, 0, 0, 0, 0, 0, .min, last, last, last, last, 7])
      #expect(filled.integers.minima.suffix(4) == [last, last, last, 7])
      #expect(filled.lasts[1] == 0.5 && filled.percentiles[11] == 7)
      let none = try await readers.buckets(
        IntegerFiguresTests.query([1, 2]),
        Aggregate(grid, fill: .empty)
      )
      #expect(none.integers.lasts.suffix(6) == [.min, last, 0, 0, 0, 7])
    }
  }

  @Test("numbers alone have no columns of integers", arguments: Readers.sources)
  func numbers(feed: WarehouseFeed?) async throws {
    try await Readers.run(feed: feed) { readers in
      try await IntegerFiguresTests.fill(readers)
      let grid = BucketGrid(.width(1_000_000))
      let found = try await readers.buckets(IntegerFiguresTests.query([1]), Aggregate(grid))
      #expect(found.count == 1 && found.integers == IntegerFigures())
    }
  }
}
