internal import Synchronization

// The only place where tasks are started, and the loop's own sleep.

/// What cancels a task of a loop.
public typealias LoopTask = Task<Void, Never>

extension EventLoop {
  /// Starts a task that stays on this loop over all its suspensions; safe from every thread.
  ///
  /// A task started in any other way pays a trip through the global pool on every resume.
  ///
  /// - Parameter body: runs on the loop.
  /// - Returns: what cancels it; need not be kept.
  @discardableResult
  public func spawn(_ body: @escaping @Sendable () async -> Void) -> LoopTask {
    Task(executorPreference: self) { await body() }
  }

  /// Suspends the calling task, which must run on this loop, until `duration` has passed.
  public func sleep(for duration: Duration) async {
    await withCheckedContinuation { continuation in
      _ = schedule(at: now + duration) { continuation.resume() }
    }
  }

  /// Runs a loop on the calling thread until `body` has returned: for programs that do one thing.
  ///
  /// - Parameter body: runs on the loop it is given.
  /// - Returns: what `body` returned.
  /// - Throws: `SystemError` when the system gives no epoll instance.
  public static func runBlocking<Result: Sendable>(
    _ body: @escaping @Sendable (EventLoop) async -> Result
  ) throws(SystemError) -> Result {
    let loop = try EventLoop()
    let outcome = Outcome<Result>()
    loop.spawn {
      let result = await body(loop)
      outcome.value.withLock { $0 = result }
      loop.stop()
    }
    loop.run()
    guard let result = outcome.value.withLock({ $0 }) else {
      preconditionFailure("the loop ends when the body has returned")
    }
    return result
  }

  private final class Outcome<Result: Sendable>: Sendable {
    let value = Mutex<Result?>(nil)
  }
}
