internal import DequeModule
internal import EventLoop
internal import Logging
internal import Storage
internal import Wire

// One write session: opens a producer, takes its batches into a lane, acknowledges what is written.

/// The server side of `IngestService.Write`; confined to the worker's loop.
///
/// It outlives its stream until every batch it took has an ending, for they count against the
/// budget.
final class WriteSession: StreamHandler {
  let id: SessionID
  private let stream: ServerStream
  private let context: WorkerContext
  private var state = State.new
  private var check = BatchCheck()
  private let startedAt: MonotonicTime
  private var lastBatchAt: MonotonicTime
  private var isDraining = false
  private var isHalfClosed = false
  private(set) var hasLostPlace = false

  private enum State {
    case new
    case opening
    case open(ProducerSession)
    case ended
  }

  init(_ stream: ServerStream, _ context: WorkerContext) {
    self.stream = stream
    self.context = context
    id = context.nextSessionID()
    startedAt = context.loop.now
    lastBatchAt = startedAt
  }

  // MARK: Messages

  func receive(_ body: RawSpan) {
    do throws(MessageError) {
      switch try WriteRequestView(decoding: body, arena: context.arena) {
      case .open(let open): receive(open)
      case .batch(let batch): receive(batch)
      case .ping(let ping): receive(ping)
      }
    } catch {
      // Before Open the message should have been one, afterwards a batch.
      let isOpen = if case .new = state { false } else { true }
      fail(.unreadable(error, isOpen ? "BAD_BATCH" : "BAD_OPEN"))
    }
  }

  private func receive(_ open: Open) {
    guard case .new = state else { return fail(.alreadyOpened) }
    if let violation = open.violation { return fail(violation) }
    state = .opening
    context.sessions[id] = self
    context.worker.run(.open(open, tenantID: Caller.defaultTenantID), of: id)
  }

  private func receive(_ batch: BatchView) {
    guard case .open(let session) = state else { return fail(.notOpened) }
    context.figures[.batchesReceived] += 1
    context.figures[.valuesReceived] += Int64(batch.count)
    lastBatchAt = context.loop.now
    if let refusal = session.accepts(batch, &context.budget) { return fail(refusal) }
    guard session.deferred.isEmpty else {
      session.deferred.append(DeferredBatch(batch, verdict: nil))
      return
    }
    take(batch, session)
  }

  private func receive(_ ping: Ping) {
    stream.send(WriteResponse.pong(Pong(nonce: ping.nonce)))
    guard case .open(let session) = state, ping.wantedBytes > 0 else { return }
    session.window.want(Int(ping.wantedBytes))
    context.feed(self, session.key.tenant)
  }

  func halfClose() {
    isHalfClosed = true
    endIfDone()
  }

  func drain() {
    guard !isDraining else { return }
    isDraining = true
    let grace = context.configuration.drainGrace.wholeMilliseconds
    stream.send(
      WriteResponse.drain(
        Drain(
          graceMilliseconds: grace,
          retryDelayMilliseconds: ServerLimits.retryMilliseconds
        )
      )
    )
    endIfDone()
  }

  func connectionClosed() {
    finish()
  }

  var finishesByItself: Bool { isHalfClosed }

  func checkAge(_ now: MonotonicTime) {
    if case .new = state, now - startedAt > .seconds(ServerLimits.openSeconds) {
      fail(.notOpenedInTime)
    }
  }

  /// The staging area has another incarnation: what was staged in an earlier one is not any more.
  func observe(incarnation: UInt64) {
    guard case .open(let session) = state,
      let unstaged = session.observe(incarnation: incarnation)
    else { return }
    context.figures.count(.valuesUnstaged, unstaged)
    acknowledgeSoon()
  }

  // MARK: Opening

  /// Does one step that waits; called in a task of the worker.
  func advance(_ step: SessionStep) async {
    switch step {
    case .open(let open, let tenantID): await self.open(open, tenantID)
    case .learn: await learn()
    case .recall: await recall()
    }
  }

  private func open(_ open: Open, _ tenantID: Int32) async {
    let opening: SessionOpening
    do throws(Status) {
      opening = try await SessionOpening(open, tenant: tenantID, context)
    } catch {
      return fail(error)
    }
    // The stream may have ended meanwhile.
    guard case .opening = state else { return forgetIfIdle() }
    let isStaged = open.durability == .staged
    let session = ProducerSession(
      opening,
      tenant: tenantID,
      sentUpTo: open.highestSentSeq,
      isStaged: isStaged,
      lane: context.storage.lane(isStaged: isStaged, producer: opening.producer),
      window: GrantWindow(&context.budget)
    )
    state = .open(session)
    context.figures[.sessionsOpened] += 1
    context.figures.count(.valuesLost, opening.opened.lostCount)
    context.figures[.sessionsOpen] += 1
    stream.send(WriteResponse.opened(session.openedMessage))
    if !opening.rejects.isEmpty { acknowledgeSoon() }
    context.log.info(
      "session \(id.number) of \(open.clientName.quotedForLog), epoch \(session.key.epoch)"
    )
    endIfDone()
  }

  // MARK: Batches

  /// Classifies a batch and, when it is new, checks and encodes it.
  private func take(_ batch: BatchView, _ session: ProducerSession) {
    let verdict = session.head.receive(
      first: batch.firstSeq,
      count: batch.count,
      checksum: batch.crc32c
    )
    context.figures.count(.valuesResent, session.resentValues(batch))
    switch verdict {
    case .accept(let skipping):
      if skipping > 0, session.notesPrefix(batch, skipping) { context.worker.run(.recall, of: id) }
      encode(batch, skipping: skipping, session, mayLearn: true)
    case .duplicate:
      context.figures[.valuesDuplicate] += Int64(batch.count)
      if session.notesRepeat(batch) { context.worker.run(.recall, of: id) }
    case .gap(let expected): fail(.gap(expected: expected))
    case .conflict: fail(.sequenceConflict)
    case .malformed:
      fail(.badBatch("batch.first_seq", "makes no range of sequence numbers with count"))
    }
  }

  private func encode(
    _ batch: BatchView,
    skipping: Int,
    _ session: ProducerSession,
    mayLearn: Bool
  ) {
    do throws(MessageError) {
      let isTaken = try context.arena.withColumns(batch.columns, count: Int(batch.count)) {
        encode($0, batch, skipping: skipping, session, mayLearn: mayLearn)
      }
      guard !isTaken else { return }
    } catch {
      return fail(.unreadable(error, "BAD_BATCH"))
    }
    // Ids nobody here knows: ask the database, and keep everything behind this batch in order.
    session.deferred.prepend(DeferredBatch(batch, verdict: .accept(skipping: skipping)))
    session.unknown = (Array(check.unknownEntities), Array(check.unknownAttributes))
    context.worker.run(.learn, of: id)
  }

  /// Checks values and gives the good ones to the lane; false when the catalog must be asked first.
  private func encode(
    _ view: borrowing ColumnsView,
    _ batch: BatchView,
    skipping: Int,
    _ session: ProducerSession,
    mayLearn: Bool
  ) -> Bool {
    let columns = BatchColumns(view)
    check.run(
      columns,
      context.storage.catalog.index(of: session.key.tenant),
      context.storage.valueLimits,
      nowUnixMicroseconds: context.wallClockMicroseconds,
      skipping: skipping
    )
    if mayLearn, !check.unknownEntities.isEmpty || !check.unknownAttributes.isEmpty {
      return false
    }
    let range = SequenceRange(
      first: batch.firstSeq,
      last: batch.lastSeq,
      checksum: batch.crc32c
    )
    session.batchesInFlight += 1
    session.bytesInFlight += batch.columns.byteCount
    session.lane.submit(
      LaneBatch(
        key: session.key,
        range: range,
        skipping: skipping,
        rejects: check.rejects,
        wireBytes: batch.columns.byteCount,
        owner: self
      ),
      columns,
      hot: check.hot
    )
    return true
  }

  /// Asks the database for the unknown ids, then takes the batches that had to wait.
  private func learn() async {
    guard case .open(let session) = state else { return }
    do throws(StorageError) {
      try await context.storage.catalog.learn(
        tenant: session.key.tenant,
        entityIDs: session.unknown.entities,
        attributeIDs: session.unknown.attributes,
        deadline: context.loop.now + ServerLimits.learnTimeMax
      )
    } catch {
      // Nothing was taken: the client sends it all again.
      return fail(.databaseUnavailable("\(error)"))
    }
    guard case .open = state, let first = session.deferred.popFirst() else { return }
    first.withView { batch in
      guard case .accept(let skipping) = first.verdict else { return take(batch, session) }
      encode(batch, skipping: skipping, session, mayLearn: false)
    }
    while case .open = state, let next = session.deferred.popFirst() {
      // What comes behind stays behind: `take` puts this one back in front if it has unknown ids,
      // too.
      let waiting = session.deferred
      session.deferred.removeAll()
      next.withView { take($0, session) }
      let isWaitingAgain = !session.deferred.isEmpty
      session.deferred.append(contentsOf: waiting)
      if isWaitingAgain { return }
    }
  }

  /// Looks up what was rejected of batches that came again: their Ack repeats it.
  private func recall() async {
    while case .open(let session) = state, let run = session.repeats.first {
      do throws(StorageError) {
        // Of what is not durable yet the database knows nothing: the Ack of the first time will.
        let isKnown = run.sequences.lowerBound <= session.head.durable
        let rejects =
          try await !isKnown
          ? []
          : context.storage.producers.rejects(
            tenant: session.key.tenant,
            producer: session.key.producer,
            in: run.sequences,
            deadline: context.loop.now + ServerLimits.learnTimeMax
          )
        // The session may have ended meanwhile, and given all of its grant back.
        guard case .open = state else { return }
        release(session.repeated(rejects), session)
      } catch {
        return fail(.databaseUnavailable("\(error)"))
      }
      acknowledgeSoon()
      endIfDone()
    }
  }

  // MARK: Grants and acks

  private func release(_ bytes: Int, _ session: ProducerSession) {
    session.window.release(bytes, &context.budget)
    context.feed(self, session.key.tenant)
  }

  /// Whether it has a use for a larger grant.
  var isStarving: Bool {
    if case .open(let session) = state { session.window.isStarving } else { false }
  }

  /// Raises the grant as far as the budget allows.
  ///
  /// - Returns: false when its client has a batch at hand for which there is nothing left.
  func extendGrant() -> Bool {
    guard case .open(let session) = state else { return true }
    if session.window.extend(&context.budget) { acknowledgeSoon() }
    return !session.window.isBlocked
  }

  /// Ends the session if it holds a grant and has not used it for long.
  func reclaimGrant(_ now: MonotonicTime) {
    guard case .open(let session) = state, session.isSettled, session.window.unusedBytes > 0,
      !session.window.isBlocked, now - lastBatchAt > ServerLimits.grantIdleMax
    else { return }
    fail(.grantReclaimed)
  }

  private func acknowledgeSoon() {
    guard case .open(let session) = state else { return }
    session.isAckPending = true
    stream.wantsToWrite()
  }

  func writePending() {
    guard case .open(let session) = state, session.isAckPending else { return }
    stream.send(WriteResponse.ack(session.takeAck()))
    // What did not fit into this Ack goes into the next one.
    if session.isAckPending { stream.wantsToWrite() }
    endIfDone()
  }

  // MARK: Ends

  private func endIfDone() {
    guard isHalfClosed || isDraining else { return }
    switch state {
    case .open(let session):
      guard session.isSettled else { return }
      if session.isAckPending {
        stream.send(WriteResponse.ack(session.takeAck()))
        guard !session.isAckPending else { return stream.wantsToWrite() }
      }
    case .opening: return
    case .new, .ended: break
    }
    end(isHalfClosed ? nil : .draining)
  }

  private func fail(_ status: Status) {
    if case .ended = state { return }
    context.figures[.sessionsFailed] += 1
    // The last positions first: the client need not send again what is written.
    if case .open(let session) = state, session.isAckPending {
      stream.send(WriteResponse.ack(session.takeAck()))
    }
    end(status)
  }

  private func end(_ status: Status?) {
    finish()
    stream.end(status)
  }

  private func finish() {
    if case .open(let session) = state {
      context.figures[.sessionsOpen] -= 1
      session.window.end(&context.budget)
      session.deferred.removeAll()
      // What was received and is in no lane (deferred, or what the session failed on) goes back.
      session.window.release(
        session.window.receivedBytes - session.window.releasedBytes - session.bytesInFlight,
        &context.budget
      )
      ended = session
    }
    state = .ended
    context.feed()
    forgetIfIdle()
  }

  /// The session after its end, while batches of it are still in a lane.
  private var ended: ProducerSession?

  private func forgetIfIdle() {
    guard case .ended = state, ended?.batchesInFlight ?? 0 == 0 else { return }
    context.sessions[id] = nil
  }
}

extension WriteSession: BatchOwner {
  private var producerSession: ProducerSession? {
    if case .open(let session) = state { session } else { ended }
  }

  func batchStaged(_ batch: LaneBatch) {
    guard case .open(let session) = state else { return }
    session.head.advanceStaged(to: batch.range.last)
    acknowledgeSoon()
  }

  func batchNotStaged(_ batch: LaneBatch) {
    guard case .open(let session) = state else { return }
    session.head.leaveUnstaged(to: batch.range.last)
  }

  func batchEnded(_ batch: LaneBatch, _ ending: BatchEnding) {
    guard let session = producerSession else { return }
    session.batchesInFlight -= 1
    session.bytesInFlight -= batch.wireBytes
    // Before anything can end the session, which gives back all that is in no lane.
    release(batch.wireBytes, session)
    switch ending {
    case .durable(let token, let refused):
      let (written, rejected) = session.durable(batch, token, refused)
      stream.noteDurable(token)
      context.figures.count(.valuesRejected, rejected)
      context.figures.count(.valuesWritten, written)
      acknowledgeSoon()
    case .fenced(let epoch):
      hasLostPlace = true
      fail(.fenced(epoch: epoch))
    case .displaced:
      hasLostPlace = true
      fail(.displaced)
    }
    endIfDone()
    forgetIfIdle()
  }
}
