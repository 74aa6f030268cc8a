// Every setting of the gateway, by the one name it has as flag, in the environment and in the file.

/// One setting: `--primary-dsn`, `SLUICE_PRIMARY_DSN` and `primary-dsn = …` are the same key.
public enum ConfigurationKey: String, CaseIterable, Sendable {
  case listen
  case insecureListen = "insecure-listen"
  case primaryDSN = "primary-dsn"
  case pooledDSN = "pooled-dsn"
  case replicaDSNs = "replica-dsns"
  case warehouseDSN = "warehouse-dsn"
  case warehouseFeed = "warehouse-feed"
  case redis
  case workers
  case writersPerWorker = "writers-per-worker"
  case readConnectionsPerWorker = "read-connections-per-worker"
  case connectionsMax = "connections-max"
  case ingestMemory = "ingest-memory"
  case drainGrace = "drain-grace"
  case scanRowsMax = "scan-rows-max"
  case futureLimit = "future-limit"
  case partitionWidth = "partition-width"
  case partitionsAhead = "partitions-ahead"
  case retention
  case logLevel = "log-level"

  /// Its name in the environment.
  public var environmentName: String {
    "SLUICE_" + rawValue.uppercased().map { $0 == "-" ? "_" : String($0) }.joined()
  }

  /// Whether its text may hold a password, which no message shows.
  public var isSecret: Bool {
    switch self {
    case .primaryDSN, .pooledDSN, .replicaDSNs, .warehouseDSN, .redis: true
    default: false
    }
  }

  /// What holds when nobody says anything; nil when it must be said or is off.
  public var defaultText: String? {
    switch self {
    case .listen: "127.0.0.1:7171"
    case .insecureListen: "false"
    case .primaryDSN, .pooledDSN, .replicaDSNs, .warehouseDSN, .redis, .retention, .workers: nil
    case .warehouseFeed: "subscription"
    case .writersPerWorker: "1"
    case .readConnectionsPerWorker: "8"
    case .connectionsMax: "20000"
    case .ingestMemory: "512MiB"
    case .drainGrace: "10s"
    case .scanRowsMax: "50000000"
    case .futureLimit: "1h"
    case .partitionWidth: "day"
    case .partitionsAhead: "3"
    case .logLevel: "info"
    }
  }

  /// One sentence for `--help` and for the commented file.
  public var help: String {
    switch self {
    case .listen: "Address and port to listen on; port 0 lets the system choose."
    case .insecureListen: "Listen on other addresses than loopback, without transport security."
    case .primaryDSN: "Connection string of the PostgreSQL primary, postgresql://… or key=value."
    case .pooledDSN:
      "Connection string of a transaction pooler before the primary, such as PgBouncer or RDS Proxy:"
        + " reads, upserts and names go through it, COPY goes directly."
    case .replicaDSNs: "Connection strings of streaming replicas, separated by commas."
    case .warehouseDSN: "Connection string of the warehouse."
    case .warehouseFeed:
      "What feeds it: subscription (PostgreSQL's logical replication, or a standby), ordered (another"
        + " feed, which you know to apply whole transactions in the order of their commits) or"
        + " unordered (answers say that their age is estimated)."
    case .redis:
      "Redis for the cache of entities, redis://…; the same for all gateways; default: no cache."
    case .workers: "Event loops, each with its thread; default: one per processor."
    case .writersPerWorker: "PostgreSQL connections for COPY on each worker, 1 to 16."
    case .readConnectionsPerWorker: "PostgreSQL connections for reads on each worker, 1 to 100."
    case .connectionsMax: "Client connections of the whole gateway, 1 to 1000000."
    case .ingestMemory: "Memory for values on their way to PostgreSQL, 16MiB to 1TiB."
    case .drainGrace: "How long a stop waits for accepted values to be written, 0s to 1h."
    case .scanRowsMax: "Rows that one read of history may scan unless it is told to go on."
    case .futureLimit: "How far in the future a value may be observed, 0s to 365d."
    case .partitionWidth: "Time that one partition holds: hour, day, week or month."
    case .partitionsAhead: "Partitions made before their time comes, 1 to 100."
    case .retention: "Drop partitions older than this, such as 90d; default: keep everything."
    case .logLevel: "trace, debug, info, notice, warning, error or critical."
    }
  }
}
