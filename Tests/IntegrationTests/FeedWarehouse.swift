import Testing

// A warehouse that no subscription feeds, in tables as a server of another make would have them.

/// A database that has nothing of PostgreSQL's own, and gets its rows when a test says so.
///
/// No partitions, types that Redshift has, too, and of functions those that docs/reads.md names.
struct FeedWarehouse: Sendable {
  let database: Database

  /// As docs/reads.md names them; the stack's databases compare texts by their bytes, as Redshift.
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

  /// What docs/reads.md gives for Redshift, in PostgreSQL's words: its own function of this name
  /// wants another type.
  private static let functions = """
    CREATE FUNCTION sluice.hot_label(varchar(65535), varchar(10)) RETURNS varchar(65535)
      IMMUTABLE AS $$ SELECT json_extract_path_text(CAST($1 AS json), $2) $$ LANGUAGE sql;
    CREATE FUNCTION sluice.hot_document(varchar(65535), varchar(10)) RETURNS varchar(65535)
      IMMUTABLE AS $$ SELECT CAST(json_extract_path(CAST($1 AS json), $2) AS text) $$ LANGUAGE sql;
    CREATE FUNCTION sluice.hot_number(varchar(65535), varchar(10)) RETURNS double precision
      IMMUTABLE AS $$ SELECT CAST(sluice.hot_label($1, $2) AS double precision) $$ LANGUAGE sql;
    CREATE FUNCTION sluice.hot_integer(varchar(65535), varchar(10)) RETURNS bigint
      IMMUTABLE AS $$ SELECT CAST(sluice.hot_label($1, $2) AS bigint) $$ LANGUAGE sql;
    CREATE FUNCTION sluice.hot_flag(varchar(65535), varchar(10)) RETURNS boolean
      IMMUTABLE AS $$ SELECT sluice.hot_label($1, $2) = 'true' $$ LANGUAGE sql;
    CREATE FUNCTION sluice.same_document(varchar(65535), varchar(65535)) RETURNS boolean
      IMMUTABLE AS $$ SELECT CAST($1 AS jsonb) = CAST($2 AS jsonb) $$ LANGUAGE sql;
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

  /// Gives it the functions that lists need.
  func addFunctions() async throws { try await database.sql(FeedWarehouse.functions) }

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
