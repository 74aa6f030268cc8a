import EventLoop
import Testing

@testable import Storage

@Suite("buckets of time zones", .needsDatabases)
struct AggregateZoneTests {
  private static let hour: Int64 = 3_600_000_000

  /// A value each hour of half a year around both changes of clocks of 2024 in Europe.
  private static let hourly = """
    INSERT INTO sluice.entity_values (tenant_id, entity_id, attribute_id, observed_at, number)
      SELECT 1, 1, 1, t, 1
      FROM generate_series(timestamptz '2024-01-01Z', '2024-12-31Z', '1 hour') AS t
    """

  /// Starts and counts from the database's own calendar.
  private static func expected(
    _ sql: String,
    _ readers: Readers
  ) async throws -> (starts: [Int64], counts: [UInt64]) {
    let result = try await readers.database.connection.query(sql, deadline: soon())
    var (starts, counts): ([Int64], [UInt64]) = ([], [])
    for row in 0..<result.rowCount {
      starts.append(try #require(try result.int64(row: row, column: 0)))
      counts.append(UInt64(try #require(try result.int64(row: row, column: 1))))
    }
    return (starts, counts)
  }

  private static func zone(_ text: String) -> TimeZoneName {
    guard let name = TimeZoneName(text) else { preconditionFailure("\(text) could be a zone") }
    return name
  }

  private static func query(_ start: Int64, _ end: Int64) -> HistoryQuery {
    HistoryQuery(
      tenant: 1,
      entityIDs: [1],
      attributeIDs: [1],
      startMicroseconds: start * 1_000_000,
      endMicroseconds: end * 1_000_000
    )
  }

  @Test(
    "days have 23 or 25 hours, and months their own length",
    arguments: [false, true],
    Readers.sources
  )
  func calendar(isFilled: Bool, feed: WarehouseFeed?) async throws {
    try await Readers.run(feed: feed) { readers in
      try await readers.makeAttributes()
      try await readers.database.script(AggregateZoneTests.hourly)
      func buckets(
        _ start: Int64,
        _ end: Int64,
        _ step: BucketGrid.Step,
        _ zone: String
      ) async throws -> (starts: [Int64], counts: [UInt64]) {
        let grid = BucketGrid(step, zone: AggregateZoneTests.zone(zone))
        let found = try await readers.buckets(
          AggregateZoneTests.query(start, end),
          Aggregate(grid, fill: isFilled ? .empty : .none)
        )
        return (found.startsMicroseconds.map { $0 / 1_000_000 }, found.counts)
      }
      // 2024-03-29T23:00Z to 2024-04-01T22:00Z: three days of Berlin, the middle one of 23 hours.
      let spring = try await buckets(1_711_753_200, 1_712_008_800, .calendar(.day), "Europe/Berlin")
      #expect(spring.starts == [1_711_753_200, 1_711_839_600, 1_711_922_400])
      #expect(spring.counts == [24, 23, 24])
      // 2024-10-25T22:00Z to 2024-10-28T23:00Z.
      let autumn = try await buckets(1_729_893_600, 1_730_156_400, .calendar(.day), "Europe/Berlin")
      #expect(autumn.starts == [1_729_893_600, 1_729_980_000, 1_730_070_000])
      #expect(autumn.counts == [24, 25, 24])
      // 2024-02-01 to 2024-05-01 in New York: February of a leap year, March without an hour.
      let months = try await buckets(
        1_706_763_600,
        1_714_536_000,
        .calendar(.month),
        "America/New_York"
      )
      #expect(months.starts == [1_706_763_600, 1_709_269_200, 1_711_944_000])
      #expect(months.counts == [696, 743, 720])
      // Monday 2024-10-21 to Monday 2024-11-04.
      let weeks = try await buckets(
        1_729_461_600,
        1_730_674_800,
        .calendar(.week),
        "Europe/Berlin"
      )
      #expect(weeks.counts == [169, 168])
      // Six hours of a day of 25: the last bucket has what is left.
      let quarters = try await buckets(
        1_729_980_000,
        1_730_070_000,
        .width(6 * AggregateZoneTests.hour),
        "Europe/Berlin"
      )
      #expect(quarters.counts == [6, 6, 6, 6, 1])
      // Half past the hour, where the clock shows a full one.
      let kolkata = try await buckets(
        1_711_755_000,
        1_711_762_200,
        .width(AggregateZoneTests.hour),
        "Asia/Kolkata"
      )
      #expect(kolkata.starts == [1_711_755_000, 1_711_758_600])
    }
  }

  @Test(
    "every unit agrees with the calendar of the database",
    arguments: BucketGrid.Unit.allCases,
    Readers.sources
  )
  func units(unit: BucketGrid.Unit, feed: WarehouseFeed?) async throws {
    try await Readers.run(feed: feed) { readers in
      try await readers.makeAttributes()
      try await readers.database.script(AggregateZoneTests.hourly)
      for zone in ["UTC", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kathmandu"] {
        let grid = BucketGrid(.calendar(unit), zone: AggregateZoneTests.zone(zone))
        let expected = try await AggregateZoneTests.expected(
          """
          SELECT (extract(epoch FROM date_trunc('\(unit.rawValue)', observed_at, '\(zone)'))
            * 1000000)::int8, count(*)
          FROM sluice.entity_values WHERE observed_at >= '2024-01-15Z' GROUP BY 1 ORDER BY 1
          """,
          readers
        )
        let query = AggregateZoneTests.query(1_705_276_800, 1_735_689_600)
        for fill in [Aggregate.Fill.none, .previous] {
          let found = try await readers.buckets(query, Aggregate(grid, fill: fill))
          #expect(found.startsMicroseconds.prefix(expected.starts.count) == expected.starts[...])
          #expect(found.counts.prefix(expected.counts.count) == expected.counts[...])
          #expect(found.count <= expected.starts.count + (fill == .none ? 0 : 2))
        }
      }
    }
  }

  @Test(
    "what cannot be a zone of the IANA database is refused, by us or by the database",
    arguments: Readers.sources
  )
  func zones(feed: WarehouseFeed?) async throws {
    let wrong = [
      "", "CEST", "EDT", "PST", "cet", "EST5", "localtime", "foo/bar5", "Europe/Berlin'", "+02:00",
      "Etc/UTC;", "Europe/Berlin ",
      "../etc/passwd", "'; DROP TABLE sluice.entities; --", "Europe/\u{0}", "é/é",
      String(repeating: "a/", count: 33),
    ]
    for text in wrong { #expect(TimeZoneName(text) == nil, "\(text)") }
    try await Readers.run(feed: feed) { readers in
      try await readers.makeAttributes()
      for zone in ["Europe/Atlantis", "Nowhere/", "/", "-/-"] {
        // Also where there is no value whose time would be brought there.
        let name = AggregateZoneTests.zone(zone)
        for step in [BucketGrid.Step.calendar(.day), .width(AggregateZoneTests.hour)] {
          let error = await storageFailure { () throws(StorageError) in
            try await readers.history.buckets(
              AggregateZoneTests.query(1_611_753_200, 1_612_008_800),
              Aggregate(BucketGrid(step, zone: name)),
              bucketsMax: 100,
              bytesMax: 4 << 20,
              scanRowsMax: nil,
              readers.requirement,
              deadline: soon()
            )
          }
          #expect(error == .unknownTimeZone, "\(zone)")
        }
      }
    }
  }

  @Test(
    "every zone that the database lists is one, and is not taken for an abbreviation",
    arguments: Readers.sources
  )
  func listedZones(feed: WarehouseFeed?) async throws {
    try await Readers.run(feed: feed) { readers in
      try await readers.makeAttributes()
      // Those two are files of the machine.
      let listed = try await readers.database.connection.query(
        "SELECT name FROM pg_timezone_names WHERE name NOT IN ('localtime', 'posixrules')",
        deadline: soon(.seconds(30))
      )
      #expect(listed.rowCount > 300)
      for row in 0..<listed.rowCount {
        let name = try #require(listed.text(row: row, column: 0))
        #expect(TimeZoneName(name) != nil, "\(name)")
      }
      // A summer's day of Brussels, from 22:00Z on: the abbreviation's begins at 23:00Z.
      try await readers.database.script(AggregateZoneTests.hourly)
      let grid = BucketGrid(.calendar(.day), zone: AggregateZoneTests.zone("CET"))
      let query = AggregateZoneTests.query(1_719_784_800, 1_719_871_200)
      let found = try await readers.buckets(query, Aggregate(grid))
      #expect(found.startsMicroseconds == [1_719_784_800_000_000] && found.counts == [24])
    }
  }

  @Test(
    "where a midnight comes twice no value is before its bucket, and filled buckets are the same",
    arguments: [
      ("America/Havana", "2024-11-03T04:30Z"), ("Atlantic/Azores", "2024-10-27T00:30Z"),
      ("America/Sao_Paulo", "2018-02-18T02:30Z"), ("Asia/Beirut", "2024-10-26T21:30Z"),
    ],
    Readers.sources
  )
  func doubledMidnight(_ place: (String, String), feed: WarehouseFeed?) async throws {
    let (zone, time) = place
    try await Readers.run(feed: feed) { readers in
      try await readers.makeAttributes()
      try await readers.database.script(
        """
        INSERT INTO sluice.entity_values (tenant_id, entity_id, attribute_id, observed_at, number)
          SELECT 1, 1, 1, timestamptz '\(time)' + i * interval '30 minutes', 1
          FROM generate_series(-100, 100) AS i
        """
      )
      let at = try #require(
        try await readers.database.value("SELECT extract(epoch FROM timestamptz '\(time)')::int8")
          .flatMap { Int64($0) }
      )
      let steps: [BucketGrid.Step] =
        BucketGrid.Unit.allCases.map { .calendar($0) }
        + [.width(24 * AggregateZoneTests.hour), .width(7 * AggregateZoneTests.hour)]
      // From inside the hour that comes twice, from its second time, from well before.
      for (start, step) in [at, at + 3_600, at - 40_000].flatMap({ start in
        steps.map { (start, $0) }
      }) {
        let grid = BucketGrid(step, zone: AggregateZoneTests.zone(zone))
        let query = AggregateZoneTests.query(start, start + 1_800)
        let found = try await readers.buckets(query, Aggregate(grid))
        #expect(found.startsMicroseconds.allSatisfy { $0 <= start * 1_000_000 }, "\(start) \(step)")
        let wide = AggregateZoneTests.query(start, start + 90_000)
        let some = try await readers.buckets(wide, Aggregate(grid))
        let filled = try await readers.buckets(wide, Aggregate(grid, fill: .empty))
        #expect(some.startsMicroseconds == filled.startsMicroseconds, "\(start) \(step)")
        #expect(some.counts == filled.counts && some.counts.reduce(0, +) == 50)
      }
    }
  }

  @Test(
    "filling the days of a zone leaves none out, cut buckets at the end of days among them",
    arguments: Readers.sources
  )
  func zonedGaps(feed: WarehouseFeed?) async throws {
    try await Readers.run(feed: feed) { readers in
      try await readers.makeAttributes()
      // Nothing is stored: all of it is filled. 2024-10-26T22:30Z to 2024-10-28T02:00Z.
      let query = AggregateZoneTests.query(1_729_981_800, 1_730_080_800)
      let zone = AggregateZoneTests.zone("Europe/Berlin")
      let found = try await readers.buckets(
        query,
        Aggregate(BucketGrid(.width(10 * AggregateZoneTests.hour), zone: zone), fill: .empty)
      )
      // Two of ten hours and one of five, then the next day's first.
      let hours = [0, 10, 20, 25].map { 1_729_980_000 + $0 * 3_600 }
      #expect(found.startsMicroseconds == hours.map { Int64($0) * 1_000_000 })
      let fine = try await readers.buckets(
        AggregateZoneTests.query(1_729_981_800, 1_729_981_801),
        Aggregate(BucketGrid(.width(1_000), zone: zone), fill: .empty)
      )
      #expect(fine.count == 1_000 && fine.startsMicroseconds[0] == 1_729_981_800_000_000)
    }
  }

  @Test("a day that a zone skipped has no bucket, filled or not", arguments: Readers.sources)
  func skippedDay(feed: WarehouseFeed?) async throws {
    try await Readers.run(feed: feed) { readers in
      try await readers.makeAttributes()
      try await readers.database.script(
        """
        INSERT INTO sluice.entity_values (tenant_id, entity_id, attribute_id, observed_at, number)
          VALUES (1, 1, 1, '2011-12-30T09:59:59Z', 1), (1, 1, 1, '2011-12-30T10:00:00Z', 2)
        """
      )
      let zone = AggregateZoneTests.zone("Pacific/Apia")
      // 2011-12-28 to 2012-01-03, without the 30th: ten hours behind UTC, then fourteen ahead.
      let query = AggregateZoneTests.query(1_325_066_400, 1_325_498_400)
      let starts: [Int64] = (0..<5).map { (1_325_066_400 + $0 * 86_400) * 1_000_000 }
      for step in [BucketGrid.Step.calendar(.day), .width(24 * AggregateZoneTests.hour)] {
        let grid = BucketGrid(step, zone: zone)
        let filled = try await readers.buckets(query, Aggregate(grid, fill: .empty))
        #expect(filled.startsMicroseconds == starts)
        #expect(filled.counts == [0, 1, 1, 0, 0])
        let found = try await readers.buckets(query, Aggregate(grid))
        #expect(found.startsMicroseconds == Array(starts[1...2]))
      }
    }
  }
}
