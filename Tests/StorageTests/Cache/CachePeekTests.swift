import Testing

@testable import Storage

// What the replies to plain reads mean.

@Suite("Cache peek")
struct CachePeekTests {
  private static let token = FreshnessToken(
    systemIdentifier: 5,
    timeline: 1,
    lsn: PostgresLSN(value: 100)
  )
  private static let peek = CachePeek(epoch: "e1", run: "r1", keys: CacheKeys(token))
  private static let required = [PostgresLSN(value: 0x10)]

  private static func fields(_ texts: String?...) -> RedisReply {
    .array(texts.map { text in text.map { .bytes(Array($0.utf8)) } ?? .null })
  }

  private static let stands = fields("e1", "r1")

  @Test("an entry is a hit from the required position on, and one that does not exist, too")
  func hits() throws {
    for (position, value) in [("0000000000000010", "v"), ("00000000000000ff", "")] {
      let lsn = try #require(PostgresLSN(cacheText: Array(position.utf8)[...]))
      let answers = try CachePeekTests.peek.answers(
        [CachePeekTests.fields(position, value), CachePeekTests.stands],
        required: CachePeekTests.required
      )
      #expect(answers == .each([.hit(lsn: lsn, value: Array(value.utf8))]))
    }
  }

  @Test("what is too old, only leased or not there is left to the script")
  func noHits() throws {
    let entries = [
      CachePeekTests.fields("000000000000000f", "v"), CachePeekTests.fields(nil, nil),
    ]
    for entry in entries {
      let answers = try CachePeekTests.peek.answers(
        [entry, CachePeekTests.stands],
        required: CachePeekTests.required
      )
      #expect(answers == .each([nil]))
    }
  }

  @Test("in another epoch, in none and in another Redis nothing is a hit")
  func noEpoch() throws {
    let entry = CachePeekTests.fields("0000000000000010", "v")
    let states = [
      CachePeekTests.fields("e2", "r1"), CachePeekTests.fields("e1", "r2"),
      CachePeekTests.fields(nil, "r1"), CachePeekTests.fields(nil, nil),
    ]
    for state in states {
      let answers = try CachePeekTests.peek.answers(
        [entry, state],
        required: CachePeekTests.required
      )
      #expect(answers == .noEpoch)
    }
  }

  @Test("replies of another shape are a violation of the protocol")
  func violations() {
    let entry = CachePeekTests.fields("0000000000000010", "v")
    let violations: [[RedisReply]] = [
      [], [CachePeekTests.stands], [entry, entry, CachePeekTests.stands],
      [.null, CachePeekTests.stands], [CachePeekTests.fields("10", "v"), CachePeekTests.stands],
      [CachePeekTests.fields("0000000000000010"), CachePeekTests.stands],
    ]
    for replies in violations {
      #expect(throws: RedisError.protocolViolation) {
        try CachePeekTests.peek.answers(replies, required: CachePeekTests.required)
      }
    }
  }
}
