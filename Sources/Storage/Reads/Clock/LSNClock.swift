internal import EventLoop

// Asks the primary ten times a second how far it has flushed.

/// P(t) of one worker, on a connection of its own.
///
/// Confined to its loop's thread.
final class LSNClock {
  private(set) var ring = LSNRing()
  private let primary: PostgresDSN
  private let loop: EventLoop
  private let log: (String) -> Void
  private let prover = ServerProver(asksStandby: false)
  private var connection: PostgresConnection?
  private var isShutDown = false
  private var isComplaining = false
  private var heardAt: MonotonicTime
  private let sleeper = WaitCell<Bool>()
  /// Is told each position and the time before it was asked for.
  var onSample: (FreshnessToken, MonotonicTime) -> Void = { _, _ in }

  #if SLUICE_FAULT_ROUTE_ON_LAG
  var gauge: LagGauge?
  #endif

  private static let interval: Duration = .milliseconds(100)
  private static let timeout: Duration = .seconds(1)
  /// After so long without an answer reads do not try the primary in vain: ten samples missing in a
  /// row are no accident.
  private static let silence: Duration = .seconds(1)

  init(_ primary: PostgresDSN, loop: EventLoop, log: @escaping (String) -> Void) {
    self.primary = primary
    self.loop = loop
    self.log = log
    heardAt = loop.now
  }

  /// Whether nothing has been heard of the primary for a while.
  var isSilent: Bool { loop.now - heardAt > LSNClock.silence }

  /// Samples until `shutDown`.
  func run() async {
    heardAt = loop.now
    while !isShutDown {
      let next = loop.now + LSNClock.interval
      await sample()
      guard !isShutDown else { break }
      await pause(until: max(next, loop.now + .milliseconds(10)))
    }
    connection?.close()
  }

  func shutDown() {
    isShutDown = true
    sleeper.resume(false)
  }

  // MARK: Private

  private func pause(until time: MonotonicTime) async {
    var timer: TimerID?
    _ = await sleeper.wait {
      guard !isShutDown else {
        sleeper.resume(false)
        return
      }
      timer = loop.schedule(at: time) { [sleeper] in sleeper.resume(true) }
    }
    if let timer { loop.cancel(timer) }
  }

  private func sample() async {
    do throws(PostgresError) {
      try await ask(connected())
      heardAt = loop.now
      if isComplaining { log("the primary's log position is known again") }
      isComplaining = false
    } catch {
      connection?.close()
      connection = nil
      // A server that answers, with whatever error, is not silent.
      if case .server = error { heardAt = loop.now }
      if !isComplaining { log("the primary's log position cannot be read: \(error)") }
      isComplaining = true
    }
  }

  private func connected() async throws(PostgresError) -> PostgresConnection {
    if let connection, connection.isUsable { return connection }
    let made = try await PostgresConnection.connect(
      to: primary,
      role: .direct("clock"),
      on: loop,
      deadline: loop.now + LSNClock.timeout
    )
    connection = made
    return made
  }

  private func ask(_ connection: PostgresConnection) async throws(PostgresError) {
    if ring.newest == nil { try await seed(connection) }
    // Before the query is sent: what is acknowledged until then lies within its answer.
    let time = loop.now
    let answers = try await prover.run([], on: connection, deadline: time + LSNClock.timeout)
    // After a failover a new connection finds the new primary.
    guard answers.proof.isAsExpected else { throw .protocolViolation("the primary is a standby") }
    ring.add(answers.token.lsn, at: time, of: answers.token.identity)
    #if SLUICE_FAULT_ROUTE_ON_LAG
    try await gauge?.read(connection, ring, at: time)
    #endif
    onSample(answers.token, time)
  }

  /// Takes over what the heartbeat's history says of the timeline that is now, or a new gateway
  /// could prove no long bound.
  ///
  /// The ages are the database's own: what this trusts is that its clock was not set back.
  private func seed(_ connection: PostgresConnection) async throws(PostgresError) {
    let time = loop.now
    let answers = try await prover.run(
      [LSNClock.history],
      on: connection,
      deadline: time + LSNClock.timeout
    )
    guard answers.proof.isAsExpected else { return }
    let result = try answers.results[0].get()
    var samples: [LSNRing.Sample] = []
    for row in 0..<result.rowCount {
      guard let age = try result.int64(row: row, column: 0),
        let lsn = try result.lsn(row: row, column: 1),
        let timeline = try result.int64(row: row, column: 2),
        let cluster = try result.int64(row: row, column: 3),
        UInt32(truncatingIfNeeded: timeline) == answers.token.timeline,
        UInt64(bitPattern: cluster) == answers.token.systemIdentifier, age >= 0
      else { continue }
      samples.append(LSNRing.Sample(lsn: lsn, time: time - .microseconds(age)))
    }
    ring.seed(samples, of: answers.token.identity)
  }

  /// The age is measured by the server after the query was sent, so that counting it back from
  /// before makes the samples older, never younger.
  private static let history = PostgresStatement(
    """
    SELECT (extract(epoch FROM clock_timestamp() - h.beat_at) * 1000000)::int8, h.lsn, h.timeline,
      h.system_identifier
    FROM sluice.heartbeat_history h ORDER BY h.beat_at
    """
  )
}
