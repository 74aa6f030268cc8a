// Brings the schema `sluice` of a database to what this gateway needs.

/// The embedded migrations, forward only.
///
/// Run every element of `statements` in order on one connection to the primary, each as a simple
/// query. Each is one transaction under an advisory lock and does nothing if it was applied before,
/// so running them again, or from two gateways at once, is safe.
///
/// Errors to expect, by SQLSTATE: `newerDatabaseState` when the database has migrations this
/// gateway does not know, `changedMigrationState` when one was applied with another text.
public enum Migrations {
  /// SQLSTATE: the database is newer than this gateway.
  public static let newerDatabaseState = "SLG10"
  /// SQLSTATE: a migration was applied with another name or text.
  public static let changedMigrationState = "SLG11"

  /// All migrations, by version, without holes.
  public static let all: [Migration] = [
    .tables, .partitions, .catalog, .producers, .staging, .operations, .upserts,
    .hotValues, .cooling, .newestUpserts, .stagingPlan,
    .warehouseDocuments,
  ]

  /// What to run, in order.
  public static var statements: [String] { [bootstrap] + all.map(statement) }

  // The number is Sluice's for `pg_advisory_lock`: its first key here and in the functions.
  private static let lock = "PERFORM pg_advisory_xact_lock(5497231, 1);"

  private static var bootstrap: String {
    #"""
    DO $bootstrap$ BEGIN
      \#(lock)
      IF to_regnamespace('sluice') IS NULL THEN
        CREATE SCHEMA sluice;
      END IF;
      IF to_regclass('sluice.schema_migrations') IS NULL THEN
        CREATE TABLE sluice.schema_migrations (
          version integer PRIMARY KEY,
          name text NOT NULL,
          checksum text NOT NULL,
          applied_at timestamptz NOT NULL DEFAULT now()
        );
      END IF;
      IF EXISTS (SELECT FROM sluice.schema_migrations m WHERE m.version > \#(all.count)) THEN
        RAISE EXCEPTION 'the database is newer than this gateway' USING ERRCODE = '\#(newerDatabaseState)';
      END IF;
    END $bootstrap$
    """#
  }

  private static func statement(_ migration: Migration) -> String {
    #"""
    DO $apply$ DECLARE
      applied text;
    BEGIN
      \#(lock)
      SELECT m.name || ' ' || m.checksum INTO applied FROM sluice.schema_migrations m
        WHERE m.version = \#(migration.version);
      IF NOT FOUND THEN
        EXECUTE $migration$
    \#(migration.sql)
        $migration$;
        INSERT INTO sluice.schema_migrations (version, name, checksum)
          VALUES (\#(migration.version), '\#(migration.name)', '\#(migration.checksum)');
      ELSIF applied <> '\#(migration.name) \#(migration.checksum)' THEN
        RAISE EXCEPTION 'migration \#(migration.version) was applied with another text'
          USING ERRCODE = '\#(changedMigrationState)';
      END IF;
    END $apply$
    """#
  }
}
