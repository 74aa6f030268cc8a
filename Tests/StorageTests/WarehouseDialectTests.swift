import EventLoop
import Testing

@testable import Storage

// What is sent to a warehouse that need not be PostgreSQL.

@Suite("the words of the warehouse")
struct WarehouseDialectTests {
  /// What PostgreSQL knows and Redshift does not, or reads otherwise.
  ///
  /// Source: Amazon Redshift, Database Developer Guide, "Unsupported PostgreSQL features",
  /// "Unsupported PostgreSQL data types", "Unsupported PostgreSQL functions" (pages
  /// c_unsupported-postgresql-features, -datatypes, -functions), "Window functions" (an aggregate
  /// over an ordered window wants a frame), "BEGIN", "LIMIT".
  private static let refused: [String] = [
    #"::"#, #"\[\]"#, #"\bARRAY\b"#, #"\bANY\b"#, #"\bunnest\b"#, #"\bgenerate_series\b"#,
    #"\bdate_bin\b"#, #"\bFILTER\b"#, #"\bLATERAL\b"#, #"\bDISTINCT ON\b"#, #"\bWITHIN GROUP\b"#,
    #"\bpercentile_"#, #"\bctid\b"#, #"\btableoid\b"#, #"\buuid\b"#, #"\bjsonb?\b"#, #"\bpg_lsn\b"#,
    #"\bpg_\w+\("#, #"\bstarts_with\b"#, #"\^@"#, #"\bCOLLATE\b"#, #"\bWINDOW\b"#, #"\bgreatest\b"#,
    #"\bleast\b"#, #"\bto_timestamp\b"#, #"\bcardinality\b"#, #"\bVALUES\b"#,
    // A function of ours that a warehouse need not have.
    #"\bsluice\.(?!(hot_(number|integer|flag|label|document)|same_document)\()\w+\("#,
    // A row beside another one.
    #"\([a-z_.]+(, [a-z_.]+)+\) (<|>|=|IN)"#,
    // A number that is a parameter has to be a constant there.
    #"\b(LIMIT|OFFSET) \$"#,
    // A varchar without a length has 256 characters, and text is that.
    #"\bAS (text|varchar)\)"#,
    // Isolation and access follow each other without a comma.
    #"READ, READ"#,
  ]

  private static func faults(_ sql: String) throws -> [String] {
    var faults = try refused.filter {
      try sql.firstMatch(of: Regex($0).ignoresCase()) != nil
    }
    // Over a window with an order all but row_number want a frame.
    for window in sql.matches(of: /(\S+) OVER \(([^()]*)/) where window.1 != "row_number()" {
      if window.2.contains("ORDER BY"), !window.2.contains("ROWS UNBOUNDED PRECEDING") {
        faults.append("\(window.0)")
      }
    }
    return faults
  }

  private static let queries: [HistoryQuery] = [[], [1], [1, 2, 4, 5]].flatMap { attributes in
    [(0, 1_000_000_000_000), (.min, .max)].flatMap { (start: Int64, end: Int64) in
      [false, true].map {
        HistoryQuery(
          tenant: 1,
          entityIDs: [1, 2],
          attributeIDs: attributes,
          startMicroseconds: start,
          endMicroseconds: end,
          isDescending: $0
        )
      }
    }
  }

  private static let positions: [HistoryPosition?] = {
    let key = HistoryPosition.Key(observedAt: 5, entityID: 1, attributeID: 1)
    let passed = HistoryPosition.Passed(ingestedAt: 7, count: 3)
    return [nil, HistoryPosition(key: key), HistoryPosition(key: key, place: .passed(passed))]
  }()

  private static let grids: [BucketGrid] = [nil, TimeZoneName("Europe/Berlin")].flatMap { zone in
    BucketGrid.Unit.allCases.map { BucketGrid(.calendar($0), zone: zone) }
      + [BucketGrid(.width(7_000), zone: zone)]
  }

  /// Every statement that can go there, in every variant.
  private static var statements: [PostgresStatement] {
    var statements = [WarehouseProof.begin, WarehouseProof.digits, WarehouseProof.commit]
    for feed in [WarehouseFeed.ordered, .unordered] {
      statements.append(WarehouseProof(feed: feed).statement)
    }
    for query in queries {
      let range = HistoryRange(query: query, futureLimit: 1)
      statements.append(PortableExistsStatement(range: range).statement)
      for position in positions {
        for hasTexts in [false, true] {
          let page = HistoryStatement(
            query: query,
            position: position,
            limit: 10,
            bytesMax: 1_000,
            includesStaged: false,
            isOfWarehouse: true,
            hasTexts: hasTexts
          )
          statements.append(page.statement)
        }
      }
      for grid in grids {
        if let zone = grid.zone { statements.append(zone.check) }
        if let starts = LocalStarts(grid, query) { statements.append(starts.statement) }
        for percentiles in [[], [0.5, 1]] {
          for isMore in [false, true] {
            statements.append(
              PortableAggregateStatement(
                range: range,
                aggregate: Aggregate(grid, percentiles: percentiles, hasDeviation: isMore),
                bucketsMax: 10,
                hasIntegers: isMore
              ).statement
            )
          }
        }
      }
    }
    for keys in [[.id(1)], [.externalKey("a")], [.id(1), .externalKey("a")]]
      as [[EntityReader.Key]]
    {
      statements.append(PortableEntitiesStatement(keys, tenant: 1, bytesMax: 1_000).statement)
    }
    return statements + lists
  }

  /// A list by each attribute and by key, in either order, with every comparison.
  private static var lists: [PostgresStatement] {
    let values: [StoredValue] = [
      .number(.nan), .integer(.min), .flag(true), .label("a "), .document("[]"),
    ]
    func attribute(_ id: UInt32) -> CatalogAttribute {
      let type = values[Int(id) - 1].valueType
      return CatalogAttribute(id: id, name: "a\(id)", type: type, unit: "", isHot: true)
    }
    var steps: [EntityFilter.Step] = []
    for (index, value) in values.enumerated() {
      for relation in EntityFilter.Relation.allCases {
        if relation == .prefix, value.valueType != .label { continue }
        let isEquality = [.exists, .equal, .notEqual].contains(relation)
        if !isEquality, !HotExpression.isOrdered(value.valueType) { continue }
        let wanted = relation == .exists ? nil : value
        steps.append(.comparison(attributeID: UInt32(index + 1), relation, wanted))
      }
    }
    let filter = EntityFilter(steps + [.any(steps.count), .not])
    return [nil, 1, 2, 4].flatMap { (id: UInt32?) in
      [false, true].flatMap { isDescending in
        let order = EntityOrder(attributeID: id, isDescending: isDescending)
        let last = EntityListPosition(value: id.map { values[Int($0) - 1] }, key: "e")
        return [nil, last, EntityListPosition(value: nil, key: "e")].map { position in
          let page = EntityListPage(
            list: EntityList(tenant: 1, prefix: "e", filter: filter, order: order),
            position: position,
            limit: 10,
            bytesMax: 1_000
          )
          do {
            return try PortableListStatement(page, attribute: attribute).statement
          } catch {
            preconditionFailure("\(error)")
          }
        }
      }
    }
  }

  @Test("every statement is made of what Redshift's documentation has, and comes and goes as text")
  func portable() throws {
    for statement in WarehouseDialectTests.statements {
      let faults = try WarehouseDialectTests.faults(statement.sql)
      #expect(faults.isEmpty, "\(statement.sql)")
      #expect(statement.resultFormat == .text && !statement.isPrepared)
      for parameter in statement.parameters {
        switch parameter {
        case .text, .untyped: break
        default: Issue.record("\(parameter) is in binary form")
        }
      }
    }
  }

  @Test("what only PostgreSQL understands is found")
  func finds() throws {
    let query = WarehouseDialectTests.queries[0]
    let range = HistoryRange(query: query, futureLimit: 1)
    var page = HistoryStatement(
      query: query,
      limit: 10,
      bytesMax: 1_000,
      includesStaged: false,
      hasTexts: true
    )
    page.position = HistoryPosition(key: .init(observedAt: 5, entityID: 1, attributeID: 1))
    let others = [
      page.statement, ExistsStatement(range: range, includesStaged: false).statement,
      WarehouseProof(feed: .subscription).statement, WarehouseProof.received,
    ]
    for statement in others {
      #expect(try !WarehouseDialectTests.faults(statement.sql).isEmpty, "\(statement.sql)")
    }
    for sql in [
      "SELECT sum(a + coalesce(b, 0)) OVER (ORDER BY c) FROM t", "SELECT a LIMIT $1",
      "SELECT CAST(a AS varchar)", "SELECT a WHERE (a, b) > ($1, $2)", "SELECT sluice.beat()",
    ] {
      #expect(try !WarehouseDialectTests.faults(sql).isEmpty, "\(sql)")
    }
  }

  @Test("most ids of a request are fewer parameters than servers take")
  func parameters() {
    let query = HistoryQuery(
      tenant: 1,
      entityIDs: Array(1...1_000),
      attributeIDs: Array(1...1_000),
      startMicroseconds: 0,
      endMicroseconds: 1
    )
    let range = HistoryRange(query: query, futureLimit: 1)
    #expect(PortableExistsStatement(range: range).statement.parameters.count < 32_767)
  }

  @Test("moments are written to the microsecond, and within what can be dated")
  func moments() {
    let cases: [(Int64, String)] = [
      (0, "1970-01-01 00:00:00.000000+00"), (-1, "1969-12-31 23:59:59.999999+00"),
      (951_782_400_000_001, "2000-02-29 00:00:00.000001+00"),
      (4_107_542_399_000_000, "2100-02-28 23:59:59.000000+00"),
      (4_107_542_400_000_000, "2100-03-01 00:00:00.000000+00"),
      (.min, "0001-01-01 00:00:00.000000+00"), (.max, "9999-12-31 23:59:59.999999+00"),
    ]
    for (time, text) in cases { #expect(PortableTime.text(time) == text) }
  }

  @Test("a position inside a key is read again as it was, and is none of the other kind")
  func positions() {
    let key = HistoryPosition.Key(observedAt: -5, entityID: 1, attributeID: 7)
    let passed = HistoryPosition.Passed(ingestedAt: 9, count: 3)
    let row = HistoryPosition.Row(
      tableOID: 1,
      block: 2,
      offset: 3,
      producer: Array(repeating: 4, count: 16),
      sequence: 5
    )
    for place in [nil, .passed(passed), .row(row)] as [HistoryPosition.Place?] {
      let position = HistoryPosition(key: key, place: place)
      for isOfWarehouse in [false, true] {
        let read = HistoryPosition(ByteReader(position.bytes[...]), isOfWarehouse: isOfWarehouse)
        let isOfKind = place == nil || (place == .passed(passed)) == isOfWarehouse
        #expect(read == (isOfKind ? position : nil))
      }
    }
  }
}
