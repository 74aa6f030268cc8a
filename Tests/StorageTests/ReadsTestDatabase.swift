import EventLoop
import Glibc
import Testing

@testable import Storage

// A database of its own for each test, so that tests of several files can run side by side.

extension Trait where Self == ConditionTrait {
  /// Skips, visibly, what needs a server on which databases can be made.
  static var needsDatabases: Self {
    .enabled(
      if: PostgresTestServer.isPresent && TestDatabase.adminText != nil,
      "SLUICE_PRIMARY_DSN and SLUICE_STACK_PRIMARY_ADMIN_DSN are not set"
    )
  }
}

/// A fresh database, and connections to it on one loop.
final class TestDatabase {
  static let adminText =
    unsafe getenv("SLUICE_STACK_PRIMARY_ADMIN_DSN").map { unsafe String(cString: $0) }

  let dsn: PostgresDSN
  let loop: EventLoop
  let connection: PostgresConnection

  private init(_ dsn: PostgresDSN, _ loop: EventLoop, _ connection: PostgresConnection) {
    self.dsn = dsn
    self.loop = loop
    self.connection = connection
  }

  /// Makes a database with the schema in it, runs `body` and drops it.
  ///
  /// - Parameters:
  ///   - migrated: whether the schema is there.
  ///   - isEnglish: whether its texts are ordered as a dictionary does, and not by their bytes.
  ///   - body: the test.
  /// - Throws: what the test throws.
  static func run(
    migrated: Bool = true,
    isEnglish: Bool = false,
    _ body: @escaping @Sendable (TestDatabase) async throws -> Void
  ) async throws {
    let name = "reads_test_\(UInt64.random(in: 0...UInt64.max))"
    try await onLoop { loop in
      let admin = try await PostgresConnection.connect(
        to: PostgresDSN(#require(adminText)),
        role: .direct("admin"),
        on: loop,
        deadline: soon()
      )
      defer { admin.close() }
      // Older servers have no databases of another order than their machine's locales.
      let version = try await admin.query("SHOW server_version_num", deadline: soon())
      let hasOrders = Int(version.text(row: 0, column: 0) ?? "") ?? 0 >= 150_000
      let order =
        isEnglish && hasOrders ? "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'" : ""
      _ = try await admin.script("CREATE DATABASE \(name) OWNER sluice \(order)", deadline: soon())
      let dsn = try PostgresTestServer.dsn.setting("dbname", to: name)
      let connection = try await PostgresConnection.connect(
        to: dsn,
        role: .direct("test"),
        on: loop,
        deadline: soon()
      )
      let database = TestDatabase(dsn, loop, connection)
      var failure: (any Error)?
      do {
        if migrated { try await SchemaMigrator(connection, deadline: soon()).migrate() }
        try await body(database)
      } catch {
        failure = error
      }
      connection.close()
      _ = try await admin.script("DROP DATABASE \(name) WITH (FORCE)", deadline: soon())
      if let failure { throw failure }
    }
  }

  /// Another connection; close it.
  func connect() async throws -> PostgresConnection {
    try await PostgresConnection.connect(
      to: dsn,
      role: .direct("test"),
      on: loop,
      deadline: soon()
    )
  }

  /// A pool for readers; shut it down.
  func pool(connectionsMax: Int = 4) -> PostgresPool {
    var limits = PoolLimits()
    limits.connectionsMax = connectionsMax
    return PostgresPool(dsn, role: .pooled("test"), limits: limits, on: loop)
  }

  /// Runs statements that need no answer.
  func script(_ sql: String) async throws {
    _ = try await connection.script(sql, deadline: soon(.seconds(60)))
  }

  /// The first value of the first row, as text.
  func value(_ sql: String, _ parameters: [PostgresParameter] = []) async throws -> String? {
    try await connection.query(sql, parameters, resultFormat: .text, deadline: soon())
      .text(row: 0, column: 0)
  }
}
