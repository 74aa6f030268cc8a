internal import Client
internal import EventLoop
internal import Formats

// Bounds how long a command waits for its session, when its user has said for how long.

/// The time that a session may take to open.
enum OpeningLimit {
  /// How often it is looked whether the session is open, so that nobody sleeps on.
  private static let pause = Duration.milliseconds(10)

  /// Waits until a producer's session is open.
  ///
  /// - Parameters:
  ///   - producer: closed when it does not open in time.
  ///   - limit: how long to wait; nil leaves that to the producer.
  ///   - loop: the caller's.
  /// - Throws: `ClientError` as `Producer.waitUntilOpen`, or a failure that says why it took
  ///   longer.
  static func waitUntilOpen(
    _ producer: Producer,
    within limit: Duration?,
    on loop: EventLoop
  ) async throws {
    guard let limit else { return try await producer.waitUntilOpen() }
    let end = MonotonicTime.now() + limit
    try await withThrowingTaskGroup(of: Bool.self) { group in
      group.addTask {
        try await producer.waitUntilOpen()
        return true
      }
      group.addTask {
        while !Task.isCancelled, MonotonicTime.now() < end { await loop.sleep(for: pause) }
        return false
      }
      defer { group.cancelAll() }
      guard try await group.next() == false else { return }
      // Closing it is a reason of its own.
      let wait = await producer.wait
      await producer.close()
      throw failure(limit, wait)
    }
  }

  private static func failure(_ limit: Duration, _ wait: ProducerWait?) -> CommandFailure {
    var reason = "the gateway did not answer"
    if case .linkDown(let error, _) = wait { reason = "\(error)" }
    return CommandFailure(
      "no session within --timeout \(Quantity.duration(limit)): \(reason); start a gateway with"
        + " 'sluice serve', or name it with --gateway",
      .unavailable
    )
  }
}
