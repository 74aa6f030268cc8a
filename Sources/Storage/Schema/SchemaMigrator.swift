public import EventLoop

// Brings a database's schema to what this binary needs, or says what is missing.

/// Applies `Migrations.all` on one connection to the primary.
///
/// Safe to run again and from two gateways at once: each migration is one transaction under an
/// advisory lock, and does nothing when somebody else was faster.
public struct SchemaMigrator {
  /// What happens to one migration.
  public enum Progress: Equatable, Sendable {
    /// It is about to be applied; waits as long as another migrator holds the lock.
    case applying(version: Int, name: String)
    /// It was applied by us.
    case applied(version: Int, name: String, took: Duration)
    /// It was there already when its turn came.
    case skipped(version: Int, name: String)
  }

  /// Migrations that are still to be applied, in order.
  public typealias Plan = [Migration]

  private let connection: PostgresConnection
  private let deadline: MonotonicTime

  /// A migrator that is done or has failed by `deadline`.
  public init(_ connection: PostgresConnection, deadline: MonotonicTime) {
    self.connection = connection
    self.deadline = deadline
  }

  /// What `migrate` would apply; changes nothing.
  ///
  /// - Throws: `.newer`, `.changed`, `.notPrimary`, `.postgres`.
  public func plan() async throws(SchemaError) -> Plan {
    guard let applied = try await appliedMigrations() else { return Migrations.all }
    return try SchemaMigrator.pending(applied)
  }

  /// Makes sure that nothing is to be applied; changes nothing.
  ///
  /// - Throws: `.missing`, `.behind`, `.newer`, `.changed`, `.notPrimary`, `.postgres`.
  public func check() async throws(SchemaError) {
    guard let applied = try await appliedMigrations() else { throw .missing }
    guard try SchemaMigrator.pending(applied).isEmpty else {
      let highest = applied.map(\.version).max() ?? 0
      throw .behind(applied: highest, needed: Migrations.all.count)
    }
  }

  /// Applies what is missing.
  ///
  /// - Parameter progress: told before and after each migration.
  /// - Returns: how many were applied by this call.
  /// - Throws: as `plan`. What was applied before an error stays applied.
  @discardableResult
  public func migrate(_ progress: (Progress) -> Void = { _ in }) async throws(SchemaError) -> Int {
    let plan = try await plan()
    // The role's own is made for reads.
    _ = try await run("SET statement_timeout = 0")
    // Also with nothing to do: it looks for a newer database under the lock.
    _ = try await run(Migrations.statements[0])
    var count = 0
    for migration in Migrations.all {
      guard plan.contains(where: { $0.version == migration.version }) else {
        progress(.skipped(version: migration.version, name: migration.name))
        continue
      }
      progress(.applying(version: migration.version, name: migration.name))
      let start = MonotonicTime.now()
      if try await run(Migrations.statements[migration.version]) {
        count += 1
        let took = MonotonicTime.now() - start
        progress(.applied(version: migration.version, name: migration.name, took: took))
      } else {
        progress(.skipped(version: migration.version, name: migration.name))
      }
    }
    return count
  }

  // MARK: Private

  struct Applied: Equatable {
    var version: Int
    var name: String
    var checksum: String
  }

  /// What is left of `Migrations.all`.
  static func pending(_ applied: [Applied]) throws(SchemaError) -> Plan {
    let known = Migrations.all
    if let highest = applied.map(\.version).max(), highest > known.count {
      throw .newer(applied: highest, known: known.count)
    }
    var plan: Plan = []
    for migration in known {
      guard let found = applied.first(where: { $0.version == migration.version }) else {
        plan.append(migration)
        continue
      }
      guard found.name == migration.name, found.checksum == migration.checksum else {
        throw .changed(version: migration.version)
      }
    }
    return plan
  }

  /// The migrations table; nil when there is none.
  private func appliedMigrations() async throws(SchemaError) -> [Applied]? {
    guard try await hasMigrationsTable() else { return nil }
    do throws(PostgresError) {
      let rows = try await connection.query(
        "SELECT version, name, checksum FROM sluice.schema_migrations ORDER BY version",
        deadline: deadline
      )
      var applied: [Applied] = []
      for row in 0..<rows.rowCount {
        applied.append(
          Applied(
            version: Int(try rows.int64(row: row, column: 0) ?? 0),
            name: rows.text(row: row, column: 1) ?? "",
            checksum: rows.text(row: row, column: 2) ?? ""
          )
        )
      }
      return applied
    } catch {
      throw .postgres(error)
    }
  }

  private func hasMigrationsTable() async throws(SchemaError) -> Bool {
    let isStandby: Bool?
    let isThere: Bool?
    do throws(PostgresError) {
      let state = try await connection.query(
        "SELECT pg_is_in_recovery(), to_regclass('sluice.schema_migrations') IS NOT NULL",
        deadline: deadline
      )
      isStandby = try state.bool(row: 0, column: 0)
      isThere = try state.bool(row: 0, column: 1)
    } catch {
      throw .postgres(error)
    }
    guard isStandby == false else { throw .notPrimary }
    return isThere == true
  }

  /// Runs one statement of `Migrations`; true when it changed something.
  private func run(_ statement: String) async throws(SchemaError) -> Bool {
    do throws(PostgresError) {
      // Without BEGIN both are one transaction; only one that wrote something has an id.
      let results = try await connection.script(
        statement + ";\nSELECT pg_current_xact_id_if_assigned() IS NOT NULL",
        deadline: deadline
      )
      return try results.last?.bool(row: 0, column: 0) ?? true
    } catch {
      throw try await explained(error)
    }
  }

  /// Names what the embedded statements raise.
  private func explained(_ error: PostgresError) async throws(SchemaError) -> SchemaError {
    let states = [Migrations.newerDatabaseState, Migrations.changedMigrationState]
    guard let state = error.sqlstate, states.contains(state.code) else { return .postgres(error) }
    // Somebody was faster with another binary: the table now tells what is wrong.
    _ = try await plan()
    return .postgres(error)
  }
}
