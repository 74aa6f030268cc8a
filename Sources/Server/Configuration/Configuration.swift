public import EventLoop
public import Storage

// What a gateway is told before it starts, checked.

/// All settings of one gateway, valid by construction.
public struct Configuration: Sendable {
  /// Where clients connect.
  public var listen: SocketAddress
  /// The truth: every write goes there.
  public var primaryDSN: String
  /// A transaction pooler before it, for what keeps no session state; nil: none.
  public var pooledDSN: String?
  /// Streaming replicas.
  public var replicaDSNs: [String]
  /// The warehouse, if there is one.
  public var warehouseDSN: String?
  /// What feeds it.
  public var warehouseFeed: WarehouseFeed
  /// The cache, if there is one.
  public var redis: RedisSettings?
  /// Event loops, each on a thread of its own.
  public var workers: Int
  /// Connections for COPY on each worker.
  public var writersPerWorker: Int
  /// Connections for reads on each worker.
  public var readConnectionsPerWorker: Int
  /// Client connections of the whole gateway.
  public var connectionsMax: Int
  /// Bytes for values on their way to PostgreSQL, all workers together.
  public var ingestBytesMax: Int
  /// How long a stop waits for accepted values to be written.
  public var drainGrace: Duration
  /// Rows that one read of history may scan unless it is told to go on.
  public var scanRowsMax: Int64
  /// How far in the future a value may be observed.
  public var futureLimit: Duration
  /// hour, day, week or month.
  public var partitionWidth: String
  /// Partitions made before their time comes.
  public var partitionsAhead: Int
  /// Age at which partitions are dropped; nil keeps everything.
  public var retention: Duration?
  /// Least severe messages that are logged.
  public var logLevel: String

  /// Checks settings and fills in the defaults.
  ///
  /// - Parameters:
  ///   - settings: what flags, environment and file said, already merged.
  ///   - processorCount: how many workers there are when nobody says.
  /// - Throws: `ConfigurationError` for the first setting that is missing or does not fit.
  public init(
    _ settings: [ConfigurationKey: String],
    processorCount: Int
  ) throws(ConfigurationError) {
    let reader = SettingReader(settings: settings)
    listen = try reader.required(.listen, "host:port") { SocketAddress($0) }
    let insecure = try reader.required(.insecureListen, "true or false") { Bool($0) }
    guard listen.isLoopback || insecure else { throw .notLoopback(listen.description) }
    guard settings[.primaryDSN] != "" else { throw .missing(.primaryDSN) }
    primaryDSN = try reader.required(.primaryDSN, "a connection string") { $0 }
    pooledDSN = try reader.optional(.pooledDSN, "a connection string") { $0 }
    replicaDSNs =
      try reader.optional(.replicaDSNs, "connection strings separated by commas") { text in
        text.split(separator: ",").map(String.init)
      } ?? []
    warehouseDSN = try reader.optional(.warehouseDSN, "a connection string") { $0 }
    warehouseFeed = try reader.required(.warehouseFeed, "subscription, ordered or unordered") {
      WarehouseFeed(rawValue: $0)
    }
    redis = try reader.optional(.redis, RedisSettings.form) { RedisSettings($0) }
    workers = try reader.optional(.workers, "1 to 256") { integer($0, 1...256) } ?? processorCount
    writersPerWorker = try reader.required(.writersPerWorker, "1 to 16") { integer($0, 1...16) }
    readConnectionsPerWorker = try reader.required(.readConnectionsPerWorker, "1 to 100") {
      integer($0, 1...100)
    }
    connectionsMax = try reader.required(.connectionsMax, "1 to 1000000") {
      integer($0, 1...1_000_000)
    }
    ingestBytesMax = try reader.required(.ingestMemory, "a size such as 512MiB, 16MiB to 1TiB") {
      bytes($0, (16 << 20)...(1 << 40))
    }
    drainGrace = try reader.required(.drainGrace, "a time such as 10s, at most 1h") {
      duration($0, atMost: .seconds(3_600))
    }
    scanRowsMax = try reader.required(.scanRowsMax, "1 to 1000000000000") {
      integer($0, 1...1_000_000_000_000).map { Int64($0) }
    }
    futureLimit = try reader.required(.futureLimit, "a time such as 1h, at most 365d") {
      duration($0, atMost: .seconds(365 * 86_400))
    }
    partitionWidth = try reader.required(.partitionWidth, "hour, day, week or month") {
      ["hour", "day", "week", "month"].contains($0) ? $0 : nil
    }
    partitionsAhead = try reader.required(.partitionsAhead, "1 to 100") { integer($0, 1...100) }
    retention = try reader.optional(.retention, "a time such as 90d, at least 1h") {
      duration($0, atMost: .seconds(100 * 366 * 86_400)).flatMap {
        $0 >= .seconds(3_600) ? $0 : nil
      }
    }
    logLevel = try reader.required(
      .logLevel,
      "trace, debug, info, notice, warning, error or critical"
    ) {
      ["trace", "debug", "info", "notice", "warning", "error", "critical"].contains($0) ? $0 : nil
    }
  }
}

/// Takes settings out one by one and says which one does not fit.
private struct SettingReader {
  let settings: [ConfigurationKey: String]

  func required<Value>(
    _ key: ConfigurationKey,
    _ expected: String,
    _ parse: (String) -> Value?
  ) throws(ConfigurationError) -> Value {
    guard let text = settings[key] ?? key.defaultText else { throw .missing(key) }
    guard let value = parse(text) else { throw .invalid(key, value: text, expected: expected) }
    return value
  }

  func optional<Value>(
    _ key: ConfigurationKey,
    _ expected: String,
    _ parse: (String) -> Value?
  ) throws(ConfigurationError) -> Value? {
    guard let text = settings[key], !text.isEmpty else { return nil }
    guard let value = parse(text) else { throw .invalid(key, value: text, expected: expected) }
    return value
  }
}

private func integer(_ text: String, _ range: ClosedRange<Int>) -> Int? {
  Int(text).flatMap { range.contains($0) ? $0 : nil }
}

/// A number and a unit out of `units`, the longest matching one first.
private func scaled(_ text: String, _ units: KeyValuePairs<String, Int64>) -> Int64? {
  for (unit, factor) in units where text.hasSuffix(unit) {
    guard let count = Int64(text.dropLast(unit.count)), count >= 0 else { return nil }
    let (product, overflow) = count.multipliedReportingOverflow(by: factor)
    return overflow ? nil : product
  }
  return nil
}

private func bytes(_ text: String, _ range: ClosedRange<Int>) -> Int? {
  scaled(text, ["TiB": 1 << 40, "GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "B": 1])
    .map { Int($0) }.flatMap { range.contains($0) ? $0 : nil }
}

private func duration(_ text: String, atMost limit: Duration) -> Duration? {
  scaled(text, ["ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000])
    .map { .milliseconds($0) }.flatMap { $0 <= limit ? $0 : nil }
}
