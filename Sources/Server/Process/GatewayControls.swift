// What a worker can ask of the whole gateway, for operators who happen to be connected to it.

/// Questions and orders that reach every worker.
struct GatewayControls: Sendable {
  /// What the gateway is and has counted.
  let status: @Sendable () async -> GatewayStatus
  /// Takes a node out of the reads of every worker, or back in; false when there is none of that
  /// name.
  let setDrained: @Sendable (_ isDrained: Bool, _ node: String) async -> Bool
}
