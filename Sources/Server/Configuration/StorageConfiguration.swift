internal import EventLoop
internal import Storage

// What storage and its chores are told by the configuration.

extension StorageSettings {
  init(
    _ configuration: Configuration,
    primary: PostgresDSN,
    nodes: [ReadNodeSettings],
    cache: CacheSettings?
  ) {
    self.init(
      primary: primary,
      nodes: nodes,
      writers: configuration.writersPerWorker,
      readConnections: configuration.readConnectionsPerWorker,
      valueLimits: ValueLimits(
        futureMicroseconds: configuration.futureLimit.wholeMilliseconds * 1_000,
        labelBytes: ServerLimits.labelBytesMax,
        documentBytes: ServerLimits.documentBytesMax
      ),
      cache: cache
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
          dsn: try dsn(text, .warehouseDSN)
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
