internal import EventLoop
internal import Wire

// Keeps one write session going: connects, opens, sends what is granted, takes acks, connects
// again.

/// How often and how patiently a producer connects.
enum ProducerTiming {
  /// First pause before connecting again; doubles up to the longest.
  static let backoffMin = Duration.milliseconds(50)
  static let backoffMax = Duration.seconds(2)
  /// Longest pause that a gateway can ask for.
  static let retryMax = Duration.seconds(30)
  static let connectMax = Duration.seconds(5)
  static let openMax = Duration.seconds(30)
}

/// The session of one producer, confined to the client's loop.
final class ProducerSession: ClientStreamHandler {
  private(set) var window: ProducerWindow
  private(set) var counts = Counts()
  private(set) var maxBatchBytes = 0
  private(set) var maxBatchValues = 0
  private(set) var epoch: UInt64 = 0
  private(set) var lastToken: [UInt8] = []
  private(set) var failure: ClientError?
  /// Times the session was opened again after it had been open.
  private(set) var reopenings = 0
  var rejects: [Reject] = []
  /// What the gateway said that a failover of its database has lost.
  private(set) var lostRanges: [ClosedRange<UInt64>] = []

  private let loop: EventLoop
  private let addresses: [SocketAddress]
  private let options: ProducerOptions
  private var state = State.idle
  private var countsBefore = Counts()
  private var addressIndex = 0
  private var link: LinkMonitor
  /// Names the database that all positions are of; empty until it is known.
  private var databaseID: [UInt8] = []
  /// When the gateway wants to be asked again.
  private var retryAt: MonotonicTime
  private var pingNonce: UInt64 = 0
  private var wantedAsked = 0
  private var linkTimer: TimerID?
  private var isEnding = false
  /// The gateway of the present session is about to stop and takes nothing more.
  private var isDraining = false
  /// Why the gateway refused or ended the last session, if it said so and trying again is right.
  private var lastRefusal: ClientError?
  private var waiters = ProducerWaiters()
  private var isSyncScheduled = false

  private enum State {
    case idle
    case opening(GatewayConnection, stream: ClientStreamID)
    case open(GatewayConnection, stream: ClientStreamID)
    case closed
  }

  init(loop: EventLoop, addresses: [SocketAddress], options: ProducerOptions) {
    self.loop = loop
    self.addresses = addresses
    self.options = options
    window = ProducerWindow(bytesMax: options.windowBytesMax)
    link = LinkMonitor(now: loop.now)
    retryAt = loop.now
    guard let spool = options.spool else { return }
    databaseID = spool.databaseID
    spool.rewind()
    window.numbered(upTo: spool.produced)
    refill()
  }

  // MARK: For the producer

  var isClosed: Bool {
    if case .closed = state { true } else { false }
  }

  /// Adds a batch, for which there must be room, and sends it as soon as it may be sent.
  func append(columns: [UInt8], count: UInt32) -> ClosedRange<UInt64> {
    let checksum = crc32c(columns.rawSpan)
    let batch = window.append(columns: columns, count: count, checksum: checksum)
    pump()
    return batch.first...batch.last
  }

  var isSpooled: Bool { options.spool != nil }

  /// Writes a batch to the spool, and sends it when everything before it has been sent.
  ///
  /// - Throws: `ClientError`: the session has failed or is closed, the spool is full, or the batch
  ///   is larger than the gateway takes, as far as that is known.
  func spool(columns: [UInt8], count: UInt32) throws(ClientError) -> ClosedRange<UInt64> {
    guard let spool = options.spool else { preconditionFailure("asked by `isSpooled`") }
    if let failure { throw failure }
    // What no gateway takes would stay in the spool for ever.
    let limit = maxBatchBytes > 0 ? maxBatchBytes : WireLimits.batchBytesMax
    guard columns.count <= limit else { throw .tooLarge(bytes: columns.count, limit: limit) }
    let (batch, isTaken) = try spool.append(
      columns: columns,
      count: count,
      isTaken: window.hasRoom(for: columns.count)
    )
    window.numbered(upTo: batch.last)
    if isTaken { window.keep(batch) }
    scheduleSync(spool)
    pump()
    return batch.first...batch.last
  }

  /// Waits in the one place where callers of this session wait.
  func wait(for goal: ProducerGoal) async throws(ClientError) {
    if let failure { throw failure }
    guard !isMet(goal) else { return }
    let outcome = await withCheckedContinuation { continuation in
      // The loop may have turned since the first look.
      if failure != nil || isMet(goal) {
        continuation.resume(returning: failure)
      } else {
        waiters.add(goal, continuation)
      }
    }
    if let outcome { throw outcome }
  }

  /// Connects and opens until the producer is closed or fails for good; the producer's one task.
  func run() async {
    var backoff = ProducerTiming.backoffMin
    var isFirst = true
    while !isClosed, failure == nil {
      do throws(ClientError) {
        try await openOnce()
        if !isFirst { reopenings += 1 }
        isFirst = false
        backoff = ProducerTiming.backoffMin
        try await wait(for: .ended)
      } catch {
        guard error.isRetryable else { return fail(error) }
        link.down(error, loop.now)
        if isFirst, !isSpooled, loop.now > options.firstConnectDeadline { return fail(error) }
      }
      guard !isClosed, !isEnding || !window.isEmpty else { return finish(.closed) }
      addressIndex = (addressIndex + 1) % addresses.count
      await loop.sleep(for: max(backoff, retryAt - loop.now))
      backoff = min(backoff * 2, ProducerTiming.backoffMax)
    }
  }

  /// Ends the stream once everything is durable; call after waiting for that.
  func end() {
    isEnding = true
    if case .open(let connection, let stream) = state { connection.endStream(stream) }
  }

  /// Ends at once; what is not durable stays unconfirmed.
  func close() {
    finish(.closed)
  }

  // MARK: Stream

  func received(_ body: RawSpan) {
    link.heard(loop.now)
    let response: WriteResponse
    do throws(MessageError) {
      response = try WriteResponse(decoding: body, arena: connectionArena)
    } catch {
      return fail(.protocolViolation("a write response cannot be read: \(error)"))
    }
    switch response {
    case .opened(let opened): receive(opened)
    case .ack(let ack): receive(ack)
    case .pong: break
    // The stream ends by itself when what was sent is acknowledged; more would hold it open.
    case .drain(let drain):
      isDraining = true
      retry(after: drain.retryDelayMilliseconds)
    }
  }

  func ended(_ status: Status?) {
    let connection = dropConnection()
    connection?.close()
    link.down(.disconnected, loop.now)
    guard let status, status.code != .ok else { return wake() }
    let error = ClientError.status(status)
    lastRefusal = error
    link.down(error, loop.now)
    retry(after: status.retryAfterMilliseconds ?? 0)
    if error.isRetryable { wake() } else { fail(error) }
  }

  /// Notes when the gateway wants to be asked again; another one may be asked as late.
  private func retry(after milliseconds: Int64) {
    retryAt = loop.now + min(.milliseconds(max(0, milliseconds)), ProducerTiming.retryMax)
  }

  /// Whether positions of this database mean what the producer takes them for.
  private func isKnown(_ database: [UInt8]) -> Bool {
    guard databaseID.isEmpty, !database.isEmpty else { return databaseID == database }
    databaseID = database
    guard let spool = options.spool else { return true }
    return onSpool { () throws(ClientError) in try spool.belongs(to: database) }
  }

  private func receive(_ opened: Opened) {
    guard case .opening(let connection, let stream) = state else { return }
    guard isKnown(opened.databaseID) else { return fail(.status(.otherDatabase)) }
    // Only this producer makes these numbers: durable ones it has not made are somebody else's.
    guard epoch == 0 || opened.durableSeq <= window.position.produced else {
      return fail(.status(.producerShared))
    }
    if let spool = options.spool, epoch == 0, opened.durableSeq > spool.openedLast {
      // Values that were numbered before this answer would pass for those others.
      guard window.position.produced == spool.openedLast else {
        return fail(.status(.producerShared))
      }
      guard onSpool({ () throws(ClientError) in try spool.advance(past: opened.durableSeq) })
      else { return }
    }
    if opened.lostFromSeq > 0, opened.lostToSeq >= opened.lostFromSeq {
      let range = opened.lostFromSeq...opened.lostToSeq
      if lostRanges.last != range { lostRanges.append(range) }
    }
    state = .open(connection, stream: stream)
    link.opened(loop.now)
    epoch = opened.epoch
    maxBatchBytes = Int(opened.maxBatchBytes)
    maxBatchValues = Int(opened.maxBatchValues)
    wantedAsked = 0
    window.opened(
      durable: opened.durableSeq,
      staged: opened.stagedSeq,
      grantedBytes: opened.grantedBytes,
      grantedSequence: opened.grantedSeq
    )
    releaseSpooled()
    pump()
    wake()
    scheduleLinkCheck()
  }

  private func receive(_ ack: Ack) {
    rejects.append(contentsOf: ack.rejects)
    if !ack.token.isEmpty { lastToken = ack.token }
    counts = Counts(
      received: countsBefore.received + ack.counts.received,
      written: countsBefore.written + ack.counts.written,
      duplicate: countsBefore.duplicate + ack.counts.duplicate,
      rejected: countsBefore.rejected + ack.counts.rejected
    )
    let granted = window.wantedBytes
    let isConfirmed = window.acknowledged(
      durable: ack.durableSeq,
      staged: ack.stagedSeq,
      grantedBytes: ack.grantedBytes,
      grantedSequence: ack.grantedSeq
    )
    if isConfirmed { link.confirmed(loop.now) }
    if granted != nil, window.wantedBytes != granted { wantedAsked = 0 }
    releaseSpooled()
    pump()
    wake()
  }

  // MARK: Private

  private var connectionArena: MessageArena {
    switch state {
    case .opening(let connection, _), .open(let connection, _): connection.arena
    case .idle, .closed: MessageArena()
    }
  }

  private func openOnce() async throws(ClientError) {
    countsBefore = counts
    let connection = try await GatewayConnection.connect(
      to: addresses[addressIndex],
      loop: loop,
      within: ProducerTiming.connectMax
    )
    guard !isClosed else {
      connection.close()
      throw .closed
    }
    let stream = connection.openStream("sluice.v1.IngestService", "Write", self)
    state = .opening(connection, stream: stream)
    isDraining = false
    lastRefusal = nil
    let open = Open(
      protocolVersion: 1,
      producerID: options.producerID,
      token: options.token,
      durability: options.durability,
      sessionID: RandomID.bytes(),
      lowestHeldSeq: lowestHeld,
      clientName: options.clientName,
      databaseID: databaseID,
      highestSentSeq: window.highestSent
    )
    connection.send(stream, WriteRequest.open(open))
    let timer = loop.schedule(at: loop.now + ProducerTiming.openMax) { [weak self] in
      guard let self, case .opening = self.state else { return }
      self.ended(nil)
    }
    defer { loop.cancel(timer) }
    try await wait(for: .opened)
    // The gateway may have refused, or the connection ended, before it was open.
    guard case .open = state else { throw isClosed ? .closed : lastRefusal ?? .disconnected }
  }

  /// The lowest number that can still be sent; the next one when everything is durable, so that a
  /// gateway that has lost some of it neither waits for them nor is silent about it.
  private var lowestHeld: UInt64 {
    guard window.isEmpty else { return window.lowestHeld }
    return window.position.produced == 0 ? 0 : window.position.produced + 1
  }

  /// Deletes what is durable from the spool, and reads on.
  private func releaseSpooled() {
    guard let spool = options.spool else { return }
    let durable = window.position.durable
    guard onSpool({ () throws(ClientError) in try spool.release(through: durable) })
    else { return }
    refill()
  }

  /// Reads from the spool what there is room for.
  private func refill() {
    guard let spool = options.spool else { return }
    onSpool { () throws(ClientError) in
      while let batch = try spool.next(fits: { window.hasRoom(for: $0) }) { window.keep(batch) }
    }
  }

  /// Does something with the spool; should that fail, the session has failed.
  @discardableResult
  private func onSpool(_ body: () throws(ClientError) -> Void) -> Bool {
    do throws(ClientError) {
      try body()
      return true
    } catch {
      fail(error)
      return false
    }
  }

  private func scheduleSync(_ spool: Spool) {
    guard case .interval(let interval) = spool.sync, !isSyncScheduled else { return }
    isSyncScheduled = true
    _ = loop.schedule(at: loop.now + interval) { [weak self] in
      self?.isSyncScheduled = false
      spool.startSync()
    }
  }

  /// Sends what the grant allows, and asks for more when the next batch does not fit.
  private func pump() {
    guard case .open(let connection, let stream) = state, !isDraining else { return }
    while let batch = window.takeNext() {
      connection.send(stream, batch)
    }
    guard let wanted = window.wantedBytes, wanted != wantedAsked else { return }
    wantedAsked = wanted
    ping(connection, stream, wanted: wanted)
  }

  private func ping(_ connection: GatewayConnection, _ stream: ClientStreamID, wanted: Int) {
    pingNonce += 1
    connection.send(
      stream,
      WriteRequest.ping(Ping(nonce: pingNonce, wantedBytes: UInt32(clamping: wanted)))
    )
  }

  /// Why whoever waits for a confirmation has to wait.
  var wait: ProducerWait? { link.wait(loop.now) }

  private func scheduleLinkCheck() {
    // One chain of them, however often the session is opened.
    if let linkTimer { loop.cancel(linkTimer) }
    linkTimer = loop.schedule(at: loop.now + .seconds(1)) { [weak self] in self?.checkLink() }
  }

  private func checkLink() {
    linkTimer = nil
    guard case .open(let connection, let stream) = state else { return }
    defer { scheduleLinkCheck() }
    if window.isEmpty { link.confirmed(loop.now) }
    switch link.check(loop.now) {
    case .nothing: break
    case .ping: ping(connection, stream, wanted: 0)
    case .drop: ended(nil)
    }
  }

  private func isMet(_ goal: ProducerGoal) -> Bool {
    switch goal {
    case .opened: if case .opening = state { false } else { true }
    case .room(let bytes): epoch > 0 && window.hasRoom(for: bytes)
    case .staged(let sequence): window.position.staged >= sequence
    case .durable(let sequence): window.position.durable >= sequence
    case .ended:
      switch state {
      case .idle, .closed: true
      case .opening, .open: false
      }
    }
  }

  private func wake() { waiters.wake(isMet) }

  private func fail(_ error: ClientError) {
    guard failure == nil else { return }
    failure = error
    finish(error)
  }

  private func finish(_ error: ClientError) {
    dropConnection()?.close()
    state = .closed
    if failure == nil { failure = error }
    waiters.end(error, isMet)
  }

  @discardableResult
  private func dropConnection() -> GatewayConnection? {
    defer { if !isClosed { state = .idle } }
    switch state {
    case .opening(let connection, _), .open(let connection, _): return connection
    case .idle, .closed: return nil
    }
  }
}
