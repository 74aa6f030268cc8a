import EventLoop
import Testing

@testable import Storage

// Replies out of bytes, requests into bytes, and who waits for what, without a server.

@Suite("Redis codec")
struct RedisCodecTests {
  private static func feed(_ reader: RedisReader, _ text: String) throws(RedisError) {
    let bytes = Array(text.utf8)
    try reader.feed(unsafe bytes.span.bytes)
  }

  @Test("every type of reply is read, also when it comes byte by byte")
  func types() throws {
    let text =
      "+OK\r\n:-42\r\n$3\r\na\r\n\r\n$-1\r\n*2\r\n$0\r\n\r\n*1\r\n:7\r\n-NOSCRIPT No such\r\n"
    let reader = RedisReader(replyBytesMax: 1_000)
    var replies: [Result<RedisReply, RedisError>] = []
    for byte in text.utf8 {
      try unsafe reader.feed([byte].span.bytes)
      while let reply = try reader.next() { replies.append(reply) }
    }
    #expect(
      replies == [
        .success(.status("OK")), .success(.integer(-42)), .success(.bytes(Array("a\r\n".utf8))),
        .success(.null), .success(.array([.bytes([]), .array([.integer(7)])])),
        .failure(.server(code: "NOSCRIPT")),
      ]
    )
  }

  @Test("what is not the protocol is refused", arguments: ["HTTP/1.1 400\r\n", "\r\n\r\n\r\n"])
  func garbage(text: String) throws {
    let reader = RedisReader(replyBytesMax: 1_000)
    try RedisCodecTests.feed(reader, text)
    #expect(throws: RedisError.protocolViolation) { try reader.next() }
  }

  @Test("a reply that grows without end is refused, many small ones are not")
  func tooLarge() throws {
    let reader = RedisReader(replyBytesMax: 100)
    for _ in 0..<50 {
      try RedisCodecTests.feed(reader, "$4\r\nabcd\r\n+OK\r\n")
      #expect(try reader.next() != nil)
      #expect(try reader.next() != nil)
    }
    try RedisCodecTests.feed(reader, "$1000\r\n")
    #expect(throws: RedisError.protocolViolation) {
      for _ in 0..<20 {
        try RedisCodecTests.feed(reader, "0123456789")
        #expect(try reader.next() == nil)
      }
    }
  }

  @Test("words are written with their lengths, whatever is in them")
  func writes() {
    var command = RedisCommand("SET", "a b")
    command.append([0, 13, 10, 255])
    var tail = RedisCommand("")
    tail.append(-7)
    command.append(tail)
    var output: [UInt8] = [1]
    command.write(to: &output)
    let expected =
      [1] + Array("*5\r\n$3\r\nSET\r\n$3\r\na b\r\n$4\r\n".utf8) + [0, 13, 10, 255]
      + Array("\r\n$0\r\n\r\n$2\r\n-7\r\n".utf8)
    #expect(output == expected)
  }

  @Test("the run id is found in INFO, and nothing else is taken for it")
  func runID() {
    let id = String(repeating: "0a", count: 20)
    #expect(RedisConnection.runID("# Server\r\nredis_version:7\r\nrun_id:\(id)\r\ntcp:1\r\n") == id)
    #expect(RedisConnection.runID("run_id:0a\r\n") == nil)
    #expect(RedisConnection.runID("no_run_id:\(id)\r\n") == nil)
    #expect(RedisConnection.runID("run_id:\(id.replacing("0", with: "x"))") == nil)
  }

  @Test("an expired request is told once and keeps its place among the replies")
  func pending() {
    var pending = RedisPending()
    var told: [String] = []
    func reply(_ name: String) -> RedisPending.Reply { { told.append("\(name) \($0)") } }
    let start = MonotonicTime(nanoseconds: 0)
    for (name, deadline) in [("a", 5), ("b", 3), ("c", 9)] as [(String, UInt64)] {
      let deadline = MonotonicTime(nanoseconds: deadline)
      pending.append(sentAt: start, deadline: deadline, reply(name))
    }
    #expect(pending.nextDeadline == MonotonicTime(nanoseconds: 3))
    for reply in pending.takeExpired(now: MonotonicTime(nanoseconds: 3)) {
      reply(.failure(.timedOut))
    }
    #expect(told.count == 1 && told[0].hasPrefix("b"))
    let again = pending.takeExpired(now: MonotonicTime(nanoseconds: 3))
    #expect(again.isEmpty)
    #expect(pending.nextDeadline == MonotonicTime(nanoseconds: 5))
    #expect(pending.count == 3)
    let first = pending.takeFirst()
    first.reply?(.success(.integer(1)))
    #expect(told.last == "a success(Storage.RedisReply.integer(1))")
    let second = pending.takeFirst()
    #expect(second.isExpected && second.reply == nil)
    let rest = pending.takeAll()
    #expect(rest.count == 1)
    let nothing = pending.takeFirst()
    #expect(!nothing.isExpected)
  }

  @Test("the replies of a pipeline have one place")
  func pipelinePlace() {
    var pending = RedisPending()
    let start = MonotonicTime(nanoseconds: 0)
    var told: [Int64] = []
    pending.append(sentAt: start, deadline: start, replies: 2) { result in
      if case .success(.integer(let number)) = result { told.append(number) }
    }
    pending.append(sentAt: start, deadline: start) { _ in told.append(-1) }
    #expect(pending.count == 2)
    for number in 1...3 {
      let (isExpected, reply) = pending.takeFirst()
      #expect(isExpected)
      reply?(.success(.integer(Int64(number))))
    }
    #expect(told == [1, 2, -1])
    #expect(pending.count == 0)
  }

  @Test("a pipeline is its requests one after the other")
  func pipelineBytes() {
    var pipeline = RedisPipeline()
    pipeline.add { $0.append(RedisCommand("HMGET", "key", "l")) }
    pipeline.add { words in
      words.append("GET")
      words.append(Array("pre".utf8), Array("fix".utf8))
    }
    var output: [UInt8] = []
    pipeline.write(to: &output)
    let text = String(decoding: output, as: UTF8.self)
    #expect(
      text == "*3\r\n$5\r\nHMGET\r\n$3\r\nkey\r\n$1\r\nl\r\n*2\r\n$3\r\nGET\r\n$6\r\nprefix\r\n"
    )
    #expect(pipeline.replyCount == 2 && pipeline.byteCount == 18)
  }

  @Test("pauses double with a jitter, up to their maximum, and start anew after success")
  func backoff() {
    var backoff = RedisBackoff(RedisLimits(), generator: SeededGenerator(state: 3))
    func isNear(_ pause: Duration, _ milliseconds: Int) -> Bool {
      pause >= .milliseconds(milliseconds) * 0.79 && pause <= .milliseconds(milliseconds) * 1.21
    }
    for expected in [50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000] {
      let pause = backoff.next()
      #expect(isNear(pause, expected))
    }
    for _ in 0..<100 { _ = backoff.next() }
    let last = backoff.next()
    #expect(isNear(last, 5_000))
    backoff.reset()
    let first = backoff.next()
    #expect(isNear(first, 50))
  }
}
