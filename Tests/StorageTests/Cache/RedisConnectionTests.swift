import EventLoop
import Glibc
import Testing

@testable import Storage

// Requests to a real Redis that is slow, gone, new or unwilling.

@Suite("Redis connection", .needsRedis, .timeLimit(.minutes(15)))
struct RedisConnectionTests {
  private static let echo = RedisScript(name: "echo", source: "return ARGV[1]")

  private static func words(_ argument: String) -> RedisCommand { RedisCommand("0", argument) }

  @Test("requests sent together are answered in order, whatever their size")
  func order() async throws {
    try await withRedis { server, loop in
      let redis = try await RedisConnection.ready(server, on: loop)
      defer { redis.close() }
      var sizes: [Int] = []
      let expected = (0..<1_000).map { $0 % 50 == 0 ? $0 * 200 : $0 }
      for size in expected {
        var command = RedisCommand("ECHO")
        command.append([UInt8](repeating: 120, count: size))
        redis.send(command, deadline: soon()) { result in
          if case .success(.bytes(let bytes)) = result { sizes.append(bytes.count) }
        }
      }
      try await turn(loop, until: "all are answered") { sizes.count == expected.count }
      #expect(sizes == expected)
    }
  }

  @Test("more requests than may be under way are refused, and nothing is sent for them")
  func full() async throws {
    try await withRedis { server, loop in
      var limits = RedisLimits.patient
      limits.requestsMax = 10
      let redis = try await RedisConnection.ready(server, limits: limits, on: loop)
      defer { redis.close() }
      var results: [Result<RedisReply, RedisError>] = []
      for _ in 0..<15 {
        redis.send(RedisCommand("INCR", "a"), deadline: soon()) { results.append($0) }
      }
      #expect(results == Array(repeating: .failure(.full), count: 5))
      try await turn(loop, until: "the others are answered") { results.count == 15 }
      #expect(try await redis.ask("GET a") == .bytes([UInt8(ascii: "1"), UInt8(ascii: "0")]))
    }
  }

  @Test("requests that do not fit into the output are refused")
  func outputFull() async throws {
    try await withRedis { server, loop in
      var limits = RedisLimits.patient
      limits.outputBytesMax = 1_000
      let redis = try await RedisConnection.ready(server, limits: limits, on: loop)
      defer { redis.close() }
      var command = RedisCommand("ECHO")
      command.append([UInt8](repeating: 0, count: 600))
      var results: [Result<RedisReply, RedisError>] = []
      for _ in 0..<2 { redis.send(command, deadline: soon()) { results.append($0) } }
      #expect(results == [.failure(.full)])
      try await turn(loop, until: "the first is answered") { results.count == 2 }
    }
  }

  @Test("a pipeline is answered once: with all replies, or with the error of one")
  func pipeline() async throws {
    try await withRedis { server, loop in
      let redis = try await RedisConnection.ready(server, on: loop)
      defer { redis.close() }
      func pipeline(_ requests: [String]) -> RedisPipeline {
        var pipeline = RedisPipeline()
        for request in requests {
          pipeline.add { words in
            for word in request.split(separator: " ") { words.append(String(word)) }
          }
        }
        return pipeline
      }
      let replies = try await redis.call(pipeline(["INCR a", "HMGET b c d", "INCR a"]))
      #expect(replies == [.integer(1), .array([.null, .null]), .integer(2)])
      await #expect(throws: RedisError.server(code: "WRONGTYPE")) {
        try await redis.call(pipeline(["INCR a", "HGET a b", "HGET a c", "INCR a"]))
      }
      #expect(try await redis.ask("GET a") == .bytes([UInt8(ascii: "4")]))
      server.signal(SIGSTOP)
      var results: [Result<[RedisReply], RedisError>] = []
      redis.send(pipeline(["INCR a", "INCR a"]), deadline: loop.now + .milliseconds(20)) {
        results.append($0)
      }
      try await turn(loop, until: "its time is over") { !results.isEmpty }
      server.signal(SIGCONT)
      #expect(try await redis.ask("GET a") == .bytes([UInt8(ascii: "6")]))
      #expect(results == [.failure(.timedOut)])
    }
  }

  @Test("a late reply is nobody else's")
  func late() async throws {
    try await withRedis { server, loop in
      let redis = try await RedisConnection.ready(server, on: loop)
      defer { redis.close() }
      server.signal(SIGSTOP)
      await #expect(throws: RedisError.timedOut) {
        try await redis.call(
          RedisCommand("ECHO", "late"),
          deadline: loop.now + .milliseconds(20)
        )
      }
      server.signal(SIGCONT)
      #expect(try await redis.ask("ECHO next") == .bytes(Array("next".utf8)))
      #expect(redis.readyCount == 1, "the connection was kept")
    }
  }

  @Test("a Redis that is silent too long is left, and found again when it answers")
  func stall() async throws {
    try await withRedis { server, loop in
      var limits = RedisLimits.patient
      limits.stallTimeout = .milliseconds(300)
      let redis = try await RedisConnection.ready(server, limits: limits, on: loop)
      defer { redis.close() }
      server.signal(SIGSTOP)
      await #expect(throws: RedisError.disconnected) { try await redis.ask("PING") }
      #expect(!redis.isReady)
      await #expect(throws: RedisError.away) { try await redis.ask("PING") }
      server.signal(SIGCONT)
      try await turn(loop, until: "it is found again") { redis.isReady }
      #expect(try await redis.ask("ECHO a") == .bytes(Array("a".utf8)))
    }
  }

  @Test("a killed Redis fails what is under way; the next one is found and has another run id")
  func killed() async throws {
    try await withRedis { server, loop in
      let redis = try await RedisConnection.ready(server, on: loop)
      defer { redis.close() }
      var runs: [String] = []
      var losses = 0
      redis.onReady = { runs.append($0) }
      redis.onAway = { losses += 1 }
      let first = try await redis.ask("INFO server").text.flatMap(RedisConnection.runID)
      server.signal(SIGSTOP)
      var result: Result<RedisReply, RedisError>?
      redis.send(RedisCommand("PING"), deadline: soon()) { result = $0 }
      server.kill()
      try await turn(loop, until: "the request has ended") { result != nil }
      #expect(result == .failure(.disconnected))
      #expect(losses == 1)
      try server.start()
      try await turn(loop, until: "the next one is found") { redis.isReady }
      #expect(runs.count == 1 && runs.first?.utf8.count == 40)
      #expect(runs.first != first)
    }
  }

  @Test("a script that Redis has forgotten is run all the same, and known again")
  func forgotten() async throws {
    try await withRedis { server, loop in
      let scripts = [RedisConnectionTests.echo]
      let redis = try await RedisConnection.ready(server, scripts: scripts, on: loop)
      defer { redis.close() }
      _ = try await redis.ask("SCRIPT FLUSH")
      for text in ["a", "b"] {
        let reply = try await redis.run(scripts[0], RedisConnectionTests.words(text))
        #expect(reply == .bytes(Array(text.utf8)))
      }
      let info = try #require(try await redis.ask("INFO commandstats").text)
      // With its text once, by its digest before and after.
      #expect(info.contains("cmdstat_eval:calls=1"))
      #expect(info.contains("cmdstat_evalsha:calls=2"))
    }
  }

  @Test("an error is its code, without the rest, and leaves the connection as it is")
  func errors() async throws {
    try await withRedis { server, loop in
      let redis = try await RedisConnection.ready(server, on: loop)
      defer { redis.close() }
      _ = try await redis.ask("SET a secret")
      await #expect(throws: RedisError.server(code: "WRONGTYPE")) { try await redis.ask("LPOP a") }
      #expect(try await redis.ask("GET a") == .bytes(Array("secret".utf8)))
      #expect(redis.readyCount == 1)
    }
  }

  @Test("a Redis that became a replica is left")
  func readOnly() async throws {
    try await withRedis { server, loop in
      let redis = try await RedisConnection.ready(server, on: loop)
      defer { redis.close() }
      var losses = 0
      redis.onAway = { losses += 1 }
      _ = try await redis.ask("REPLICAOF 127.0.0.1 1")
      await #expect(throws: RedisError.server(code: "READONLY")) { try await redis.ask("SET a b") }
      try await turn(loop, until: "it was left") { losses == 1 }
    }
  }

  @Test("a reply larger than the limit ends the connection")
  func largeReply() async throws {
    try await withRedis { server, loop in
      var limits = RedisLimits.patient
      limits.replyBytesMax = 100_000
      let redis = try await RedisConnection.ready(server, limits: limits, on: loop)
      defer { redis.close() }
      _ = try await redis.ask("SETRANGE a 5000000 x")
      // Without its value, which nobody wants to see printed.
      await #expect(throws: RedisError.disconnected) { _ = try await redis.ask("GET a") }
      try await turn(loop, until: "there is another connection") { redis.readyCount == 2 }
    }
  }

  @Test("with the password it is let in, without it never")
  func password() async throws {
    try await withRedis(password: "open sesame") { server, loop in
      let redis = try await RedisConnection.ready(server, on: loop)
      defer { redis.close() }
      let stranger = RedisConnection(
        RedisSettings(host: server.settings.host, port: server.settings.port),
        scripts: [],
        limits: .patient,
        on: loop
      )
      defer { stranger.close() }
      stranger.start()
      // Every refused attempt is a connection that Redis counts.
      var count = 0
      while count < 4 {
        let info = try #require(try await redis.ask("INFO stats").text)
        let line = info.split(whereSeparator: \.isNewline).first {
          $0.hasPrefix("total_connections_received:")
        }
        count = try #require(line.flatMap { Int($0.drop { $0 != ":" }.dropFirst()) })
        await pause(.milliseconds(5), on: loop)
      }
      #expect(!stranger.isReady)
    }
  }

  @Test("a host name is looked up, one that does not exist is only away")
  func names() async throws {
    try await withRedis { server, loop in
      let settings = RedisSettings(host: "localhost", port: server.settings.port)
      let redis = RedisConnection(settings, scripts: [], limits: .patient, on: loop)
      defer { redis.close() }
      redis.start()
      try await turn(loop, until: "Redis is ready") { redis.isReady }
      let nowhere = RedisSettings(host: "nowhere.invalid", port: 1)
      let lost = RedisConnection(nowhere, scripts: [], limits: .patient, on: loop)
      defer { lost.close() }
      lost.start()
      await #expect(throws: RedisError.away) { try await lost.ask("PING") }
    }
  }

  @Test("a closed connection stays closed")
  func closed() async throws {
    try await withRedis { server, loop in
      let redis = try await RedisConnection.ready(server, on: loop)
      server.signal(SIGSTOP)
      var results: [Result<RedisReply, RedisError>] = []
      redis.send(RedisCommand("PING"), deadline: soon()) { results.append($0) }
      redis.close()
      #expect(results == [.failure(.disconnected)])
      redis.close()
      redis.start()
      server.signal(SIGCONT)
      await pause(.milliseconds(20), on: loop)
      await #expect(throws: RedisError.away) { try await redis.ask("PING") }
    }
  }
}
