internal import EventLoop
internal import Logging
internal import Storage
internal import Synchronization

// Starts the workers, does the chores of the whole gateway, and stops everything in order.

/// The actor of the main thread's loop.
actor Supervisor {
  nonisolated let loop: EventLoop
  /// Why the gateway did not serve; read when the loop has ended.
  nonisolated let failure = Mutex<GatewayError?>(nil)
  private var configuration: Configuration
  private let log: Logger
  private let threshold: LogThreshold
  private let reread: @Sendable () throws -> Configuration
  private let identity = GatewayIdentity()
  private let startedAt = MonotonicTime.now()
  private let announce: @Sendable (SocketAddress) -> Void
  private var workers: [Worker] = []
  private var threads: [LoopThread] = []
  private var signalSource: SignalSource?
  private var signals: SignalHandler?
  private var stage = Stage.starting
  private var keeper: PartitionKeeper?

  private enum Stage { case starting, serving, draining, stopped }

  nonisolated var unownedExecutor: UnownedSerialExecutor {
    unsafe loop.asUnownedSerialExecutor()
  }

  init(
    _ configuration: Configuration,
    log: Logger,
    threshold: LogThreshold,
    reread: @escaping @Sendable () throws -> Configuration,
    loop: EventLoop,
    signals: consuming SignalSource,
    announce: @escaping @Sendable (SocketAddress) -> Void
  ) {
    self.configuration = configuration
    self.log = log
    self.threshold = threshold
    self.reread = reread
    self.loop = loop
    self.announce = announce
    signalSource = consume signals
  }

  // MARK: Start

  /// Starts everything; when something is wrong nothing is left running.
  func start() async {
    do throws(GatewayError) {
      try watchSignals()
      let storage = try StorageSettings(configuration)
      let (keeper, cache) = try await prepare(storage)
      self.keeper = keeper
      var cached = storage
      cached.cache = cache
      try await startWorkers(cached)
      stage = .serving
      loop.spawn { await self.advise(storage.primary, storage.nodes) }
      await keepHouse(keeper, storage.primary)
    } catch {
      failure.withLock { $0 = error }
      await stop()
    }
  }

  private func watchSignals() throws(GatewayError) {
    guard let source = signalSource.take() else { return }
    do throws(SystemError) {
      signals = try SignalHandler(source, loop) { [weak self] signal in
        guard let self else { return }
        self.assumeIsolated { $0.received(signal) }
      }
    } catch {
      throw .system(error)
    }
  }

  /// Checks the database before the first client can connect.
  private func prepare(
    _ storage: StorageSettings
  ) async throws(GatewayError) -> (PartitionKeeper, CacheSettings?) {
    let keeper = PartitionKeeper(
      PartitionKeeper.Settings(configuration),
      gatewayID: identity.id.bytes,
      on: loop,
      log: { [log] in log.warning("\($0)") }
    )
    let connection: PostgresConnection
    do throws(PostgresError) {
      connection = try await PostgresConnection.connect(
        to: storage.primary,
        role: .direct("control"),
        on: loop,
        deadline: loop.now + .seconds(10)
      )
    } catch {
      throw .database(.primaryDSN, error)
    }
    defer { connection.close() }
    do throws(SchemaError) {
      try await SchemaMigrator(connection, deadline: loop.now + .seconds(30)).check()
    } catch {
      throw .schema(error)
    }
    if let pooled = storage.pooled { try await Gateway.check(pooled, leadsTo: connection, loop) }
    do throws(PostgresError) {
      let deadline = loop.now + .seconds(60)
      try await keeper.prepare(connection, deadline: deadline)
      guard let redis = configuration.redis else { return (keeper, nil) }
      return (keeper, try await CacheSettings(redis: redis, on: connection, deadline: deadline))
    } catch {
      throw .database(.primaryDSN, error)
    }
  }

  /// Says which settings of the servers should be otherwise.
  private func advise(_ primary: PostgresDSN, _ nodes: [ReadNodeSettings]) async {
    do throws(PostgresError) {
      for sentence in try await Gateway.advice(primary, nodes, loop) { log.warning("\(sentence)") }
    } catch {
      log.warning("not every server could be asked for its settings: \(error.operatorText)")
    }
  }

  private func startWorkers(
    _ storage: StorageSettings
  ) async throws(GatewayError) {
    var address = configuration.listen
    do throws(SystemError) {
      try Socket.checkFree(address)
    } catch {
      throw .listen(address, error)
    }
    for index in 0..<configuration.workers {
      do throws(SystemError) {
        let worker = try Worker(index: index, configuration: configuration, log: log)
        threads.append(try LoopThread(running: worker.loop, name: "sluice-\(index)"))
        workers.append(worker)
        let port = try await worker.start(
          gateway: identity,
          storage: storage,
          listen: address,
          controls: GatewayControls(
            status: { [weak self] in await self?.status() ?? GatewayStatus.stopped },
            setDrained: { [weak self] isDrained, node in
              await self?.setDrained(isDrained, node: node) ?? false
            }
          )
        )
        // With port 0 the first worker's socket has chosen: the others share it.
        address = SocketAddress(host: address.host, port: port)
      } catch {
        throw .listen(configuration.listen, error)
      }
    }
    for worker in workers { await worker.join(workers.filter { $0 !== worker }) }
    let count = workers.count == 1 ? "1 worker" : "\(workers.count) workers"
    log.notice("listening on \(address) with \(count)")
    announce(address)
  }

  // MARK: Chores

  /// Does the chores once a second until the gateway stops.
  private func keepHouse(_ keeper: PartitionKeeper, _ primary: PostgresDSN) async {
    var connection: PostgresConnection?
    var isComplaining = false
    while stage == .serving || stage == .draining {
      do throws(PostgresError) {
        let usable: PostgresConnection
        if let connection, connection.isUsable {
          usable = connection
        } else {
          usable = try await PostgresConnection.connect(
            to: primary,
            role: .direct("control"),
            on: loop,
            deadline: loop.now + .seconds(5)
          )
        }
        connection = usable
        try await keeper.tick(usable)
        if isComplaining { log.notice("the primary can be used again") }
        isComplaining = false
      } catch {
        if !isComplaining { log.error("the primary cannot be used: \(error.operatorText)") }
        isComplaining = true
      }
      await loop.sleep(for: .seconds(1))
    }
    connection?.close()
  }

  /// What the gateway is and has counted, all workers added up.
  func status() async -> GatewayStatus {
    var figures = Figures()
    var nodes: [NodeStatus] = []
    var trouble: String?
    for worker in workers {
      figures.add(await worker.figures())
      if let found = await worker.trouble { trouble = found }
      let seen = await worker.nodes()
      if nodes.isEmpty {
        nodes = seen
      } else {
        for (index, node) in seen.enumerated() { nodes[index].add(node) }
      }
    }
    figures.divide()
    return GatewayStatus(
      version: Gateway.version,
      state: stage == .serving ? "SERVING" : "DRAINING",
      uptime: loop.now - startedAt,
      figures: figures,
      nodes: nodes,
      trouble: trouble
    )
  }

  /// Takes a node out of every worker's reads, or back in.
  private func setDrained(_ isDrained: Bool, node: String) async -> Bool {
    var isKnown = false
    for worker in workers where await worker.setDrained(isDrained, node: node) { isKnown = true }
    return isKnown
  }

  // MARK: Stop

  private func received(_ signal: Signal) {
    switch signal {
    case .terminate, .interrupt:
      guard stage == .serving || stage == .starting else { return }
      log.notice("stopping: what was accepted is finished first")
      stage = .draining
      loop.spawn { await self.drain() }
    case .hangup:
      guard stage == .serving else { return }
      loop.spawn { await self.reload() }
    }
  }

  /// Reads the settings again and lets those take effect that can change while the gateway serves.
  private func reload() async {
    let new: Configuration
    do {
      new = try reread()
    } catch {
      log.error("the settings stay as they are: \(error)")
      return
    }
    let changes = configuration.changes(in: new)
    let taken = changes.filter(\.isReloadable)
    let left = changes.filter { !$0.isReloadable }.map(\.rawValue)
    for key in taken { configuration.take(key, from: new) }
    if let level = Logger.Level(rawValue: configuration.logLevel) { threshold.level = level }
    keeper?.settings = PartitionKeeper.Settings(configuration)
    for worker in workers { await worker.reload(configuration) }
    let names = taken.map(\.rawValue).joined(separator: ", ")
    log.notice("settings read again: \(taken.isEmpty ? "nothing" : names) changed")
    guard !left.isEmpty else { return }
    log.warning("these changed settings need a restart: \(left.joined(separator: ", "))")
  }

  /// Tells every client, waits until all is written, at most for the grace time, then stops.
  private func drain() async {
    // All ports first: a client that one worker has told is not taken in by the next one.
    for worker in workers { await worker.stopListening() }
    for worker in workers { await worker.beginDrain() }
    let deadline = loop.now + configuration.drainGrace
    while loop.now < deadline, await !isDrained() {
      await loop.sleep(for: .milliseconds(10))
    }
    if await !isDrained() {
      log.warning(
        "the grace time is over; values that are not acknowledged stay with their producers"
      )
    }
    await stop()
  }

  private func isDrained() async -> Bool {
    for worker in workers {
      guard await worker.isDrained else { return false }
    }
    return true
  }

  private func stop() async {
    stage = .stopped
    for worker in workers { await worker.shutDown() }
    for worker in workers { worker.loop.stop() }
    for thread in threads { thread.join() }
    signals?.close()
    loop.stop()
  }
}

/// Hands signals to the supervisor on its loop.
private final class SignalHandler: ReadinessHandler {
  private let source: SignalSource
  private let loop: EventLoop
  private let handle: (Signal) -> Void
  private var registration: Registration?

  init(
    _ source: consuming SignalSource,
    _ loop: EventLoop,
    _ handle: @escaping (Signal) -> Void
  ) throws(SystemError) {
    let number = source.number
    self.source = source
    self.loop = loop
    self.handle = handle
    registration = try loop.add(descriptor: number, interest: .readable, handler: self)
  }

  func ready(_ readiness: Readiness) {
    while let signal = source.next() { handle(signal) }
  }

  func close() {
    if let registration { loop.remove(registration) }
    registration = nil
  }
}
