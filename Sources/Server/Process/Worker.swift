internal import EventLoop
internal import Logging
internal import Storage
internal import Wire

// One actor per core: a loop, its connections, and the tasks that serve them.

/// The isolation of everything that lives on one loop.
actor Worker {
  nonisolated let loop: EventLoop
  nonisolated let index: Int
  private var configuration: Configuration
  private let log: Logger
  private var context: WorkerContext?
  private var listener: Listener?
  private var thread: LoopThread?

  nonisolated var unownedExecutor: UnownedSerialExecutor {
    unsafe loop.asUnownedSerialExecutor()
  }

  /// A worker whose loop does not run yet.
  ///
  /// - Throws: `SystemError` when the system gives no epoll instance.
  init(index: Int, configuration: Configuration, log: Logger) throws(SystemError) {
    loop = try EventLoop()
    self.index = index
    self.configuration = configuration
    self.log = log
  }

  /// Starts a task of this actor that stays on its loop.
  @discardableResult
  nonisolated func spawn(
    _ body: @escaping @Sendable (isolated Worker) async -> Void
  ) -> LoopTask {
    loop.spawn { await body(self) }
  }

  // MARK: Life

  /// Makes the worker's storage and begins to accept connections.
  ///
  /// - Returns: the port it listens on.
  /// - Throws: `SystemError` when the address cannot be listened on; `PostgresError` never: storage
  ///   connects when it is needed, and tries until it can.
  func start(
    gateway: GatewayIdentity,
    storage settings: StorageSettings,
    listen address: SocketAddress,
    controls: GatewayControls
  ) throws(SystemError) -> UInt16 {
    let storage = WorkerStorage(
      loop: loop,
      gateway: gateway,
      workerIndex: index,
      settings: settings,
      log: { [log, index] in log.warning("worker \(index): \($0)") },
      start: { [weak self] task in self?.spawn { worker in await worker.runStorage(task) } }
    )
    let context = WorkerContext(
      worker: self,
      loop: loop,
      configuration: configuration,
      storage: storage,
      log: log,
      controls: controls
    )
    self.context = context
    storage.stagingIncarnationChanged = { [unowned context] incarnation in
      for session in context.sessions.values { session.observe(incarnation: incarnation) }
    }
    for role in storage.tasks { spawn { worker in await worker.runStorage(role) } }
    let socket = try Socket.listen(on: address)
    let port = try socket.localPort()
    listener = try Listener(socket, context)
    scheduleJanitor()
    return port
  }

  /// Gets to know the other workers, which have connections in turn.
  func join(_ others: [Worker]) { context?.join(others) }

  /// Serves a connection that another worker has accepted.
  ///
  /// - Parameter descriptor: of the socket, which the other one has released.
  nonisolated func host(_ descriptor: CInt) {
    spawn { worker in worker.takeOver(descriptor) }
  }

  private func takeOver(_ descriptor: CInt) {
    let socket = Socket(released: descriptor)
    guard let context else { return }
    do throws(SystemError) {
      try context.host(socket)
    } catch {
      context.figures[.connectionsRefused] += 1
      log.warning("cannot serve a connection: \(error)")
    }
  }

  /// Takes over the settings that can change while it serves.
  func reload(_ configuration: Configuration) {
    self.configuration = configuration
    context?.reload(configuration)
  }

  /// Stops accepting; what it has accepted before is with its worker already, or on the way there.
  func stopListening() {
    listener?.close()
    listener = nil
  }

  /// Tells every client; what was accepted is finished.
  func beginDrain() { context?.beginDrain() }

  /// Whether every connection is closed and every accepted value written.
  var isDrained: Bool {
    guard let context else { return true }
    return context.connections.isEmpty && context.storage.isIdle
  }

  /// Closes what is left and the connections to PostgreSQL.
  func shutDown() async {
    guard let context else { return }
    context.leave()
    for connection in Array(context.connections.values) { connection.close() }
    await context.storage.shutDown()
  }

  /// What this worker's lanes cannot do at the moment; nil while all goes well.
  var trouble: String? { context?.storage.laneStatistics.trouble }

  /// What this worker has counted, with its gauges as they are now.
  func figures() -> Figures {
    guard let context else { return Figures() }
    var figures = context.figures
    figures[.grantedBytes] = Int64(context.budget.usedBytes)
    let lanes = context.storage.laneStatistics
    figures[.groupsCommitted] = lanes.groupsCommitted
    figures[.groupsStaged] = lanes.groupsStaged
    figures[.groupsRetried] = lanes.groupsRetried
    figures[.hotFolded] = lanes.hotFolded
    figures[.stagingLost] = lanes.stagingLost
    figures[.waitingBytes] = lanes.waitingBytes
    figures[.flushLag] = lanes.waitingSince.map { (loop.now - $0).wholeMilliseconds } ?? 0
    figures[.catalogEntities] = Int64(context.storage.catalog.entityCount)
    figures[.catalogAttributes] = Int64(context.storage.catalog.attributeCount)
    let pool = context.storage.pool.statistics
    figures[.readConnections] = Int64(pool.open)
    figures[.readsWaiting] = Int64(pool.waiting)
    let upserts = context.storage.upserts.statistics
    figures[.upserts] = upserts.upserts
    figures[.upsertGroups] = upserts.groups
    figures[.upsertsRefused] = upserts.refused
    figures[.pointReads] = context.storage.entities.pointReadCount
    figures[.pointReadQueries] = context.storage.entities.pointQueryCount
    figures.add(context.storage.cacheStatistics)
    let router = context.storage.router.statistics
    figures[.readFallbacks] = Int64(clamping: router.fallbacks)
    figures[.readsOverBudget] = Int64(clamping: router.budgetRefusals)
    figures[.readsUnprovable] = Int64(clamping: router.silenceRefusals)
    figures[.readsDegraded] = Int64(clamping: router.degraded)
    figures[.readWaits] = Int64(clamping: router.waits)
    return figures
  }

  /// The primary, the nodes beside it and the cache, as this worker sees them.
  func nodes() -> [NodeStatus] { context?.storage.nodes ?? [] }

  /// Takes a node out of this worker's reads, or back in; false when there is none of that name.
  func setDrained(_ isDrained: Bool, node: String) -> Bool {
    context?.storage.setDrained(isDrained, node: node) ?? false
  }

  // MARK: Work

  /// Runs a unary call in a task of its own; cancelling it ends what it does in the database.
  nonisolated func run(
    _ request: UnaryRequest,
    _ token: StreamToken
  ) -> LoopTask {
    spawn { worker in await worker.answer(request, token) }
  }

  private func answer(
    _ request: UnaryRequest,
    _ token: StreamToken
  ) async {
    guard let context else { return }
    let call = Call(context: context, request: request)
    do throws(Status) {
      // Rule 9: looked at again when the work is taken up.
      guard loop.now < request.deadline else { throw .deadlineExceeded }
      call.respond(token, try await Dispatch.answer(call))
    } catch {
      call.respond(token, error)
    }
  }

  private func runStorage(_ task: StorageTask) async {
    await context?.storage.run(task)
  }

  /// Lets a write session do what needs waiting.
  nonisolated func run(_ step: SessionStep, of session: SessionID) {
    spawn { worker in await worker.advance(session, step) }
  }

  private func advance(_ id: SessionID, _ step: SessionStep) async {
    await context?.sessions[id]?.advance(step)
  }

  private func scheduleJanitor() {
    let next = loop.now + .seconds(ServerLimits.janitorSeconds)
    _ = loop.schedule(at: next) { [weak self] in
      guard let self else { return }
      self.assumeIsolated { $0.tidy() }
    }
  }

  private func tidy() {
    guard let context else { return }
    for connection in Array(context.connections.values) { connection.checkAge(loop.now) }
    context.reclaimGrants(loop.now)
    scheduleJanitor()
  }
}
