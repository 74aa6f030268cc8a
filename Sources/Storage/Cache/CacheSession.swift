internal import EventLoop

// A worker's calls to the cache's scripts: batches, epochs, signs of life.

/// Everything between `ReadCache` and Redis; confined to the loop's thread.
final class CacheSession: FlushHandler {
  /// What became of a lookup.
  enum Outcome: Equatable, Sendable {
    case answer(CacheGetAnswer)
    case away
    case noEpoch
    case otherHistory
  }

  private struct Question {
    var question: CacheGetQuestion
    var keys: CacheKeys
    var reply: (Outcome) -> Void
  }

  /// Names this cache among those alive.
  let member: String
  private let redis: RedisConnection
  private let gate: any CacheGate
  private let limits: CacheLimits
  private let loop: EventLoop
  private let log: (String) -> Void
  private var state = CacheEpoch()
  private var questions: [Question] = []
  private var isFlushAsked = false
  /// Calls of lookups that Redis has not answered yet.
  private var callsUnderWay = 0
  private var beatTimer: TimerID?
  private var isEnded = false
  private var generator = SystemRandomNumberGenerator()
  /// Invalidations that may be missing.
  private(set) var invalidationsLost: UInt64 = 0
  /// Why there was no connection when that was last told; nil since there was one.
  private var trouble: RedisTrouble?

  init(
    _ redis: RedisConnection,
    gate: any CacheGate,
    limits: CacheLimits,
    on loop: EventLoop,
    log: @escaping (String) -> Void
  ) {
    self.redis = redis
    self.gate = gate
    self.limits = limits
    self.loop = loop
    self.log = log
    member = CacheSession.newName()
  }

  /// 64 random bits: for members and claims.
  static func newName() -> String { String(UInt64.random(in: .min ... .max), radix: 16) }

  var epochChanges: UInt64 { UInt64(state.changeCount) }
  var connects: UInt64 { UInt64(redis.readyCount) }
  var isConnected: Bool { redis.isReady }
  /// The epoch taken part in; nil while the cache may not be used.
  var epoch: String? { state.peek?.epoch }

  // MARK: Life

  func start() {
    redis.onReady = { [weak self] run in
      self?.trouble = nil
      self?.state.connected(run: run)
      self?.beat()
    }
    redis.onAway = { [weak self] in
      self?.state.disconnected()
    }
    redis.onTrouble = { [weak self] trouble in
      guard let self, self.trouble != trouble else { return }
      self.trouble = trouble
      log("the cache is away, reads go on without it: Redis: \(trouble)")
    }
    redis.start()
    scheduleBeat()
  }

  /// Takes the primary's position, and the time before which it was asked for.
  func observe(_ position: FreshnessToken, at time: MonotonicTime) {
    if state.observed(position, at: time) { beat() }
  }

  /// Takes this cache out of the list of those alive, so that nobody begins an epoch for it.
  func end(deadline: MonotonicTime) async {
    guard !isEnded else { return }
    isEnded = true
    if let timer = beatTimer.take() { loop.cancel(timer) }
    // What is owed is paid before the name goes.
    if state.owes { beat(evenAtEnd: true) }
    if let position = state.position, redis.isReady {
      let leave = RedisCommand("ZREM", CacheKeys(position).members, member)
      do throws(RedisError) {
        _ = try await redis.call(leave, deadline: deadline)
      } catch {
        log("the cache could not say good-bye: a new epoch will begin")
      }
    }
    redis.close()
  }

  private func scheduleBeat() {
    beatTimer = loop.schedule(at: loop.now + limits.beatInterval) { [weak self] in
      self?.beat()
      self?.scheduleBeat()
    }
  }

  private func beat(evenAtEnd: Bool = false) {
    guard !isEnded || evenAtEnd, let beat = state.nextBeat() else { return }
    let words = CacheProtocol.beat(
      beat,
      member: member,
      newClaim: CacheSession.newName(),
      missedAfterMilliseconds: limits.missedAfter.wholeMilliseconds
    )
    let deadline = loop.now + limits.writeTimeout
    redis.run(CacheScripts.beat, words, deadline: deadline) { [weak self] result in
      guard let self else { return }
      let before = state.epoch
      state.answered(beat, decoded(result, CacheProtocol.beatAnswer), now: loop.now)
      if let epoch = state.epoch, epoch != before { log("the cache is in epoch \(epoch)") }
    }
  }

  // MARK: Lookups

  /// Looks a key up, together with others that come in this turn of the loop or while a call is
  /// under way.
  func ask(
    _ key: CacheKey,
    required: FreshnessToken,
    owner: UInt64,
    _ reply: @escaping (Outcome) -> Void
  ) {
    let question = CacheGetQuestion(key: key, required: required.lsn, owner: owner)
    ask(Question(question: question, keys: CacheKeys(required), reply: reply))
  }

  /// Looks many keys up in as few calls.
  ///
  /// - Returns: an outcome for each question, in their order.
  func ask(_ all: [CacheGetQuestion], keys: CacheKeys) async -> [Outcome] {
    let cell = WaitCell<Bool>()
    var outcomes = [Outcome](repeating: .away, count: all.count)
    var waiting = all.count
    guard waiting > 0 else { return [] }
    _ = await cell.wait {
      for (place, question) in all.enumerated() {
        ask(
          Question(question: question, keys: keys) { outcome in
            outcomes[place] = outcome
            waiting -= 1
            if waiting == 0 { cell.resume(true) }
          }
        )
      }
    }
    return outcomes
  }

  private func ask(_ question: Question) {
    questions.append(question)
    guard !isFlushAsked else { return }
    isFlushAsked = true
    loop.flushBeforeSleep(self)
  }

  /// Sends what has gathered.
  func flush() {
    isFlushAsked = false
    sendNext(beside: 0)
  }

  /// Sends what may go now; the rest waits for the end of a call.
  ///
  /// - Parameter answered: lookups of a call that has just ended, whose callers may come again.
  private func sendNext(beside answered: Int) {
    guard redis.isReady else { return refuseAll(.away) }
    guard let peek = state.peek else { return refuseAll(.noEpoch) }
    while let count = nextCount(beside: answered) {
      let batch = questions.prefix(count)
      questions.removeFirst(count)
      for other in batch where other.keys != peek.keys { other.reply(.otherHistory) }
      send(batch.filter { $0.keys == peek.keys }, peek)
    }
    // Not at the end of the next turn.
    redis.flush()
  }

  /// How many lookups the next call takes; nil when none may go now.
  ///
  /// Half of those that wait or may come again: callers that are answered all at once come back all
  /// at once, and then Redis, gateway and callers would work in turns. Full calls do not wait.
  private func nextCount(beside answered: Int) -> Int? {
    guard !questions.isEmpty else { return nil }
    if questions.count >= limits.lookupsPerCall { return limits.lookupsPerCall }
    guard callsUnderWay < limits.callsUnderWay else { return nil }
    let count = GroupSize.next(
      waiting: questions.count,
      underWay: answered,
      most: limits.lookupsPerCall
    )
    return min(count, questions.count)
  }

  private func refuseAll(_ outcome: Outcome) {
    let all = questions
    questions.removeAll(keepingCapacity: true)
    for question in all { question.reply(outcome) }
  }

  /// Reads the entries plainly; the script answers for those that are no hits.
  private func send(_ batch: [Question], _ peek: CachePeek) {
    guard let call = beginCall(batch) else { return }
    let deadline = loop.now + limits.lookupTimeout
    redis.send(peek.request(batch.lazy.map(\.question)), deadline: deadline) {
      [weak self] result in
      guard let self else { return batch.forEach { $0.reply(.away) } }
      report(call, result)
      let answers = decoded(result) { (replies) throws(RedisError) in
        try peek.answers(replies, required: batch.lazy.map(\.question.required))
      }
      endCall(batch, answers, peek, deadline)
    }
  }

  /// Asks for what has to be read from a database: whose turn it is.
  private func lease(_ batch: [Question], _ peek: CachePeek, _ deadline: MonotonicTime) {
    guard let call = beginCall(batch) else { return }
    let words = CacheProtocol.get(
      batch.map(\.question),
      run: peek.run,
      keys: peek.keys,
      leaseMilliseconds: limits.lease.wholeMilliseconds
    )
    redis.run(CacheScripts.get, words, deadline: deadline) { [weak self] result in
      guard let self else { return batch.forEach { $0.reply(.away) } }
      report(call, result)
      let answers = decoded(result) { (reply) throws(RedisError) in
        try CacheProtocol.getAnswers(reply, count: batch.count)
      }
      endCall(batch, answers, peek, deadline)
    }
  }

  /// Begins a call that is to be ended; nil when there is none to make.
  private func beginCall(_ batch: [Question]) -> UInt64? {
    guard !batch.isEmpty else { return nil }
    guard let call = gate.admit(now: loop.now) else {
      for question in batch { question.reply(.away) }
      return nil
    }
    callsUnderWay += 1
    return call
  }

  /// Ends a call: asks on for what it leaves open, and tells the others.
  ///
  /// - Parameters:
  ///   - batch: the lookups of the call.
  ///   - answers: what it brought; nil when Redis did not say.
  ///   - peek: under which epoch.
  ///   - deadline: of the lookups.
  private func endCall(
    _ batch: [Question],
    _ answers: CacheAnswers?,
    _ peek: CachePeek,
    _ deadline: MonotonicTime
  ) {
    callsUnderWay -= 1
    guard case .each(let each)? = answers else {
      if answers == .noEpoch, state.epoch == peek.epoch { noteNoEpoch() }
      sendNext(beside: batch.count)
      for question in batch { question.reply(answers == nil ? .away : .noEpoch) }
      return
    }
    lease(zip(batch, each).filter { $0.1 == nil }.map(\.0), peek, deadline)
    // Before these are told, so that Redis is at work meanwhile.
    sendNext(beside: batch.count)
    for (question, answer) in zip(batch, each) {
      if let answer { question.reply(.answer(answer)) }
    }
  }

  // MARK: Fills

  /// Stores a value under a lease; `reply` is told nil when Redis did not say how it went.
  func store(
    _ key: CacheKey,
    _ lease: CacheTicket.Lease,
    value: [UInt8],
    lsn: PostgresLSN,
    source: CacheSource,
    reply: @escaping (CacheSetAnswer?) -> Void
  ) {
    guard let run = state.run else { return reply(nil) }
    let words = CacheProtocol.set(
      key,
      owner: lease.owner,
      value: value,
      lsn: lsn,
      isReplica: source == .replica,
      run: run,
      keys: lease.keys,
      lifeMilliseconds: limits.jitteredLife(&generator)
    )
    set(words, reply)
  }

  /// Gives a lease back, so that the next reader need not wait for its end.
  func giveBack(
    _ key: CacheKey,
    _ lease: CacheTicket.Lease,
    reply: @escaping (CacheSetAnswer?) -> Void
  ) {
    guard let run = state.run else { return reply(nil) }
    set(CacheProtocol.giveBack(key, owner: lease.owner, run: run, keys: lease.keys), reply)
  }

  private func set(_ words: RedisCommand, _ reply: @escaping (CacheSetAnswer?) -> Void) {
    guard let call = gate.admit(now: loop.now) else { return reply(nil) }
    let deadline = loop.now + limits.writeTimeout
    redis.run(CacheScripts.set, words, deadline: deadline) { [weak self] result in
      guard let self else { return reply(nil) }
      report(call, result)
      let answer = decoded(result, CacheProtocol.setAnswer)
      if answer == .noEpoch { noteNoEpoch() }
      reply(answer)
    }
  }

  // MARK: Invalidations

  /// Tells Redis what was written; `reply` is called once it knows, or may never know.
  func invalidate(
    _ cached: ArraySlice<CacheKey>,
    _ token: FreshnessToken,
    reply: @escaping (Bool) -> Void
  ) {
    guard redis.isReady, let call = gate.admit(now: loop.now) else {
      noteLost()
      return reply(false)
    }
    let words = CacheProtocol.invalidate(
      cached,
      token: token.lsn,
      keys: CacheKeys(token),
      keepMilliseconds: limits.floorLife.wholeMilliseconds
    )
    let deadline = loop.now + limits.writeTimeout
    redis.run(CacheScripts.invalidate, words, deadline: deadline) { [weak self] result in
      guard let self else { return reply(false) }
      report(call, result)
      if case .failure = result { noteLost() }
      reply(true)
    }
  }

  /// Something was written, or may have been, of which Redis will not be told.
  func noteLost() {
    invalidationsLost += 1
    state.lostInvalidation()
  }

  // MARK: Private

  private func noteNoEpoch() {
    state.gone()
    beat()
  }

  /// What a breaker counts: an error that Redis itself answers is none of its failures.
  private func report<Reply>(_ call: UInt64, _ result: Result<Reply, RedisError>) {
    switch result {
    case .success, .failure(.server), .failure(.full), .failure(.cancelled):
      gate.report(call, succeeded: true, now: loop.now)
    case .failure(.away), .failure(.timedOut), .failure(.disconnected),
      .failure(.protocolViolation):
      gate.report(call, succeeded: false, now: loop.now)
    }
  }

  private func decoded<Reply, Answer>(
    _ result: Result<Reply, RedisError>,
    _ decode: (Reply) throws(RedisError) -> Answer
  ) -> Answer? {
    do throws(RedisError) {
      return try decode(try result.get())
    } catch {
      if case .protocolViolation = error { log("an answer of a cache script is not understood") }
      if case .server(let code) = error { log("Redis refused a cache script: \(code)") }
      return nil
    }
  }
}
