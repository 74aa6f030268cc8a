internal import EventLoop
internal import Storage

// What storage and its chores are told by the configuration.

extension StorageSettings {
  /// - Throws: `.invalidDSN`.
  init(_ configuration: Configuration) throws(GatewayError) {
    let primary = try Gateway.dsn(configuration.primaryDSN, .primaryDSN)
    var pooled: PostgresDSN?
    if let text = configuration.pooledDSN { pooled = try Gateway.dsn(text, .pooledDSN) }
    self.init(
      primary: primary,
      pooled: pooled,
      nodes: try Gateway.nodes(configuration),
      writers: configuration.writersPerWorker,
      readConnections: configuration.readConnectionsPerWorker,
      valueLimits: ValueLimits(
        futureMicroseconds: configuration.futureLimit.wholeMilliseconds * 1_000,
        labelBytes: ServerLimits.labelBytesMax,
        documentBytes: ServerLimits.documentBytesMax
      ),
      knownTenants: [Caller.defaultTenantID]
    )
  }
}

extension Gateway {
  /// The nodes beside the primary: replicas by their place in the setting, and the warehouse.
  ///
  /// - Throws: `.invalidDSN`.
  static func nodes(_ configuration: Configuration) throws(GatewayError) -> [ReadNodeSettings] {
    var nodes: [ReadNodeSettings] = []
    for (index, text) in configuration.replicaDSNs.enumerated() {
      nodes.append(
        ReadNodeSettings(
          name: "replica-\(index + 1)",
          origin: .replica,
          dsn: try dsn(text, .replicaDSNs)
        )
      )
    }
    if let text = configuration.warehouseDSN {
      nodes.append(
        ReadNodeSettings(
          name: "warehouse",
          origin: .warehouse,
          dsn: try dsn(text, .warehouseDSN),
          feed: configuration.warehouseFeed
        )
      )
    }
    return nodes
  }
}

extension PartitionKeeper.Settings {
  init(_ configuration: Configuration) {
    self.init(
      partitionWidth: configuration.partitionWidth,
      partitionsAhead: configuration.partitionsAhead,
      retention: configuration.retention,
      futureLimit: configuration.futureLimit,
      hasCache: configuration.redis != nil
    )
  }
}
