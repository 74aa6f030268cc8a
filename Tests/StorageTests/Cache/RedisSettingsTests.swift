import Testing

@testable import Storage

@Suite("Redis settings")
struct RedisSettingsTests {
  @Test(
    "every way to write an address is read",
    arguments: [
      ("cache:1", RedisSettings(host: "cache", port: 1)),
      ("[::1]:6380", RedisSettings(host: "::1", port: 6_380)),
      ("redis://cache", RedisSettings(host: "cache", port: 6_379)),
      ("redis://cache:1/", RedisSettings(host: "cache", port: 1)),
      ("redis://[::1]/0", RedisSettings(host: "::1", port: 6_379)),
      ("redis://:a%3Ab%40@h:2", RedisSettings(host: "h", port: 2, password: "a:b@")),
      ("redis://me:p:w@h", RedisSettings(host: "h", port: 6_379, user: "me", password: "p:w")),
      ("redis://me:p@w@h", RedisSettings(host: "h", port: 6_379, user: "me", password: "p@w")),
    ]
  )
  func reads(text: String, settings: RedisSettings) {
    #expect(RedisSettings(text) == settings)
  }

  @Test(
    "what cannot be used is refused",
    arguments: [
      "", "cache", "cache:0", "cache:", ":1", "redis://", "redis://cache:0", "redis://cache:x",
      "redis://cache/1", "redis://cache/0/", "rediss://cache", "rediss://cache:1",
      "redis://me@cache", "redis://me:@cache", "redis://:%4@cache", "redis://:%zz@cache",
      "redis://:%ff@cache", "unix:///tmp/redis.sock", "http://cache:1",
    ]
  )
  func refuses(text: String) {
    #expect(RedisSettings(text) == nil)
  }

  @Test("the password is not shown")
  func description() {
    #expect(RedisSettings("redis://me:secret@cache")?.description == "cache:6379")
  }

  @Test("a server says its version, or why it cannot be used", .needsRedis)
  func probe() async throws {
    try await withRedis(password: "right") { server, loop in
      let version = try await RedisProbe.version(of: server.settings, on: loop)
      #expect(version.contains("."))
      var wrong = server.settings
      wrong.password = "wrong"
      await #expect(throws: RedisTrouble.refused(code: "WRONGPASS")) {
        try await RedisProbe.version(of: wrong, on: loop)
      }
      wrong.password = nil
      await #expect(throws: RedisTrouble.refused(code: "NOAUTH")) {
        try await RedisProbe.version(of: wrong, on: loop)
      }
      server.kill()
      await #expect(throws: RedisTrouble.unreachable) {
        try await RedisProbe.version(of: server.settings, on: loop)
      }
    }
  }
}
