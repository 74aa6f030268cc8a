public import EventLoop

// What a server should be set to for reads with a bound, looked at when a gateway starts.

/// Compares a server's settings with what reads count on.
public enum SettingsAdvice {
  /// One setting and what it should be.
  struct Rule: Sendable {
    var name: String
    /// Whether the value, in the unit of pg_settings, will do.
    var isGood: @Sendable (String) -> Bool
    var wanted: String
    var reason: String
  }

  /// Asks a server and says what should be otherwise, one sentence each.
  ///
  /// - Parameters:
  ///   - name: of the server, for the sentences.
  ///   - origin: what it is.
  ///   - hasReplicas: whether a primary has any.
  ///   - connection: of the role that reads.
  ///   - deadline: until when.
  /// - Returns: the sentences.
  /// - Throws: as `PostgresConnection.query`.
  public static func sentences(
    for name: String,
    _ origin: ReadOrigin,
    hasReplicas: Bool,
    on connection: PostgresConnection,
    deadline: MonotonicTime
  ) async throws(PostgresError) -> [String] {
    // In words that a warehouse of another make understands, too.
    let names = rules(origin, hasReplicas).map(\.name) + [standby]
    let places = names.indices.map { "$\($0 + 1)" }.joined(separator: ", ")
    let result = try await connection.query(
      "SELECT name, setting FROM pg_settings WHERE name IN (\(places))",
      names.map { .text($0) },
      resultFormat: .text,
      deadline: deadline
    )
    var settings: [String: String] = [:]
    for row in 0..<result.rowCount {
      guard let setting = result.text(row: row, column: 0) else { continue }
      settings[setting] = result.text(row: row, column: 1) ?? ""
    }
    return sentences(for: name, origin, hasReplicas: hasReplicas, settings)
  }

  /// What should be otherwise; settings that the server did not show are passed over.
  static func sentences(
    for name: String,
    _ origin: ReadOrigin,
    hasReplicas: Bool = true,
    _ settings: [String: String]
  ) -> [String] {
    var sentences: [String] = []
    if origin == .replica, settings[standby] == "off" {
      sentences.append("\(name): it is not in recovery, so no read will go there; name a replica")
    }
    sentences += rules(origin, hasReplicas).compactMap { rule in
      guard let value = settings[rule.name], !rule.isGood(value) else { return nil }
      return "\(name): \(rule.name) is \(value); set it to \(rule.wanted), \(rule.reason)"
    }
    return sentences
  }

  /// On while a server follows another one.
  ///
  /// Source: PostgreSQL manual, "Preset Options".
  private static let standby = "in_hot_standby"

  private static func rules(_ origin: ReadOrigin, _ hasReplicas: Bool) -> [Rule] {
    switch origin {
    case .primary: (hasReplicas ? [sender] : []) + [timeout]
    case .replica: replica + [timeout]
    case .warehouse: [timeout]
    case .cache: []
    }
  }

  // Calls end after 300 s: what runs longer has lost its cancel request. RDS Proxy passes none on.
  private static let timeout = Rule(
    name: "statement_timeout",
    isGood: { isTime($0, atMost: 3_600_000) },
    wanted: "330s for the gateway's role (ALTER ROLE … SET statement_timeout = '330s')",
    reason: "or a read whose cancel request is lost runs on without its caller"
  )

  private static let sender = Rule(
    name: "wal_sender_timeout",
    isGood: { isTime($0, atMost: 5_000) },
    wanted: "5s",
    reason: "or a half-open link to a replica is noticed late"
  )

  private static let replica = [
    Rule(
      name: "max_standby_streaming_delay",
      isGood: { Int($0).map { 0...1_000 ~= $0 } ?? false },
      wanted: "1s",
      reason: "or a long read holds replay up and the replica falls behind"
    ),
    Rule(
      name: "hot_standby_feedback",
      isGood: { $0 == "on" },
      wanted: "on",
      reason: "or the primary's vacuum cancels reads there"
    ),
    Rule(
      name: "wal_receiver_timeout",
      isGood: { isTime($0, atMost: 5_000) },
      wanted: "5s",
      reason: "or a half-open link to the primary is noticed late"
    ),
    Rule(
      name: "wal_receiver_status_interval",
      isGood: { isTime($0, atMost: 1) },
      wanted: "1s",
      reason: "or the primary hears of its position late"
    ),
    Rule(
      name: "default_transaction_isolation",
      isGood: { $0 == "read committed" },
      wanted: "read committed",
      reason: "or a read's snapshot is older than its proof and is not used"
    ),
  ]

  /// 0 switches a timeout off.
  private static func isTime(_ value: String, atMost limit: Int) -> Bool {
    Int(value).map { 1...limit ~= $0 } ?? false
  }
}
