import EventLoop
import Testing

@testable import Storage

// When the cache may be used, without a Redis.

extension CacheEpoch {
  /// The next beat, which there must be.
  fileprivate mutating func beat() throws -> Beat {
    let next = nextBeat()
    return try #require(next)
  }
}

@Suite("Cache epoch")
struct CacheEpochTests {
  private static func position(_ lsn: UInt64, timeline: UInt32 = 1) -> FreshnessToken {
    FreshnessToken(systemIdentifier: 9, timeline: timeline, lsn: PostgresLSN(value: lsn))
  }

  private static func time(_ nanoseconds: UInt64) -> MonotonicTime {
    MonotonicTime(nanoseconds: nanoseconds)
  }

  /// Connected, and told a position that was read at 10.
  private static func known() -> CacheEpoch {
    var state = CacheEpoch()
    state.connected(run: "r1")
    _ = state.observed(position(100), at: time(10))
    return state
  }

  /// In epoch e1.
  private static func joined() throws -> CacheEpoch {
    var state = known()
    let beat = try state.beat()
    state.answered(beat, .joined(epoch: "e1"), now: time(20))
    return state
  }

  @Test("without a connection or a position there is no beat")
  func needsBoth() {
    var state = CacheEpoch()
    var beats = [state.nextBeat()]
    state.connected(run: "r1")
    beats.append(state.nextBeat())
    _ = state.observed(CacheEpochTests.position(1), at: CacheEpochTests.time(1))
    beats.append(state.nextBeat())
    // One at a time.
    beats.append(state.nextBeat())
    #expect(beats.map { $0 != nil } == [false, false, true, false])
  }

  @Test("an epoch that stands is joined, and the next observation needs no beat")
  func joins() throws {
    var state = try CacheEpochTests.joined()
    #expect(state.epoch == "e1")
    #expect(state.peek?.run == "r1")
    let wantsBeat = state.observed(CacheEpochTests.position(101), at: CacheEpochTests.time(30))
    #expect(!wantsBeat)
  }

  @Test("a claim is held up only by a position that was read after it")
  func claims() throws {
    var state = CacheEpochTests.known()
    let first = try state.beat()
    #expect(first.heldClaim == nil)
    state.answered(first, .claim("c1"), now: CacheEpochTests.time(20))
    #expect(state.peek == nil)
    // Read before the claim came, told after it.
    _ = state.observed(CacheEpochTests.position(101), at: CacheEpochTests.time(19))
    let second = try state.beat()
    #expect(second.heldClaim == nil)
    state.answered(second, .claim("c1"), now: CacheEpochTests.time(25))
    _ = state.observed(CacheEpochTests.position(102), at: CacheEpochTests.time(22))
    let third = try state.beat()
    #expect(third.heldClaim == "c1")
    #expect(third.position == CacheEpochTests.position(102))
  }

  @Test("another claim starts the waiting anew")
  func otherClaim() throws {
    var state = CacheEpochTests.known()
    let first = try state.beat()
    state.answered(first, .claim("c1"), now: CacheEpochTests.time(20))
    _ = state.observed(CacheEpochTests.position(101), at: CacheEpochTests.time(30))
    let second = try state.beat()
    state.answered(second, .claim("c2"), now: CacheEpochTests.time(40))
    let next = try state.beat()
    #expect(next.heldClaim == nil)
  }

  @Test("a lost connection closes the cache, and an answer of the old one opens nothing")
  func disconnect() throws {
    var state = try CacheEpochTests.joined()
    let beat = try state.beat()
    state.disconnected()
    #expect(state.peek == nil)
    state.connected(run: "r2")
    state.answered(beat, .joined(epoch: "e1"), now: CacheEpochTests.time(30))
    #expect(state.peek == nil)
    let next = try state.beat()
    #expect(next.run == "r2")
  }

  @Test("another timeline closes the cache, and an answer about the old one opens nothing")
  func timeline() throws {
    var state = try CacheEpochTests.joined()
    let beat = try state.beat()
    let promoted = CacheEpochTests.position(50, timeline: 2)
    let wantsBeat = state.observed(promoted, at: CacheEpochTests.time(30))
    #expect(wantsBeat)
    #expect(state.peek == nil)
    state.answered(beat, .joined(epoch: "e1"), now: CacheEpochTests.time(31))
    #expect(state.peek == nil)
    let next = try state.beat()
    #expect(next.position == promoted)
  }

  @Test("a lost invalidation is owed until a beat that said so was answered")
  func owes() throws {
    var state = try CacheEpochTests.joined()
    state.lostInvalidation()
    let first = try state.beat()
    #expect(first.owes)
    state.answered(first, nil, now: CacheEpochTests.time(30))
    #expect(state.owes, "nobody knows whether it arrived")
    let second = try state.beat()
    // Another one is lost while the beat is under way.
    state.lostInvalidation()
    state.answered(second, .claim("c1"), now: CacheEpochTests.time(40))
    #expect(state.owes)
    let third = try state.beat()
    #expect(third.owes)
    state.answered(third, .claim("c2"), now: CacheEpochTests.time(50))
    #expect(!state.owes)
    #expect(state.peek == nil)
  }

  @Test("changes of the epoch are counted, the first one is none")
  func counts() throws {
    var state = try CacheEpochTests.joined()
    #expect(state.changeCount == 0)
    state.gone()
    for (index, epoch) in ["e1", "e2", "e2", "e3"].enumerated() {
      let beat = try state.beat()
      let now = CacheEpochTests.time(UInt64(30 + index))
      state.answered(beat, .joined(epoch: epoch), now: now)
    }
    #expect(state.changeCount == 2)
  }

  /// The 16 digits of a word, as they are written.
  private static func text(_ value: UInt64) -> ArraySlice<UInt8> {
    var command = RedisCommand()
    command.append(hex: value)
    var output: [UInt8] = []
    command.write(to: &output)
    return output.dropFirst("*1\r\n$16\r\n".utf8.count).dropLast(2)
  }

  @Test(
    "positions as text are ordered like positions",
    arguments: [0, 9, 10, 15, 16, 0xff, 0x1_0000_0000, 0x7fff_ffff_ffff_ffff, UInt64.max]
  )
  func positionText(value: UInt64) {
    let text = CacheEpochTests.text(value)
    #expect(PostgresLSN(cacheText: text)?.value == value)
    #expect(PostgresLSN(cacheText: text.dropLast()) == nil)
    #expect(PostgresLSN(cacheText: text.dropLast() + [UInt8(ascii: "G")]) == nil)
    for other in [0, 8, 10, 0xfe, 0x100, 0x1_0000_0000, 0x8000_0000_0000_0000, UInt64.max] {
      let precedes = text.lexicographicallyPrecedes(CacheEpochTests.text(other))
      #expect(precedes == (value < other))
    }
  }

  @Test(
    "what is no answer of a script is refused",
    arguments: [
      .null, .status("E"), .array([.bytes([])]), .array([.bytes([74]), .null]),
      .array([.bytes(Array("X".utf8)), .bytes([])]), .integer(1),
    ] as [RedisReply]
  )
  func badAnswers(reply: RedisReply) {
    #expect(throws: RedisError.protocolViolation) { try CacheProtocol.beatAnswer(reply) }
    for answers in [[reply], []] {
      #expect(throws: RedisError.protocolViolation) {
        try CacheProtocol.getAnswers(.array(answers), count: 1)
      }
    }
  }

  @Test("lives differ by the jitter and no more")
  func jitter() {
    var generator = SeededGenerator(state: 1)
    let limits = CacheLimits()
    let lives = (0..<1_000).map { _ in limits.jitteredLife(&generator) }
    #expect(lives.allSatisfy { (270_000...330_000).contains($0) })
    #expect(Set(lives).count > 900)
    #expect(lives.contains { $0 < 275_000 } && lives.contains { $0 > 325_000 })
  }
}
