internal import EventLoop

// Looks at one node again and again, on a connection of its own.

/// Keeps what is known of a node up to date, probes it when its breaker asks for that, and ends
/// reads on it when it falls silent.
///
/// Confined to its loop's thread.
final class NodeWatch {
  private let node: ReadNode
  private let loop: EventLoop
  private var connection: PostgresConnection?
  private var isShutDown = false
  private let sleeper = WaitCell<Bool>()

  /// A look that takes longer is a failure.
  private static let timeout: Duration = .seconds(1)
  /// While reads wait for the node to catch up.
  private static let hurriedInterval: Duration = .milliseconds(2)

  init(_ node: ReadNode, _ loop: EventLoop) {
    self.node = node
    self.loop = loop
    node.onHurry = { [weak self] in self?.sleeper.resume(true) }
  }

  /// Ten times a second for what is chosen by 100 ms; the heartbeat that a warehouse shows changes
  /// once a second.
  private var interval: Duration {
    if node.isHurried { return NodeWatch.hurriedInterval }
    return node.origin == .warehouse ? .milliseconds(250) : .milliseconds(100)
  }

  /// Looks until `shutDown`.
  func run() async {
    while !isShutDown {
      await look()
      guard !isShutDown else { break }
      await pause()
    }
    disconnect()
  }

  func shutDown() {
    isShutDown = true
    sleeper.resume(false)
  }

  // MARK: Private

  private func pause() async {
    var timer: TimerID?
    _ = await sleeper.wait {
      // Here, because whatever came before found nobody asleep.
      guard !isShutDown else {
        sleeper.resume(false)
        return
      }
      timer = loop.schedule(at: loop.now + interval) { [sleeper] in sleeper.resume(true) }
    }
    if let timer { loop.cancel(timer) }
  }

  private func look() async {
    guard let permit = node.probe() else {
      // Drained or open: when it is tried again, then on a fresh connection.
      node.see(nil)
      disconnect()
      return
    }
    do throws(PostgresError) {
      let token = try await ask(connected())
      node.end(permit, .success)
      node.see(token, because: node.noProof)
    } catch {
      disconnect()
      node.end(permit, CircuitBreaker.Ending(error, allowed: NodeWatch.timeout))
      node.see(nil, because: "\(error)")
      if case .timedOut = error { node.abandonReads() }
    }
  }

  private func connected() async throws(PostgresError) -> PostgresConnection {
    if let connection, connection.isUsable { return connection }
    disconnect()
    let made = try await PostgresConnection.connect(
      to: node.dsn,
      role: .direct("watch"),
      on: loop,
      deadline: loop.now + NodeWatch.timeout
    )
    connection = made
    return made
  }

  private func ask(
    _ connection: PostgresConnection
  ) async throws(PostgresError) -> FreshnessToken? {
    let deadline = loop.now + NodeWatch.timeout
    if node.origin == .warehouse {
      let result = try await connection.query(node.heartbeat.statement, deadline: deadline)
      return try node.heartbeat.token(result)
    }
    let answers = try await node.prover.run([], on: connection, deadline: deadline)
    return answers.proof.isAsExpected && answers.proof.isReadCommitted ? answers.token : nil
  }

  private func disconnect() {
    connection?.close()
    connection = nil
  }
}
