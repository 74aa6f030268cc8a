import EventLoop
import Foundation
import Glibc
import Testing

@testable import Storage

// A Redis of its own for each test: tests flush it, stop it and kill it.

extension Trait where Self == ConditionTrait {
  /// Skips, visibly, what needs a Redis that can be started.
  static var needsRedis: Self {
    .enabled(if: RedisTestServer.program != nil, "redis-server is not installed")
  }
}

/// A Redis process with a folder and a port of its own; `end` kills it.
final class RedisTestServer {
  static let program = ["/usr/bin/redis-server", "/usr/local/bin/redis-server"].first {
    (path: String) in
    unsafe access(path, X_OK) == 0
  }

  private(set) var settings: RedisSettings
  private let folder: String
  private var pid: pid_t = 0

  /// Starts one and waits until it listens.
  init(password: String? = nil) throws {
    settings = RedisSettings(host: "127.0.0.1", port: 0, password: password)
    var template = Array("/tmp/sluice-redis.XXXXXX".utf8CString)
    let made = unsafe mkdtemp(&template) != nil
    try #require(made)
    folder = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    // Redis takes no port 0, and whatever is free now may be taken by another test's: only the log
    // of our own process says that it is ours.
    for _ in 0..<50 {
      settings.port = UInt16.random(in: 20_000..<32_000)
      if try startsListening() { return }
    }
    throw RedisError.away
  }

  deinit {
    if pid != 0 { kill() }
    unsafe unlink("\(folder)/log")
    unsafe unlink("\(folder)/dump.rdb")
    unsafe rmdir(folder)
  }

  /// Starts again, on the same port.
  func start() throws {
    let isListening = try startsListening()
    try #require(isListening, "the port of a Redis that was killed is free")
  }

  /// False when the port is somebody else's.
  private func startsListening() throws -> Bool {
    unsafe unlink("\(folder)/log")
    try spawn()
    let limit = soon(.seconds(60))
    while MonotonicTime.now() < limit {
      let log = FileManager.default.contents(atPath: "\(folder)/log") ?? Data()
      if String(decoding: log, as: UTF8.self).contains("Ready to accept connections") {
        return true
      }
      var status: CInt = 0
      if unsafe waitpid(pid, &status, WNOHANG) == pid {
        pid = 0
        return false
      }
      usleep(2_000)
    }
    return false
  }

  private func spawn() throws {
    let program = try #require(RedisTestServer.program)
    var words = [
      program, "--port", "\(settings.port)", "--bind", "127.0.0.1", "--dir", folder,
      "--logfile", "\(folder)/log", "--save", "", "--appendonly", "no",
      "--maxmemory-policy", "volatile-lfu",
    ]
    if let password = settings.password { words += ["--requirepass", password] }
    var pointers = unsafe words.map { unsafe strdup($0) } + [nil]
    defer { unsafe pointers.forEach { unsafe free($0) } }
    var environment: [UnsafeMutablePointer<CChar>?] = unsafe [nil]
    let code = unsafe posix_spawn(&pid, program, nil, nil, &pointers, &environment)
    try #require(code == 0)
  }

  func signal(_ number: CInt) { _ = Glibc.kill(pid, number) }

  func kill() {
    signal(SIGKILL)
    var status: CInt = 0
    unsafe waitpid(pid, &status, 0)
    pid = 0
  }
}

/// Runs `body` with a Redis of its own on a loop of its own.
func withRedis(
  password: String? = nil,
  _ body: @escaping @Sendable (RedisTestServer, EventLoop) async throws -> Void
) async throws {
  try await onLoop { loop in
    let server = try RedisTestServer(password: password)
    try await body(server, loop)
    withExtendedLifetime(server) {}
  }
}

/// Turns the loop until `condition` holds; fails after a minute, when it never will.
func turn(
  _ loop: EventLoop,
  until what: Comment,
  sourceLocation: SourceLocation = #_sourceLocation,
  _ condition: () -> Bool
) async throws {
  let limit = soon(.seconds(60))
  while !condition() {
    try #require(MonotonicTime.now() < limit, what, sourceLocation: sourceLocation)
    await pause(.milliseconds(2), on: loop)
  }
}

extension RedisConnection {
  /// A connection that is ready.
  static func ready(
    _ server: RedisTestServer,
    scripts: [RedisScript] = [],
    limits: RedisLimits = .patient,
    on loop: EventLoop
  ) async throws -> RedisConnection {
    let connection = RedisConnection(server.settings, scripts: scripts, limits: limits, on: loop)
    connection.start()
    try await turn(loop, until: "Redis is ready") { connection.isReady }
    return connection
  }

  /// The reply to a request whose words hold no spaces.
  func ask(_ words: String) async throws(RedisError) -> RedisReply {
    var command = RedisCommand()
    for word in words.split(separator: " ") { command.append(String(word)) }
    return try await call(command, deadline: soon())
  }

  /// The replies to a pipeline.
  func call(_ pipeline: RedisPipeline) async throws(RedisError) -> [RedisReply] {
    let cell = WaitCell<Result<[RedisReply], RedisError>>()
    let result = await cell.wait { send(pipeline, deadline: soon()) { cell.resume($0) } }
    return try result.get()
  }

  /// Runs a script and waits for its reply.
  func run(_ script: RedisScript, _ words: RedisCommand) async throws(RedisError) -> RedisReply {
    let cell = WaitCell<Result<RedisReply, RedisError>>()
    let result = await cell.wait { run(script, words, deadline: soon()) { cell.resume($0) } }
    return try result.get()
  }
}

extension RedisLimits {
  /// For tests on a busy machine: nothing is given up early.
  static var patient: RedisLimits {
    var limits = RedisLimits()
    limits.connectTimeout = .seconds(20)
    limits.stallTimeout = .seconds(20)
    limits.backoffMax = .milliseconds(100)
    return limits
  }
}
