internal import Client
internal import EventLoop
internal import Formats
internal import Synchronization

// Bounds how long a command waits for its session, when its user has said for how long.

/// Closes a producer whose session does not open in time.
final class OpeningLimit: Sendable {
  /// Why there was no session when the producer was closed, which is a reason of its own.
  private let wait = Mutex<ProducerWait?>(nil)

  /// Watches on the loop as long as somebody holds this object.
  private init(_ producer: Producer, _ limit: Duration, on loop: EventLoop) {
    loop.spawn { [weak self] in
      await loop.sleep(for: limit)
      let wait = await producer.wait
      guard let self else { return }
      self.wait.withLock { $0 = wait }
      await producer.close()
    }
  }

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
    let watch = OpeningLimit(producer, limit, on: loop)
    defer { withExtendedLifetime(watch) {} }
    do throws(ClientError) {
      try await producer.waitUntilOpen()
    } catch {
      guard error == .closed, MonotonicTime.now() >= end else { throw error }
      var reason = "the gateway did not answer"
      if case .linkDown(let error, _) = watch.wait.withLock(\.self) { reason = "\(error)" }
      throw CommandFailure(
        "no session within --timeout \(Quantity.duration(limit)): \(reason); start a gateway with"
          + " 'sluice serve', or name it with --gateway",
        .unavailable
      )
    }
  }
}
