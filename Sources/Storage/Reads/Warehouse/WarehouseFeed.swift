// How the warehouse gets its rows, and what may be concluded from those that have arrived.

/// What feeds the warehouse; the words are those of the setting `warehouse-feed`.
public enum WarehouseFeed: String, Sendable, CaseIterable {
  /// PostgreSQL's logical replication, whose state is asked for, or a standby.
  case subscription
  /// Another one, of which the operator says that it applies whole transactions in the order of
  /// their commits and is past its first copy: the heartbeat that arrived is the proof.
  case ordered
  /// One that does not keep that order: what arrived says how old the rest is likely to be.
  case unordered

  /// Whether the server is PostgreSQL with our schema in it: functions, jsonb, planner's figures.
  var isPostgreSQL: Bool { self == .subscription }
}
