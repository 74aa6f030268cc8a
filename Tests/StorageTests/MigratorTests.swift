import EventLoop
import Testing

@testable import Storage

@Suite("the migrator", .needsDatabases)
struct MigratorTests {
  @Test("an empty database gets every migration, told one by one, and the second run does nothing")
  func twice() async throws {
    try await TestDatabase.run(migrated: false) { database in
      let migrator = SchemaMigrator(database.connection, deadline: soon())
      #expect(try await migrator.plan().map(\.version) == Migrations.all.map(\.version))
      #expect(
        await schemaFailure { () throws(SchemaError) in try await migrator.check() } == .missing
      )
      #expect(try await database.value("SELECT to_regnamespace('sluice') IS NULL") == "t")

      var told: [SchemaMigrator.Progress] = []
      #expect(try await migrator.migrate { told.append($0) } == Migrations.all.count)
      #expect(told.count == 2 * Migrations.all.count)
      #expect(told.first == .applying(version: 1, name: "tables"))
      try await migrator.check()
      #expect(try await migrator.plan().isEmpty)

      told = []
      #expect(try await migrator.migrate { told.append($0) } == 0)
      #expect(told.first == .skipped(version: 1, name: "tables"))
      #expect(told.count == Migrations.all.count)
    }
  }

  @Test("several at once apply each migration exactly once")
  func together() async throws {
    try await TestDatabase.run(migrated: false) { database in
      // Their tasks share the loop: each suspends while the others go on.
      let dsn = database.dsn
      let loop = database.loop
      let counts = try await withThrowingTaskGroup(of: Int.self) { group in
        for _ in 0..<4 {
          group.addTask {
            try await onLoop { loop in
              let connection = try await PostgresConnection.connect(
                to: dsn,
                role: .direct("test"),
                on: loop,
                deadline: soon()
              )
              defer { connection.close() }
              return try await SchemaMigrator(connection, deadline: soon()).migrate()
            }
          }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      withExtendedLifetime(loop) {}
      #expect(counts.reduce(0, +) == Migrations.all.count)
      let rows = try await database.value("SELECT count(*) FROM sluice.schema_migrations")
      #expect(rows == "\(Migrations.all.count)")
    }
  }

  @Test("a schema that is behind is named with both versions and caught up")
  func behind() async throws {
    try await TestDatabase.run(migrated: false) { database in
      let last = Migrations.all.count
      for statement in Migrations.statements.dropLast() { try await database.script(statement) }
      let migrator = SchemaMigrator(database.connection, deadline: soon())
      let error = await schemaFailure { () throws(SchemaError) in try await migrator.check() }
      #expect(error == .behind(applied: last - 1, needed: last))
      #expect(error?.description.contains("sluice migrate") == true)
      #expect(try await migrator.migrate() == 1)
      try await migrator.check()
    }
  }

  @Test("a newer database is refused by plan, check and migrate")
  func newer() async throws {
    try await TestDatabase.run { database in
      let known = Migrations.all.count
      try await database.script(
        "INSERT INTO sluice.schema_migrations (version, name, checksum) VALUES (\(known + 3), 'x', 'y')"
      )
      let migrator = SchemaMigrator(database.connection, deadline: soon())
      let expected = SchemaError.newer(applied: known + 3, known: known)
      #expect(
        await schemaFailure { () throws(SchemaError) in _ = try await migrator.plan() } == expected
      )
      #expect(
        await schemaFailure { () throws(SchemaError) in try await migrator.check() } == expected
      )
      #expect(
        await schemaFailure { () throws(SchemaError) in try await migrator.migrate() } == expected
      )
    }
  }

  @Test("a tampered checksum is refused and named, and nothing is applied")
  func tampered() async throws {
    try await TestDatabase.run { database in
      try await database.script(
        """
        UPDATE sluice.schema_migrations SET checksum = 'ffffffffffffffff' WHERE version = 3;
        DELETE FROM sluice.schema_migrations WHERE version = \(Migrations.all.count);
        """
      )
      let migrator = SchemaMigrator(database.connection, deadline: soon())
      let expected = SchemaError.changed(version: 3)
      #expect(
        await schemaFailure { () throws(SchemaError) in try await migrator.check() } == expected
      )
      #expect(
        await schemaFailure { () throws(SchemaError) in try await migrator.migrate() } == expected
      )
      let rows = try await database.value("SELECT count(*) FROM sluice.schema_migrations")
      #expect(rows == "\(Migrations.all.count - 1)")
    }
  }

  @Test("the keeper raises the future limit and never lowers it, beats, and names what is amiss")
  func keeper() async throws {
    try await TestDatabase.run { database in
      var lines: [String] = []
      func keeper(_ limit: Duration) -> PartitionKeeper {
        PartitionKeeper(
          PartitionKeeper.Settings(
            partitionWidth: "hour",
            partitionsAhead: 5,
            retention: .seconds(86_400),
            futureLimit: limit
          ),
          gatewayID: [UInt8](repeating: 7, count: 16),
          on: database.loop
        ) { lines.append($0) }
      }
      let limit = "SELECT value FROM sluice.settings WHERE name = 'future_limit_us'"
      try await keeper(.seconds(7200)).prepare(database.connection, deadline: soon())
      #expect(try await database.value(limit) == "7200000000")
      let second = keeper(.seconds(60))
      try await second.prepare(database.connection, deadline: soon())
      #expect(try await database.value(limit) == "7200000000")

      try await database.script(
        "INSERT INTO sluice.entity_values (entity_id, observed_at, ingested_at, tenant_id, attribute_id)"
          + " VALUES (1, now(), '2001-01-01', 1, 1)"
      )
      try await second.tick(database.connection)
      #expect(second.defaultPartitionRows > 0)
      #expect(lines.contains { $0.contains("default partition") })
      let gateways = try await database.value("SELECT count(*) FROM sluice.gateways")
      #expect(gateways == "1")
      let beat = try await database.value("SELECT beat > 0 FROM sluice.heartbeat")
      #expect(beat == "t")
    }
  }

  @Test("a chore the server refuses is logged once and does not keep the others from being done")
  func refusedChore() async throws {
    try await TestDatabase.run { database in
      var lines: [String] = []
      let keeper = PartitionKeeper(
        PartitionKeeper.Settings(
          partitionWidth: "fortnight",
          partitionsAhead: 3,
          retention: nil,
          futureLimit: .seconds(1)
        ),
        gatewayID: [UInt8](repeating: 1, count: 16),
        on: database.loop
      ) { lines.append($0) }
      try await keeper.tick(database.connection)
      #expect(lines.count == 1)
      #expect(lines.first?.hasPrefix("partitions failed: the server answered ERROR 22023") == true)
      #expect(lines.first?.hasSuffix("partition width must be hour, day, week or month") == true)
      #expect(try await database.value("SELECT beat > 0 FROM sluice.heartbeat") == "t")
    }
  }
}

/// The error that `body` throws.
private func schemaFailure(
  _ body: () async throws(SchemaError) -> some Any
) async -> SchemaError? {
  do throws(SchemaError) {
    _ = try await body()
    return nil
  } catch {
    return error
  }
}
