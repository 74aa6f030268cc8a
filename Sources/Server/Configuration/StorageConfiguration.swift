internal import EventLoop
internal import Storage

// What storage and its chores are told by the configuration.

extension StorageSettings {
  init(_ configuration: Configuration, primary: PostgresDSN) {
    self.init(
      primary: primary,
      writers: configuration.writersPerWorker,
      readConnections: configuration.readConnectionsPerWorker,
      valueLimits: ValueLimits(
        futureMicroseconds: configuration.futureLimit.wholeMilliseconds * 1_000,
        labelBytes: ServerLimits.labelBytesMax,
        documentBytes: ServerLimits.documentBytesMax
      )
    )
  }
}

extension PartitionKeeper.Settings {
  init(_ configuration: Configuration) {
    self.init(
      partitionWidth: configuration.partitionWidth,
      partitionsAhead: configuration.partitionsAhead,
      retention: configuration.retention,
      futureLimit: configuration.futureLimit
    )
  }
}
