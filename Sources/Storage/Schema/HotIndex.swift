// An index on the newest values of one attribute: its name, and the SQL that makes it.

/// An index of ours on `sluice.entity_jsonb`.
///
/// It is partial: only entities of the tenant, and but for flags only those with a value, are in
/// it. Numbers, integers, flags and labels have a b-tree of what `HotExpression` calls a key;
/// documents, which have no order and no bounded size, a hash index. A GIN index was tried instead:
/// equality of documents took 9.7 ms by one and 0.05 ms by the hash index (50,000 entities); one
/// over all attributes has ten times the size of a b-tree, and lists do not ask for containment.
struct HotIndex: Equatable {
  let tenant: Int32
  let attributeID: UInt32

  /// Matches the names of our indexes, and of nobody else's; captures the tenant.
  static let tenantPattern = "^entity_jsonb_hot_t([0-9]{1,10})_a[0-9]{1,10}$"
  /// The same; captures the attribute.
  static let attributePattern = "^entity_jsonb_hot_t[0-9]{1,10}_a([0-9]{1,10})$"

  /// The name, without the schema: letters, digits and underscores.
  var name: String { "entity_jsonb_hot_t\(tenant)_a\(attributeID)" }

  /// The access method that fits a type.
  static func method(_ type: ValueType) -> String { type == .document ? "hash" : "btree" }

  /// The statement that makes it without blocking writes; it must stand alone.
  func creation(_ type: ValueType) -> String {
    let key = HotExpression.key(attributeID, type, in: "hot_attrs")
    // In the words of lists, so that the planner sees that a condition implies them.
    let there = HotExpression.isThere(attributeID, type, in: "hot_attrs")
    return """
      CREATE INDEX CONCURRENTLY \(name) ON sluice.entity_jsonb
        USING \(HotIndex.method(type)) ((\(key)))
        WHERE tenant_id = \(tenant)\(type == .flag ? "" : " AND \(there)")
      """
  }

  /// What ANALYZE shall count besides, under the same name: of the expressions of a partial index
  /// the planner has no statistics, and without any it does not know that an index is worth using.
  func statistics(_ type: ValueType) -> String {
    let expressions = HotExpression.all(attributeID, type, in: "hot_attrs").map { "(\($0))" }
    return """
      CREATE STATISTICS IF NOT EXISTS sluice.\(name)\(expressions.count > 1 ? " (ndistinct)" : "")
        ON \(expressions.joined(separator: ", ")) FROM sluice.entity_jsonb
      """
  }

  /// The statement that drops it without blocking writes; it must stand alone.
  var removal: String { "DROP INDEX CONCURRENTLY IF EXISTS sluice.\(name)" }

  /// The statement that drops its statistics.
  var statisticsRemoval: String { "DROP STATISTICS IF EXISTS sluice.\(name)" }
}

/// An index on the newest values of an attribute, as the database knows it.
public struct HotIndexStatus: Equatable, Sendable {
  /// Whether it can be used.
  public enum State: String, Sendable {
    /// Reads use it.
    case valid
    /// It is being built now.
    case building
    /// A build failed: writes keep it up to date, and no read uses it.
    case invalid
  }

  /// The attribute's name; nil when there is no such attribute any more.
  public var attribute: String?
  /// Whether the attribute is hot now: when not, nothing changes in the index any more.
  public var isHot: Bool
  /// Its name in the schema `sluice`.
  public var name: String
  /// "btree" or "hash".
  public var method: String
  /// Size on disk.
  public var bytes: Int64
  /// Whether it can be used.
  public var state: State
  /// How often the server that was asked has used it.
  public var scans: Int64
}

/// How far a build has come.
public struct HotIndexProgress: Equatable, Sendable {
  /// PostgreSQL's words for what it does, such as "building index: scanning table".
  public var phase: String
  /// Units done in this phase.
  public var done: Int64
  /// Units of this phase; 0 when it does not count.
  public var total: Int64
  /// What is counted.
  public var unit: String
}

/// Why an index cannot be made or dropped.
public enum HotIndexError: Error, Equatable, Sendable {
  /// The server could not be asked.
  case postgres(PostgresError)
  /// The schema is not what this binary needs, or the server is a standby.
  case schema(SchemaError)
  /// There is no attribute of this name.
  case attributeNotFound(String)
  /// Its newest values are not kept, so there is nothing to find.
  case notHot(String)
  /// The attribute has no index of ours.
  case notIndexed(String)
  /// Somebody else makes or drops indexes.
  case busy
  /// The build failed; `isRemoved` says whether what it left is gone.
  case buildFailed(PostgresError, isRemoved: Bool)
}

extension HotIndexError: CustomStringConvertible {
  /// One sentence and what to do.
  public var description: String {
    switch self {
    case .postgres(let error): error.operatorText
    case .schema(let error): error.description
    case .attributeNotFound(let name):
      "there is no attribute '\(name)'; 'sluice catalog' lists them"
    case .notHot(let name):
      "'\(name)' is not hot, so its newest values are not kept and no list can ask for them; make"
        + " it hot with 'sluice catalog set \(name) --hot true' first"
    case .notIndexed(let name):
      "'\(name)' has no index of Sluice; 'sluice index list' shows those there are"
    case .busy:
      "another 'sluice index' is at work in this database (a build goes on in the server when its"
        + " command is stopped); wait until 'sluice index list' shows none that is building"
    case .buildFailed(let error, let isRemoved):
      "the index was not built: \(error.operatorText); "
        + (isRemoved
          ? "nothing is left of it"
          : "an invalid index may be left, which costs writes and serves no read: drop it with"
            + " 'sluice index drop'")
    }
  }
}
