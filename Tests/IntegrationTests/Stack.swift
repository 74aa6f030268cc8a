import Foundation
import Testing

// The PostgreSQL that the tests were given, and databases in it.

/// What `scripts/stack` says about a running primary.
struct Stack: Sendable {
  let primaryDSN: String
  let adminDSN: String
  let programs: String

  init?(_ environment: [String: String]) {
    guard let primary = environment["SLUICE_PRIMARY_DSN"],
      let admin = environment["SLUICE_STACK_PRIMARY_ADMIN_DSN"],
      let programs = environment["SLUICE_STACK_PG_BINDIR"]
    else { return nil }
    primaryDSN = primary
    adminDSN = admin
    self.programs = programs
  }

  /// The one of the environment; nil when there is none.
  static let shared = Stack(ProcessInfo.processInfo.environment)

  /// Runs SQL as superuser.
  ///
  /// - Returns: unaligned rows, columns separated by `|`.
  /// - Throws: what psql said when it failed.
  @discardableResult
  func sql(_ sql: String, dsn: String? = nil) async throws -> String {
    let result = try await Command.run(
      "\(programs)/psql",
      ["-XAtq", "-v", "ON_ERROR_STOP=1", "-f", "-", dsn ?? adminDSN],
      input: sql
    )
    guard result.status == 0 else { throw HarnessError("psql: \(result.errors)") }
    return String(result.output.hasSuffix("\n") ? result.output.dropLast() : result.output[...])
  }

  /// A connection string with another database in it.
  static func dsn(_ dsn: String, database: String) -> String {
    dsn.replacingOccurrences(of: "@/sluice", with: "@/\(database)")
  }
}

extension Trait where Self == ConditionTrait {
  /// Skips, visibly, what needs PostgreSQL.
  static var needsStack: Self {
    .enabled(
      if: Stack.shared != nil,
      "SLUICE_PRIMARY_DSN, SLUICE_STACK_PRIMARY_ADMIN_DSN, SLUICE_STACK_PG_BINDIR are not set"
    )
  }
}

/// A database of one test.
struct Database: Sendable {
  let stack: Stack
  let name: String
  /// For the gateway.
  let dsn: String
  /// For the test.
  let adminDSN: String

  /// Makes an empty one.
  static func create(in stack: Stack) async throws -> Database {
    let name = "integration_\(UInt32.random(in: 0 ... .max))"
    try await stack.sql("CREATE DATABASE \(name) OWNER sluice")
    return Database(
      stack: stack,
      name: name,
      dsn: Stack.dsn(stack.primaryDSN, database: name),
      adminDSN: Stack.dsn(stack.adminDSN, database: name)
    )
  }

  /// Gives it the schema.
  func migrate() async throws {
    let result = try await Command.run(GatewayProcess.program, ["migrate", "--dsn", dsn])
    guard result.status == 0 else { throw HarnessError("sluice migrate: \(result.errors)") }
  }

  func drop() async throws {
    try await stack.sql("DROP DATABASE IF EXISTS \(name) WITH (FORCE)")
  }

  /// Runs SQL as superuser; rows with columns separated by `|`.
  @discardableResult
  func sql(_ text: String) async throws -> String {
    try await stack.sql(text, dsn: adminDSN)
  }

  /// One number.
  func count(_ sql: String) async throws -> Int {
    let text = try await self.sql(sql)
    guard let number = Int(text) else { throw HarnessError("not a number: \(text)") }
    return number
  }

  /// Process ids of the gateway's backends in these roles.
  func backends(_ roles: String...) async throws -> [Int32] {
    let names = roles.map { "'sluice/\($0)'" }.joined(separator: ",")
    let text = try await sql(
      """
      SELECT pid FROM pg_stat_activity
      WHERE datname = current_database() AND application_name IN (\(names))
      """
    )
    return text.split(separator: "\n").compactMap { Int32($0) }
  }

  /// Holds a lock, or anything else that ends with its transaction, while `body` runs.
  func holding<Value>(
    _ statement: String,
    _ body: () async throws -> Value
  ) async throws -> Value {
    let key = Int.random(in: 1...1_000_000_000)
    // The advisory lock tells that the statement before it is done; its end is ended by
    // pg_terminate.
    async let holder = Command.run(
      "\(stack.programs)/psql",
      ["-XAtq", "-v", "ON_ERROR_STOP=1", "-f", "-", adminDSN],
      input: "BEGIN; \(statement); SELECT pg_advisory_lock(\(key)); SELECT pg_sleep(600);"
    )
    let pid = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = \(key) AND granted"
    try await eventually("the lock is held") { try await !sql(pid).isEmpty }
    let result: Result<Value, any Error>
    do {
      result = .success(try await body())
    } catch {
      result = .failure(error)
    }
    try await sql("SELECT pg_terminate_backend(pid) FROM (\(pid)) AS h")
    _ = try await holder
    return try result.get()
  }
}
