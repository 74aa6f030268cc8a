internal import ArgumentParser
internal import Server

// Every setting of the gateway as an option of `serve`.

/// One option for each `ConfigurationKey`; flags win over the environment, that over the file.
struct SettingOptions: ParsableArguments, Sendable {
  @Option(name: name(.listen), help: help(.listen, "host:port")) var listen: String?
  @Flag(name: name(.insecureListen), inversion: .prefixedNo, help: help(.insecureListen))
  var insecureListen: Bool?
  @Option(name: name(.primaryDSN), help: help(.primaryDSN, "dsn")) var primaryDSN: String?
  @Option(name: name(.pooledDSN), help: help(.pooledDSN, "dsn")) var pooledDSN: String?
  @Option(name: name(.replicaDSNs), help: help(.replicaDSNs, "dsn,…")) var replicaDSNs: String?
  @Option(name: name(.warehouseDSN), help: help(.warehouseDSN, "dsn")) var warehouseDSN: String?
  @Option(name: name(.warehouseFeed), help: help(.warehouseFeed, "feed"))
  var warehouseFeed: String?
  @Option(name: name(.redis), help: help(.redis, "url")) var redis: String?
  @Option(name: name(.workers), help: help(.workers, "n")) var workers: String?
  @Option(name: name(.writersPerWorker), help: help(.writersPerWorker, "n"))
  var writersPerWorker: String?
  @Option(name: name(.readConnectionsPerWorker), help: help(.readConnectionsPerWorker, "n"))
  var readConnectionsPerWorker: String?
  @Option(name: name(.connectionsMax), help: help(.connectionsMax, "n"))
  var connectionsMax: String?
  @Option(name: name(.ingestMemory), help: help(.ingestMemory, "size")) var ingestMemory: String?
  @Option(name: name(.drainGrace), help: help(.drainGrace, "duration")) var drainGrace: String?
  @Option(name: name(.scanRowsMax), help: help(.scanRowsMax, "n")) var scanRowsMax: String?
  @Option(name: name(.futureLimit), help: help(.futureLimit, "duration")) var futureLimit: String?
  @Option(name: name(.partitionWidth), help: help(.partitionWidth, "width"))
  var partitionWidth: String?
  @Option(name: name(.partitionsAhead), help: help(.partitionsAhead, "n"))
  var partitionsAhead: String?
  @Option(name: name(.retention), help: help(.retention, "duration")) var retention: String?
  @Option(name: name(.logLevel), help: help(.logLevel, "level")) var logLevel: String?

  /// What was said for a key; without a default, so that a new key cannot be forgotten.
  private subscript(_ key: ConfigurationKey) -> String? {
    switch key {
    case .listen: listen
    case .insecureListen: insecureListen.map { $0 ? "true" : "false" }
    case .primaryDSN: primaryDSN
    case .pooledDSN: pooledDSN
    case .replicaDSNs: replicaDSNs
    case .warehouseDSN: warehouseDSN
    case .warehouseFeed: warehouseFeed
    case .redis: redis
    case .workers: workers
    case .writersPerWorker: writersPerWorker
    case .readConnectionsPerWorker: readConnectionsPerWorker
    case .connectionsMax: connectionsMax
    case .ingestMemory: ingestMemory
    case .drainGrace: drainGrace
    case .scanRowsMax: scanRowsMax
    case .futureLimit: futureLimit
    case .partitionWidth: partitionWidth
    case .partitionsAhead: partitionsAhead
    case .retention: retention
    case .logLevel: logLevel
    }
  }

  /// The settings of flags, environment and file, merged.
  ///
  /// - Throws: which key does not exist, or why the file cannot be read.
  func merged(file: String?) throws -> [ConfigurationKey: String] {
    var settings = try SettingSources.settings(file: file)
    for key in ConfigurationKey.allCases {
      if let value = self[key] { settings[key] = value }
    }
    return settings
  }

  /// Where a setting was made, for the one who has to mend it; nil for a default.
  func origin(
    of key: ConfigurationKey,
    file: String?,
    environment: [String: String] = Environment.variables
  ) -> String? {
    if self[key] != nil { return "--\(key.rawValue)" }
    if environment[key.environmentName] != nil { return key.environmentName }
    return file
  }
}

/// The places that settings come from, besides flags.
enum SettingSources {
  /// The settings of the environment over those of a file.
  ///
  /// - Throws: which key does not exist, or why the file cannot be read.
  static func settings(file: String?) throws -> [ConfigurationKey: String] {
    let environment = try ConfigurationFile.settings(inEnvironment: Environment.variables)
    guard let file else { return environment }
    let settings = try ConfigurationFile.parse(try InputFile.text(of: file), name: file)
    return settings.merging(environment) { _, environment in environment }
  }
}

private func name(_ key: ConfigurationKey) -> NameSpecification { .customLong(key.rawValue) }

private func help(_ key: ConfigurationKey, _ valueName: String? = nil) -> ArgumentHelp {
  let standard = key.defaultText.map { key == .insecureListen ? "" : " (default: \($0))" } ?? ""
  return ArgumentHelp("\(key.help)\(standard)", valueName: valueName)
}
