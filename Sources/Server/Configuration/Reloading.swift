// Which settings can change while a gateway serves.

extension ConfigurationKey {
  /// Whether a hangup signal lets a changed value take effect; all others need a restart.
  public var isReloadable: Bool {
    switch self {
    case .connectionsMax, .ingestMemory, .drainGrace, .scanRowsMax, .partitionWidth,
      .partitionsAhead, .retention, .logLevel:
      true
    // Readers of every gateway must know a limit before the first value beyond the old one.
    case .futureLimit: false
    case .listen, .insecureListen, .primaryDSN, .pooledDSN, .replicaDSNs, .warehouseDSN,
      .warehouseFeed, .redis, .workers, .writersPerWorker, .readConnectionsPerWorker:
      false
    }
  }
}

extension Configuration {
  /// The settings that another configuration says otherwise.
  func changes(in other: Configuration) -> [ConfigurationKey] {
    ConfigurationKey.allCases.filter { !says($0, as: other) }
  }

  /// Takes a setting over; one that is not reloadable is left as it is.
  mutating func take(_ key: ConfigurationKey, from other: Configuration) {
    switch key {
    case .connectionsMax: connectionsMax = other.connectionsMax
    case .ingestMemory: ingestBytesMax = other.ingestBytesMax
    case .drainGrace: drainGrace = other.drainGrace
    case .scanRowsMax: scanRowsMax = other.scanRowsMax
    case .partitionWidth: partitionWidth = other.partitionWidth
    case .partitionsAhead: partitionsAhead = other.partitionsAhead
    case .retention: retention = other.retention
    case .logLevel: logLevel = other.logLevel
    case .futureLimit, .listen, .insecureListen, .primaryDSN, .pooledDSN, .replicaDSNs,
      .warehouseDSN, .warehouseFeed, .redis, .workers, .writersPerWorker, .readConnectionsPerWorker:
      break
    }
  }

  private func says(_ key: ConfigurationKey, as other: Configuration) -> Bool {
    switch key {
    case .listen: listen == other.listen
    // Only asked when the address is listened on.
    case .insecureListen: true
    case .primaryDSN: primaryDSN == other.primaryDSN
    case .pooledDSN: pooledDSN == other.pooledDSN
    case .replicaDSNs: replicaDSNs == other.replicaDSNs
    case .warehouseDSN: warehouseDSN == other.warehouseDSN
    case .warehouseFeed: warehouseFeed == other.warehouseFeed
    case .redis: redis == other.redis
    case .workers: workers == other.workers
    case .writersPerWorker: writersPerWorker == other.writersPerWorker
    case .readConnectionsPerWorker: readConnectionsPerWorker == other.readConnectionsPerWorker
    case .connectionsMax: connectionsMax == other.connectionsMax
    case .ingestMemory: ingestBytesMax == other.ingestBytesMax
    case .drainGrace: drainGrace == other.drainGrace
    case .scanRowsMax: scanRowsMax == other.scanRowsMax
    case .futureLimit: futureLimit == other.futureLimit
    case .partitionWidth: partitionWidth == other.partitionWidth
    case .partitionsAhead: partitionsAhead == other.partitionsAhead
    case .retention: retention == other.retention
    case .logLevel: logLevel == other.logLevel
    }
  }
}
