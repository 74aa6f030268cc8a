public import EventLoop
public import Logging
internal import Storage
internal import Synchronization

// The whole gateway as its command sees it: run, or only check or migrate.

/// What happens to one migration.
public enum MigrationProgress: Sendable {
  /// It is about to be applied.
  case applying(version: Int, name: String)
  /// It was applied.
  case applied(version: Int, name: String, took: Duration)

  init?(_ progress: SchemaMigrator.Progress) {
    switch progress {
    case .applying(let version, let name): self = .applying(version: version, name: name)
    case .applied(let version, let name, let took):
      self = .applied(version: version, name: name, took: took)
    case .skipped: return nil
    }
  }
}

/// A Sluice gateway.
public enum Gateway {
  /// The version of this software.
  public static let version = "0.1.0"

  /// Serves until SIGTERM or SIGINT has been obeyed; blocks the calling thread, which must be the
  /// first.
  ///
  /// - Parameters:
  ///   - configuration: what to serve.
  ///   - log: takes what operators should know.
  ///   - threshold: of the log.
  ///   - reread: reads all settings again, when a hangup signal asks for it; its error's text goes
  ///     to the log.
  ///   - announce: called once, with the address that clients can connect to.
  /// - Throws: `GatewayError` when it cannot start; nothing is left running then.
  public static func run(
    _ configuration: Configuration,
    log: Logger,
    threshold: LogThreshold,
    reread: @escaping @Sendable () throws -> Configuration,
    announce: @escaping @Sendable (SocketAddress) -> Void
  ) throws(GatewayError) {
    let supervisor: Supervisor
    do throws(SystemError) {
      // Before any thread: threads inherit the signal mask.
      let signals = try SignalSource([.terminate, .interrupt, .hangup])
      let loop = try EventLoop()
      supervisor = Supervisor(
        configuration,
        log: log,
        threshold: threshold,
        reread: reread,
        loop: loop,
        signals: signals,
        announce: announce
      )
      loop.spawn { await supervisor.start() }
      loop.run()
    } catch {
      throw .system(error)
    }
    if let failure = supervisor.failure.withLock({ $0 }) { throw failure }
  }

  /// Applies the migrations that the database lacks.
  ///
  /// - Parameters:
  ///   - dsn: connection string of the primary, of a user who may create a schema.
  ///   - progress: told before and after each migration.
  /// - Returns: how many were applied.
  /// - Throws: `GatewayError`; what was applied before an error stays applied.
  public static func migrate(
    _ dsn: String,
    progress: @escaping @Sendable (MigrationProgress) -> Void
  ) throws(GatewayError) -> Int {
    let parsed = try Gateway.dsn(dsn, .primaryDSN)
    return try onLoop { loop in
      do throws(GatewayError) {
        let connection = try await connect(parsed, .primaryDSN, loop)
        defer { connection.close() }
        let migrator = SchemaMigrator(connection, deadline: loop.now + .seconds(600))
        do throws(SchemaError) {
          return .success(
            try await migrator.migrate { step in
              if let step = MigrationProgress(step) { progress(step) }
            }
          )
        } catch {
          throw .schema(error)
        }
      } catch {
        return .failure(error)
      }
    }
  }

  /// Connects to everything the configuration names, without serving.
  ///
  /// - Returns: a line for each server.
  /// - Throws: `GatewayError` for the first that cannot be used.
  public static func check(_ configuration: Configuration) throws(GatewayError) -> [String] {
    let storage = try StorageSettings(configuration)
    return try onLoop { loop in
      do throws(GatewayError) {
        var lines: [String] = []
        let connection = try await connect(storage.primary, .primaryDSN, loop)
        defer { connection.close() }
        do throws(SchemaError) {
          try await SchemaMigrator(connection, deadline: loop.now + .seconds(30)).check()
        } catch {
          throw .schema(error)
        }
        lines.append(
          "primary-dsn: PostgreSQL \(connection.serverVersion / 10_000), schema is current"
        )
        if let pooled = storage.pooled {
          try await check(pooled, leadsTo: connection, loop)
          lines.append("pooled-dsn: leads to the same database")
        }
        for node in storage.nodes {
          let key = node.origin == .warehouse ? ConfigurationKey.warehouseDSN : .replicaDSNs
          let connection = try await connect(node.dsn, key, loop)
          let version = connection.serverVersion / 10_000
          connection.close()
          lines.append("\(key.rawValue): \(node.name), PostgreSQL \(version), answers")
        }
        if let redis = configuration.redis {
          do throws(RedisTrouble) {
            let version = try await RedisProbe.version(of: redis, on: loop)
            lines.append("redis: Redis \(version) at \(redis), answers")
          } catch {
            throw .cache(error)
          }
        }
        do throws(PostgresError) {
          for sentence in try await advice(storage.primary, storage.nodes, loop) {
            lines.append("warning: \(sentence)")
          }
        } catch {
          throw .database(.primaryDSN, error)
        }
        return .success(lines)
      } catch {
        return .failure(error)
      }
    }
  }

  /// Makes sure that a pooler and the primary's own address lead to one database.
  ///
  /// - Throws: `.database(.pooledDSN, …)`, `.otherDatabase`.
  static func check(
    _ pooled: PostgresDSN,
    leadsTo primary: PostgresConnection,
    _ loop: EventLoop
  ) async throws(GatewayError) {
    let connection = try await connect(pooled, .pooledDSN, loop, role: .pooled("control"))
    defer { connection.close() }
    let statement = PostgresStatement(
      "SELECT value FROM sluice.settings WHERE name = 'database_id' AND NOT pg_is_in_recovery()"
    )
    do throws(PostgresError) {
      let deadline = loop.now + .seconds(10)
      let here = try await primary.query(statement, deadline: deadline)
      let there = try await connection.query(statement, deadline: deadline)
      guard here.rowCount == 1, there.rowCount == 1 else { throw .protocolViolation("a standby") }
      guard here.text(row: 0, column: 0) != there.text(row: 0, column: 0) else { return }
    } catch {
      throw .database(.pooledDSN, error)
    }
    throw .otherDatabase(.pooledDSN)
  }

  /// What should be set otherwise on the servers, a sentence each.
  ///
  /// - Throws: when one of them cannot be asked.
  static func advice(
    _ primary: PostgresDSN,
    _ nodes: [ReadNodeSettings],
    _ loop: EventLoop
  ) async throws(PostgresError) -> [String] {
    let primary = ReadNodeSettings(name: "primary", origin: .primary, dsn: primary)
    var sentences: [String] = []
    for node in [primary] + nodes {
      let connection = try await PostgresConnection.connect(
        to: node.dsn,
        role: .direct("control"),
        on: loop,
        deadline: loop.now + .seconds(10)
      )
      defer { connection.close() }
      sentences += try await SettingsAdvice.sentences(
        for: node.name,
        node.origin,
        hasReplicas: nodes.contains { $0.origin == .replica },
        on: connection,
        deadline: loop.now + .seconds(10)
      )
    }
    return sentences
  }

  /// Reads a connection string.
  static func dsn(_ text: String, _ key: ConfigurationKey) throws(GatewayError) -> PostgresDSN {
    do throws(PostgresError) {
      return try PostgresDSN(text)
    } catch {
      throw .invalidDSN(key, error)
    }
  }

  /// Connects for one command of an operator.
  static func connect(
    _ dsn: PostgresDSN,
    _ key: ConfigurationKey,
    _ loop: EventLoop,
    role: PostgresRole = .direct("control")
  ) async throws(GatewayError) -> PostgresConnection {
    do throws(PostgresError) {
      return try await PostgresConnection.connect(
        to: dsn,
        role: role,
        on: loop,
        deadline: loop.now + .seconds(10)
      )
    } catch {
      throw .database(key, error)
    }
  }

  /// Runs a command on a loop of its own.
  static func onLoop<Value: Sendable>(
    _ body: @escaping @Sendable (EventLoop) async -> Result<Value, GatewayError>
  ) throws(GatewayError) -> Value {
    let result: Result<Value, GatewayError>
    do throws(SystemError) {
      result = try EventLoop.runBlocking(body)
    } catch {
      throw .system(error)
    }
    return try result.get()
  }
}
