internal import EventLoop

// One connection to Redis on the loop that comes back by itself; requests are pipelined.

/// Sends requests and hands out their replies in order; connects again whenever it is lost.
///
/// Not Sendable; confined to the loop's thread. hiredis reads and formats only, sockets and timers
/// are the loop's. It is ready when Redis has said who it is (`run_id` of INFO server, which
/// changes with each start of Redis) and knows the scripts. Requests made meanwhile fail at once
/// with `.away`, so that nobody waits for a Redis that is not there. `close` must be called: the
/// loop holds on to an open connection.
final class RedisConnection: ReadinessHandler, FlushHandler {
  typealias Reply = RedisPending.Reply

  private enum Phase {
    case stopped
    /// Until the next attempt.
    case waiting
    case resolving(HostResolver)
    case connecting(RedisLink)
    /// The requests of the greeting are under way.
    case greeting(RedisLink)
    case ready(RedisLink)
    case closed
  }

  /// What Redis answers when it is of no use to us: another one has to be found, or waited for.
  private static let uselessCodes: Set<String> = [
    "READONLY", "LOADING", "MASTERDOWN", "NOAUTH", "NOREPLICAS",
  ]

  /// Told the run id whenever a connection is ready.
  var onReady: ((String) -> Void)?
  /// Told whenever a ready connection is lost, before its requests are.
  var onAway: (() -> Void)?
  /// Told why, whenever a connection or an attempt to make one is given up.
  var onTrouble: ((RedisTrouble) -> Void)?
  /// How often a connection became ready.
  private(set) var readyCount = 0
  /// What Redis calls its version; nil before it has introduced itself.
  private(set) var version: String?

  private let settings: RedisSettings
  private let scripts: [RedisScript]
  private let limits: RedisLimits
  private let loop: EventLoop
  private let buffer: ReadBuffer
  private var phase = Phase.stopped
  private var pending = RedisPending()
  private var digests: [RedisScript: String] = [:]
  private var runID: String?
  private var backoff: RedisBackoff
  /// Attempts so far, to take turns among addresses.
  private var attemptCount = 0
  /// Ends an attempt that takes too long, or a pause.
  private var attemptTimer: TimerID?
  private var requestTimer: (id: TimerID, at: MonotonicTime)?
  private var isFlushAsked = false

  /// A connection that `start` opens.
  init(
    _ settings: RedisSettings,
    scripts: [RedisScript],
    limits: RedisLimits = RedisLimits(),
    on loop: EventLoop
  ) {
    self.settings = settings
    self.scripts = scripts
    self.limits = limits
    self.loop = loop
    buffer = ReadBuffer(byteCount: limits.readBytes)
    backoff = RedisBackoff(limits)
  }

  var isReady: Bool {
    if case .ready = phase { return true }
    return false
  }

  /// Begins to connect, for as long as `close` was not called.
  func start() {
    guard case .stopped = phase else { return }
    attempt()
  }

  /// Closes for good; requests under way fail with `.disconnected`.
  func close() {
    if case .closed = phase { return }
    end(.closed)
  }

  // MARK: Requests

  /// Sends one request; `reply` is called once, on the loop, and at once when nothing can be sent.
  func send(_ command: RedisCommand, deadline: MonotonicTime, reply: @escaping Reply) {
    guard case .ready(let link) = phase else { return reply(.failure(.away)) }
    enqueue(command, link, deadline, reply)
  }

  /// Sends requests in one go; `reply` is called once, with all replies in their order.
  ///
  /// Redis may run those of others in between. An error of one is the error of all.
  func send(
    _ pipeline: RedisPipeline,
    deadline: MonotonicTime,
    reply: @escaping (Result<[RedisReply], RedisError>) -> Void
  ) {
    guard case .ready(let link) = phase else { return reply(.failure(.away)) }
    let count = pipeline.replyCount
    var replies: [RedisReply] = []
    replies.reserveCapacity(count)
    var hasFailed = false
    enqueue(pipeline, link, deadline) { result in
      switch result {
      case .success(let one):
        replies.append(one)
        if replies.count == count { reply(.success(replies)) }
      case .failure(let error):
        guard !hasFailed else { return }
        hasFailed = true
        reply(.failure(error))
      }
    }
  }

  /// Sends one request and waits for its reply.
  ///
  /// - Throws: every `RedisError`.
  func call(
    _ command: RedisCommand,
    deadline: MonotonicTime
  ) async throws(RedisError) -> RedisReply {
    let cell = WaitCell<Result<RedisReply, RedisError>>()
    let result = await cell.wait(cancelled: .failure(.cancelled)) {
      send(command, deadline: deadline) { cell.resume($0) }
    }
    return try result.get()
  }

  /// Runs a script, by its digest; with its text when Redis has forgotten it.
  ///
  /// The words are the number of keys, keys and arguments.
  func run(
    _ script: RedisScript,
    _ words: RedisCommand,
    deadline: MonotonicTime,
    reply: @escaping Reply
  ) {
    guard let digest = digests[script] else { return reply(.failure(.away)) }
    var command = RedisCommand("EVALSHA", digest)
    command.append(words)
    send(command, deadline: deadline) { [weak self] result in
      guard let self, case .failure(.server("NOSCRIPT")) = result else { return reply(result) }
      // SCRIPT FLUSH; EVAL keeps the script again.
      var command = RedisCommand("EVAL", script.source)
      command.append(words)
      send(command, deadline: deadline, reply: reply)
    }
  }

  /// Writes what was sent in this turn now instead of at the turn's end.
  func flush() {
    isFlushAsked = false
    switch phase {
    case .greeting(let link), .ready(let link): if !link.write() { lose(.unreachable) }
    case .stopped, .waiting, .resolving, .connecting, .closed: break
    }
  }

  private func enqueue(
    _ request: some RedisRequest,
    _ link: RedisLink,
    _ deadline: MonotonicTime,
    _ reply: @escaping Reply
  ) {
    guard pending.count < limits.requestsMax,
      link.outputBytes + request.byteCount <= limits.outputBytesMax
    else { return reply(.failure(.full)) }
    link.append(request)
    pending.append(sentAt: loop.now, deadline: deadline, replies: request.replyCount, reply)
    armTimer(min(deadline, loop.now + limits.stallTimeout))
    guard !isFlushAsked else { return }
    isFlushAsked = true
    loop.flushBeforeSleep(self)
  }

  // MARK: Connecting

  private func attempt() {
    attemptTimer = loop.schedule(at: loop.now + limits.connectTimeout) { [weak self] in
      self?.lose(.silent)
    }
    if let address = HostResolver.literalAddress(settings.host) { return connect(address) }
    let name = HostResolver.Endpoint(host: settings.host, address: nil, port: "")
    do throws(PostgresError) {
      phase = .resolving(
        try HostResolver([name], on: loop) { [weak self] found in
          guard let self else { return }
          guard !found.isEmpty else { return lose(.nameNotFound) }
          connect(found[attemptCount % found.count].address ?? "")
        }
      )
    } catch {
      lose(.nameNotFound)
    }
  }

  private func connect(_ address: String) {
    attemptCount += 1
    guard
      let link = RedisLink(
        host: address,
        port: settings.port,
        replyBytesMax: limits.replyBytesMax,
        on: loop,
        handler: self
      )
    else { return lose(.unreachable) }
    phase = .connecting(link)
  }

  /// Sends all that comes before the first request of others; its replies come in order.
  private func greet(_ link: RedisLink) {
    phase = .greeting(link)
    if let password = settings.password {
      var command = RedisCommand("AUTH")
      if let user = settings.user { command.append(user) }
      command.append(password)
      greet(link, command) { _, _ in true }
    }
    greet(link, RedisCommand("INFO", "server")) { connection, reply in
      connection.runID = reply.text.flatMap(RedisConnection.runID)
      connection.version = reply.text.flatMap { RedisConnection.value(of: "redis_version", in: $0) }
      return connection.runID != nil
    }
    for script in scripts {
      greet(link, RedisCommand("SCRIPT", "LOAD", script.source)) { connection, reply in
        connection.digests[script] = reply.text
        return reply.text != nil
      }
    }
    greet(link, RedisCommand("PING")) { connection, _ in
      connection.becomeReady(link)
      return true
    }
  }

  /// One request of the greeting; `accept` says whether its reply is that of a Redis of use to us.
  private func greet(
    _ link: RedisLink,
    _ command: RedisCommand,
    accept: @escaping (RedisConnection, RedisReply) -> Bool
  ) {
    enqueue(command, link, loop.now + limits.connectTimeout) { [weak self] result in
      guard let self, case .greeting(let current) = phase, current === link else { return }
      switch result {
      case .success(let reply): if !accept(self, reply) { lose(.notRedis) }
      case .failure(.server(let code)): lose(.refused(code: code))
      case .failure: lose(.silent)
      }
    }
  }

  private func becomeReady(_ link: RedisLink) {
    guard let runID else { preconditionFailure("the run id comes before the last reply") }
    stopAttemptTimer()
    backoff.reset()
    phase = .ready(link)
    readyCount += 1
    onReady?(runID)
  }

  /// 40 hex digits in a line of INFO.
  static func runID(_ info: String) -> String? {
    guard let id = value(of: "run_id", in: info), id.utf8.count == 40 else { return nil }
    return id.allSatisfy(\.isHexDigit) ? id : nil
  }

  /// What follows a name and a colon in a line of INFO.
  private static func value(of name: String, in info: String) -> String? {
    let line = info.split(whereSeparator: \.isNewline).first { $0.hasPrefix("\(name):") }
    return line.map { String($0.dropFirst(name.utf8.count + 1)) }
  }

  // MARK: Losing

  /// Gives this connection up and waits for the next attempt.
  private func lose(_ trouble: RedisTrouble) {
    if case .closed = phase { return }
    end(.waiting)
    onTrouble?(trouble)
    // Whoever was told may have closed it.
    guard case .waiting = phase else { return }
    attemptTimer = loop.schedule(at: loop.now + backoff.next()) { [weak self] in self?.attempt() }
  }

  /// Everything of the present connection ends before anybody is told, who may come back at once.
  private func end(_ next: Phase) {
    let wasReady = isReady
    switch phase {
    case .resolving(let resolver): resolver.stop()
    case .connecting(let link), .greeting(let link), .ready(let link): link.close()
    case .stopped, .waiting, .closed: break
    }
    phase = next
    stopAttemptTimer()
    if let timer = requestTimer.take() { loop.cancel(timer.id) }
    runID = nil
    digests.removeAll()
    let replies = pending.takeAll()
    if wasReady { onAway?() }
    for reply in replies { reply(.failure(.disconnected)) }
  }

  private func stopAttemptTimer() {
    if let timer = attemptTimer.take() { loop.cancel(timer) }
  }

  // MARK: Events

  /// The loop's call.
  func ready(_ readiness: Readiness) {
    switch phase {
    case .connecting(let link):
      if link.hasConnected() { greet(link) } else { lose(.unreachable) }
    case .greeting(let link), .ready(let link):
      if readiness != .writable { read(link) }
      if readiness.contains(.writable), isCurrent(link) { flush() }
    case .stopped, .waiting, .resolving, .closed:
      preconditionFailure("a closed link is not watched")
    }
  }

  private func read(_ link: RedisLink) {
    do throws(RedisError) {
      switch try link.read(buffer) {
      case .nothing: return
      case .ended: return lose(.unreachable)
      case .bytes: break
      }
      // A reply may make somebody close the connection.
      while isCurrent(link), let result = try link.reader.next() { deliver(result) }
    } catch {
      lose(.notRedis)
    }
  }

  private func deliver(_ result: Result<RedisReply, RedisError>) {
    let (isExpected, reply) = pending.takeFirst()
    guard isExpected else { return lose(.notRedis) }
    reply?(result)
    // What the greeting gets has been judged already.
    if isReady, case .failure(.server(let code)) = result,
      RedisConnection.uselessCodes.contains(code)
    {
      lose(.refused(code: code))
    }
  }

  private func isCurrent(_ link: RedisLink) -> Bool {
    switch phase {
    case .connecting(let current), .greeting(let current), .ready(let current): current === link
    case .stopped, .waiting, .resolving, .closed: false
    }
  }

  // MARK: Time

  /// One timer for all requests; it fires at `time` or before and then sets itself again, so that
  /// requests that are answered soon seldom touch the timers.
  private func armTimer(_ time: MonotonicTime) {
    if let requestTimer {
      guard requestTimer.at > time else { return }
      loop.cancel(requestTimer.id)
    }
    let id = loop.schedule(at: time) { [weak self] in self?.timerFired() }
    requestTimer = (id, time)
  }

  private func timerFired() {
    requestTimer = nil
    for reply in pending.takeExpired(now: loop.now) { reply(.failure(.timedOut)) }
    guard let oldest = pending.oldest else { return }
    let stall = oldest + limits.stallTimeout
    // Replies come in order: behind the oldest everybody waits in vain.
    guard loop.now < stall else { return lose(.silent) }
    armTimer(min(pending.nextDeadline ?? stall, stall))
  }
}

extension RedisConnection: CustomReflectable {
  /// Shows nothing: from here everything on the loop can be reached, which a failing test would
  /// print.
  var customMirror: Mirror { Mirror(self, children: []) }
}
