import EventLoop
import Foundation
import Testing

// A Redis of a test's own: it is killed, stopped and emptied.

extension Trait where Self == ConditionTrait {
  /// Skips, visibly, what needs a Redis.
  static var needsRedis: Self {
    .enabled(if: RedisProcess.program != nil, "redis-server is not installed")
  }
}

/// A running `redis-server`, killed at the end.
actor RedisProcess {
  /// Where clients connect, also after a restart.
  nonisolated let port: Int
  private var process: RunningProgram

  static let program = ["/usr/bin/redis-server", "/usr/local/bin/redis-server"].first {
    FileManager.default.isExecutableFile(atPath: $0)
  }

  private init(_ port: Int, _ process: RunningProgram) {
    self.port = port
    self.process = process
  }

  static func start() async throws -> RedisProcess {
    // Redis takes no port 0.
    for _ in 0..<20 {
      let port = Int.random(in: 20_000..<32_000)
      if let process = try await launch(port) { return RedisProcess(port, process) }
    }
    throw HarnessError("no port for a Redis")
  }

  /// nil when the port is somebody else's.
  private static func launch(_ port: Int) async throws -> RunningProgram? {
    let process = try await RunningProgram.start(
      try #require(program),
      [
        "--port", "\(port)", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
        "--maxmemory-policy", "volatile-lfu",
      ]
    )
    try await eventually("Redis answers") {
      process.status != nil || process.output.contains("Ready to accept connections")
    }
    return process.status == nil ? process : nil
  }

  /// The setting of a gateway.
  nonisolated var options: [String] { ["--redis", "redis://127.0.0.1:\(port)"] }

  /// Ends it without a word.
  func kill() async throws {
    process.signal(SIGKILL)
    _ = try await process.wait(within: .seconds(10))
  }

  /// Starts it again, on the same port and empty.
  func restart() async throws {
    process = try await #require(RedisProcess.launch(port))
  }

  func signal(_ number: Int32) { process.signal(number) }

  /// What `redis-cli` says.
  @discardableResult
  func command(_ words: String...) async throws -> String {
    let result = try await Command.run("redis-cli", ["-p", "\(port)"] + words)
    guard result.status == 0 else { throw HarnessError("redis-cli: \(result.errors)") }
    return result.output
  }
}
