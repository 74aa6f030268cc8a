// What keeps a gateway from using a database's schema, said so that one knows what to do.

/// Why the schema cannot be used or could not be migrated.
public enum SchemaError: Error, Equatable, Sendable {
  /// The server could not be asked, or a migration failed; the transaction was rolled back.
  case postgres(PostgresError)
  /// The server is a standby: migrations and gateways need the primary.
  case notPrimary
  /// There is no schema `sluice`.
  case missing
  /// Migrations are to be applied; `applied` is the highest one that was.
  case behind(applied: Int, needed: Int)
  /// The database has migrations this binary does not know.
  case newer(applied: Int, known: Int)
  /// A migration was applied with another name or text.
  case changed(version: Int)
}

extension SchemaError: CustomStringConvertible {
  /// One sentence and what to do.
  public var description: String {
    switch self {
    case .postgres(let error):
      error.operatorText + "; look at the user's rights on the database, and at its free disk space"
    case .notPrimary: "the server is a standby; give the connection string of the primary"
    case .missing: "the database has no schema 'sluice'; run 'sluice migrate'"
    case .behind(let applied, let needed):
      "the schema is at version \(applied), this gateway needs \(needed); run 'sluice migrate'"
    case .newer(let applied, let known):
      "the schema is at version \(applied), this gateway knows \(known); use a newer gateway"
    case .changed(let version):
      "migration \(version) was applied with another text; use the gateway that applied it, or"
        + " restore the database"
    }
  }
}
