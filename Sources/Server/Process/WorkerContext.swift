internal import EventLoop
internal import Logging
internal import Storage
internal import Wire

// What everything on one worker's loop shares.

/// The shared state of one worker; touched by its loop's thread only.
final class WorkerContext {
  let loop: EventLoop
  private(set) var configuration: Configuration
  let methods: MethodTable<Method>
  let storage: WorkerStorage
  let log: Logger
  /// The actor whose tasks run here; it lives as long as the process serves.
  unowned let worker: Worker

  /// Every connection reads into this one buffer: an idle connection owns none.
  let readBuffer = ReadBuffer(byteCount: ServerLimits.readBufferBytes)
  let arena = MessageArena()
  var figures = Figures()
  var connections: [ConnectionID: Connection] = [:]
  var budget: IngestBudget
  /// Long requests of unary calls that go on, also of those whose caller was answered or is gone.
  var requestBytes = 0
  /// Write sessions that are opening, open, or have batches in a lane.
  var sessions: [SessionID: WriteSession] = [:]
  /// What reaches every worker.
  let controls: GatewayControls
  private(set) var isDraining = false
  private var grants = GrantQueue()
  /// All workers, this one first, and whose turn it was last to get a connection.
  private var hosts: [Worker] = []
  private var lastHost = -1
  private var connectionCount: UInt64 = 0
  private var sessionCount: UInt64 = 0

  init(
    worker: Worker,
    loop: EventLoop,
    configuration: Configuration,
    storage: WorkerStorage,
    log: Logger,
    controls: GatewayControls
  ) {
    self.controls = controls
    self.worker = worker
    self.loop = loop
    self.configuration = configuration
    self.storage = storage
    self.log = log
    methods = Method.table
    budget = IngestBudget(memoryBytes: configuration.ingestBytesMax / configuration.workers)
  }

  /// Takes over the settings that can change: connections and grants beyond a lower limit end by
  /// themselves, and are not followed by others.
  func reload(_ configuration: Configuration) {
    self.configuration = configuration
    budget.resize(memoryBytes: configuration.ingestBytesMax / configuration.workers)
    feed()
  }

  var connectionsMax: Int { max(1, configuration.connectionsMax / configuration.workers) }

  // MARK: Connections

  /// Gets to know the other workers, which have connections in turn.
  func join(_ others: [Worker]) { hosts = [worker] + others }

  /// Lets go of the others, who hold this one, too.
  func leave() { hosts = [] }

  /// Who is to have the next connection that is accepted here; nil for this worker.
  func nextHost() -> Worker? {
    guard hosts.count > 1 else { return nil }
    lastHost = (lastHost + 1) % hosts.count
    return lastHost == 0 ? nil : hosts[lastHost]
  }

  /// Begins to serve an accepted connection, if there is room.
  ///
  /// - Throws: `SystemError` when the loop cannot watch the socket, which is then closed.
  func host(_ socket: consuming Socket) throws(SystemError) {
    // Closed at once: the client sees the end of its stream and tries another gateway.
    guard connections.count < connectionsMax, !isDraining else {
      figures[.connectionsRefused] += 1
      return
    }
    try Connection.start(socket, self)
    figures[.connectionsAccepted] += 1
  }

  func nextConnectionID() -> ConnectionID {
    connectionCount += 1
    return ConnectionID(number: connectionCount)
  }

  func nextSessionID() -> SessionID {
    sessionCount += 1
    return SessionID(number: sessionCount)
  }

  /// The wall clock, for judging observed times: microseconds since 1970.
  var wallClockMicroseconds: Int64 { WallClock.nowUnixMicroseconds() }

  // MARK: Grants

  /// A session may have a use for more, or has given something back.
  func feed(_ session: WriteSession, _ tenant: Int32) {
    if session.isStarving { grants.append(session.id, tenant: tenant, now: loop.now) }
    feed()
  }

  /// Grants what is left to those who wait, in their turn.
  ///
  /// Whoever has a batch at hand for which there is not enough keeps its turn, and the others wait
  /// with it: small batches must not overtake a large one for ever.
  func feed() {
    while let turn = grants.popFirst() {
      guard let session = sessions[turn.session], !session.extendGrant() else { continue }
      return grants.putBack(turn)
    }
  }

  /// Takes grants back from sessions that do not use them, when others have been waiting for long.
  func reclaimGrants(_ now: MonotonicTime) {
    guard let oldest = grants.oldest, now - oldest > ServerLimits.grantWaitMax,
      budget.unusedBytes > budget.limitBytes / 4
    else { return }
    for session in Array(sessions.values) { session.reclaimGrant(now) }
  }

  /// Who is calling: the seam for tokens and tenants, until which everybody is the default tenant.
  func authenticate(_ envelope: RequestEnvelope, _ body: RawSpan) -> Caller {
    Caller(tenantID: Caller.defaultTenantID)
  }

  func makeStreamHandler(_ method: Method, _ stream: ServerStream) -> any StreamHandler {
    switch method {
    case .healthWatch: HealthWatch(stream, self)
    default: WriteSession(stream, self)
    }
  }

  func beginDrain() {
    isDraining = true
    for connection in Array(connections.values) { connection.drain() }
  }
}

/// Who makes a call.
struct Caller: Sendable {
  static let defaultTenantID: Int32 = 1
  let tenantID: Int32
}
