internal import Storage

// What operators ask for first.

/// A gateway and what it has counted, all workers added up.
struct GatewayStatus: Sendable {
  /// Its release.
  var version: String
  /// SERVING or DRAINING.
  var state: String
  /// Since the process started.
  var uptime: Duration
  /// Counters and gauges.
  var figures: Figures
  /// The primary and the nodes beside it.
  var nodes: [NodeStatus]
  /// What it cannot do at the moment and tries again; nil when all goes well.
  var trouble: String?

  /// For whoever asks when nothing runs any more.
  static let stopped = GatewayStatus(
    version: Gateway.version,
    state: "DRAINING",
    uptime: .zero,
    figures: Figures(),
    nodes: []
  )
}
