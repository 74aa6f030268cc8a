import Testing

// A warehouse that no subscription feeds, in tables as a server of another make would have them.

/// A database that has nothing of PostgreSQL's own, and gets its rows when a test says so.
///
/// No functions, no partitions, and types that Redshift has, too.
struct FeedWarehouse: Sendable {
  let database: Database

  /// As docs/reads.md names them.
  private static let tables = """
    CREATE SCHEMA sluice;
    CREATE TABLE sluice.heartbeat (
      lsn varchar(32), timeline integer, system_identifier bigint);
    CREATE TABLE sluice.entities (
      tenant_id integer, entity_id bigint, external_key varchar(512));
    CREATE TABLE sluice.entity_jsonb (
      tenant_id integer, entity_id bigint, version bigint, hot_attrs varchar(65535),
      hot_times varchar(65535));
    CREATE TABLE sluice.entity_values (
      tenant_id integer, entity_id bigint, attribute_id integer, observed_at timestamptz,
      ingested_at timestamptz, number double precision, "integer" bigint, flag boolean,
      label varchar(65535), document varchar(65535));
    GRANT USAGE ON SCHEMA sluice TO sluice;
    GRANT SELECT ON ALL TABLES IN SCHEMA sluice TO sluice;
    """

  private static let columns = [
    ("heartbeat", "lsn, timeline, system_identifier"),
    ("entities", "tenant_id, entity_id, external_key"),
    ("entity_jsonb", "tenant_id, entity_id, version, hot_attrs, hot_times"),
    (
      "entity_values",
      "tenant_id, entity_id, attribute_id, observed_at, ingested_at, number, \"integer\", flag,"
        + " label, document"
    ),
  ]

  /// Runs a test with an empty one.
  static func run(_ body: (FeedWarehouse) async throws -> Void) async throws {
    let warehouse = FeedWarehouse(database: try await Database.create(in: #require(Stack.shared)))
    do {
      try await warehouse.database.sql(tables)
      try await body(warehouse)
    } catch {
      try await warehouse.database.drop()
      throw error
    }
    try await warehouse.database.drop()
  }

  /// Copies everything, the heartbeat first, in one transaction.
  func feed(from primary: Database) async throws {
    var script = "BEGIN;\n"
    for (table, columns) in FeedWarehouse.columns {
      let rows = try await primary.sql("COPY (SELECT \(columns) FROM sluice.\(table)) TO STDOUT;")
      script += "TRUNCATE sluice.\(table); COPY sluice.\(table) (\(columns)) FROM STDIN;\n"
      script += rows.isEmpty ? "\\.\n" : "\(rows)\n\\.\n"
    }
    try await database.sql(script + "COMMIT;")
  }
}
