#if SLUICE_FAULT_ROUTE_ON_LAG
internal import EventLoop

// What a naive router goes by; for `scripts/freshness --mutants`, which must find it out.

/// Believes what the primary's `pg_stat_replication` says of the replicas, and goes on believing
/// it when a row has vanished.
final class LagGauge {
  private let nodes: [ReadNode]
  private var lags: [String: Duration] = [:]

  private static let statement = PostgresStatement(
    """
    SELECT replace(application_name, 'replica', 'replica-'),
      (coalesce(extract(epoch FROM replay_lag), 0) * 1000000)::int8
    FROM pg_stat_replication
    """
  )
  /// For samples to lie within the shortest lag.
  private static let least: Duration = .milliseconds(200)

  init(_ nodes: [ReadNode]) { self.nodes = nodes }

  /// Claims for each replica the primary's position of as long ago as its lag.
  func read(
    _ connection: PostgresConnection,
    _ ring: LSNRing,
    at time: MonotonicTime
  ) async throws(PostgresError) {
    let rows = try await connection.query(LagGauge.statement, deadline: time + .seconds(1))
    for row in 0..<rows.rowCount {
      guard let name = rows.text(row: row, column: 0),
        let lag = try rows.int64(row: row, column: 1)
      else { continue }
      lags[name] = .microseconds(lag)
    }
    for node in nodes where node.origin == .replica {
      guard let lag = lags[node.name], let identity = ring.identity,
        let lsn = ring.required(bound: lag + LagGauge.least, now: time)
      else { continue }
      node.prover.believed = FreshnessToken(identity, lsn)
    }
  }
}
#endif
