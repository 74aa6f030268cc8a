internal import Testing

@testable internal import EventLoop

// Runs loops for tests, bounded in time.

/// Far more than any test needs, so that only a hang reaches it.
let patience: Duration = .seconds(20)

/// Runs a loop on the calling thread until it is stopped; a loop that nobody stops is a failure.
func runBounded(_ loop: EventLoop, sourceLocation: SourceLocation = #_sourceLocation) {
  let watchdog = loop.schedule(at: MonotonicTime.now() + patience) {
    Issue.record("the loop was not stopped in time", sourceLocation: sourceLocation)
    loop.stop()
  }
  loop.run()
  loop.cancel(watchdog)
}

/// Runs `body` beside a loop that has a thread of its own, then stops and joins it.
func withLoopThread<Result: Sendable>(
  _ body: (EventLoop) async throws -> Result
) async throws -> Result {
  let loop = try EventLoop()
  let thread = try LoopThread(running: loop, name: "test")
  defer {
    loop.stop()
    thread.join()
  }
  return try await body(loop)
}

/// An actor that lives on a loop.
actor Resident {
  nonisolated let loop: EventLoop
  private(set) var count = 0

  nonisolated var unownedExecutor: UnownedSerialExecutor {
    unsafe loop.asUnownedSerialExecutor()
  }

  init(on loop: EventLoop) { self.loop = loop }

  func add() { count += 1 }

  /// Suspends until the loop's timer resumes.
  func pause(_ duration: Duration) async { await loop.sleep(for: duration) }
}

/// A handler made of a closure; counts its calls.
final class Watcher: ReadinessHandler {
  private(set) var calls: [Readiness] = []
  private var action: (Readiness) -> Void

  init(_ action: @escaping (Readiness) -> Void = { _ in }) { self.action = action }

  func ready(_ readiness: Readiness) {
    calls.append(readiness)
    action(readiness)
  }

  /// Replaces what it does, for handlers that speak of their own registration.
  func act(_ action: @escaping (Readiness) -> Void) { self.action = action }
}

/// A flush handler made of a closure.
final class Flusher: FlushHandler {
  private let action: () -> Void
  init(_ action: @escaping () -> Void) { self.action = action }
  func flush() { action() }
}

/// Runs a closure when it dies.
final class Tombstone {
  private let action: () -> Void
  init(_ action: @escaping () -> Void) { self.action = action }
  deinit { action() }
}
