// What is sent: one SQL statement with its bound parameters.

/// One statement for the extended query protocol.
public struct PostgresStatement: Equatable, Sendable {
  /// Exactly one statement, parameters as $1, $2, … At most 65,535 of them.
  public var sql: String
  /// The values of the parameters, in order.
  public var parameters: [PostgresParameter]
  /// How the values of the answer shall be written.
  public var resultFormat: PostgresFormat
  /// Whether the server shall keep the parsed statement for the next time.
  ///
  /// Connections whose session is the server's own do it; behind a transaction pooler it is sent
  /// unnamed, so it is always right to ask for statements whose text is constant.
  public var isPrepared: Bool

  /// A statement; values come back in binary unless told otherwise.
  public init(
    _ sql: String,
    _ parameters: [PostgresParameter] = [],
    resultFormat: PostgresFormat = .binary,
    isPrepared: Bool = false
  ) {
    self.sql = sql
    self.parameters = parameters
    self.resultFormat = resultFormat
    self.isPrepared = isPrepared
  }
}

/// What kind of session a connection is for.
public struct PostgresRole: Equatable, Sendable {
  /// Shown in pg_stat_activity as "sluice/<name>".
  public var name: String
  /// Whether the session must be the server's own and ours alone: `setup` is allowed.
  ///
  /// Behind a transaction pooler this must be false. A connection of another role finds out whether
  /// there is a pooler, and keeps statements on the server when there is none.
  public var isDirect: Bool
  /// Whether connecting fails when this session would not wait for its commits to be on disk.
  public var requiresSynchronousCommit: Bool
  /// SQL that is run once on each new connection of a direct role.
  public var setup: String?

  /// A role that keeps no session state, fit for transaction poolers.
  public static func pooled(
    _ name: String,
    requiresSynchronousCommit: Bool = false
  ) -> PostgresRole {
    PostgresRole(
      name: name,
      isDirect: false,
      requiresSynchronousCommit: requiresSynchronousCommit,
      setup: nil
    )
  }

  /// A role with a session of its own.
  public static func direct(
    _ name: String,
    requiresSynchronousCommit: Bool = false,
    setup: String? = nil
  ) -> PostgresRole {
    PostgresRole(
      name: name,
      isDirect: true,
      requiresSynchronousCommit: requiresSynchronousCommit,
      setup: setup
    )
  }
}
