import Foundation

// Runs other programs without blocking the threads that tasks share.

/// How a program ended and what it said.
struct CommandResult: Sendable {
  var status: Int32
  var output: String
  var errors: String
}

/// A failure of the surroundings of a test.
struct HarnessError: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) {
    self.description = description
  }
}

enum Command {
  /// The environment for programs: nothing of the stack, nothing of PostgreSQL, so that only
  /// arguments count.
  static var environment: [String: String] {
    ProcessInfo.processInfo.environment.filter { name, _ in
      !name.hasPrefix("SLUICE_") && !name.hasPrefix("PG")
    }
  }

  /// Runs a program to its end.
  static func run(
    _ path: String,
    _ arguments: [String],
    input: String = "",
    environment: [String: String] = Command.environment
  ) async throws -> CommandResult {
    try await onThread {
      let folder = FileManager.default.temporaryDirectory
      let name = UUID().uuidString
      let files = ["in", "out", "err"].map { folder.appendingPathComponent("\(name).\($0)") }
      defer {
        for file in files { remove(file) }
      }
      try Data(input.utf8).write(to: files[0])
      let pid = try Spawn.start(
        path,
        arguments,
        environment: environment,
        input: files[0].path,
        output: files[1].path,
        errors: files[2].path
      )
      let status = Spawn.wait(pid)
      return CommandResult(
        status: status,
        output: try String(contentsOf: files[1], encoding: .utf8),
        errors: try String(contentsOf: files[2], encoding: .utf8)
      )
    }
  }

  /// Removes a file of ours; one that is gone already is as good.
  static func remove(_ file: URL) {
    try? FileManager.default.removeItem(at: file)
  }

  /// Runs blocking code on a thread of its own.
  static func onThread<Value: Sendable>(
    _ body: @escaping @Sendable () throws -> Value
  ) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread {
        continuation.resume(with: Result { try body() })
      }
    }
  }
}

/// Looks again and again until a condition holds.
///
/// - Throws: when it does not hold within `limit`.
func eventually(
  _ what: String,
  within limit: Duration = .seconds(20),
  _ condition: () async throws -> Bool
) async throws {
  let clock = ContinuousClock()
  let deadline = clock.now + limit
  while try await !condition() {
    guard clock.now < deadline else { throw HarnessError("not within \(limit): \(what)") }
    try await Task.sleep(for: .milliseconds(20))
  }
}
