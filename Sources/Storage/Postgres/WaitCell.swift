internal import Synchronization

// The one place where a suspended task's continuation is kept.

typealias WaitContinuation<Value> = CheckedContinuation<Value, Never>

/// Holds at most one waiting task and resumes it exactly once, from whatever thread comes first.
///
/// The lock is there for task cancellation alone, which may come from any thread; everything else
/// happens on the loop's thread, where the lock is free. Resumed from another thread, the task
/// still goes on on the loop, because it prefers it.
final class WaitCell<Value: Sendable>: Sendable {
  private enum State {
    case empty
    case waiting(WaitContinuation<Value>)
    /// Cancellation came before the task had suspended.
    case cancelled(Value)
  }

  private let state = Mutex(State.empty)

  /// Suspends until `resume`, or until the task is cancelled when `cancelled` is given.
  ///
  /// `start` runs once the cell is ready to be resumed; it may resume it. Whoever waits for a state
  /// must look at it there: what came before found the cell empty. The isolation is a parameter
  /// because the closure below would otherwise leave the actor and come back, three turns of the
  /// loop and 7 of 18 us of a query (measured), in which events come.
  func wait(
    cancelled: Value? = nil,
    isolation: isolated (any Actor)? = #isolation,
    _ start: () -> Void = {}
  ) async -> Value {
    state.withLock { $0 = .empty }
    guard let cancelled else { return await suspend(start) }
    return await withTaskCancellationHandler {
      // Named, so that this closure is isolated like its surroundings.
      _ = isolation
      return await suspend(start)
    } onCancel: {
      cancel(cancelled)
    }
  }

  /// Wakes the waiting task; false when there is none any more.
  @discardableResult
  func resume(_ value: Value) -> Bool {
    let continuation = state.withLock { state -> WaitContinuation<Value>? in
      guard case .waiting(let continuation) = state else { return nil }
      state = .empty
      return continuation
    }
    guard let continuation else { return false }
    continuation.resume(returning: value)
    return true
  }

  private func suspend(_ start: () -> Void) async -> Value {
    await withCheckedContinuation { continuation in
      store(continuation)
      start()
    }
  }

  private func store(_ continuation: WaitContinuation<Value>) {
    let early = state.withLock { state -> Value? in
      guard case .cancelled(let value) = state else {
        state = .waiting(continuation)
        return nil
      }
      state = .empty
      return value
    }
    if let early { continuation.resume(returning: early) }
  }

  private func cancel(_ value: Value) {
    let continuation = state.withLock { state -> WaitContinuation<Value>? in
      if case .waiting(let continuation) = state {
        state = .empty
        return continuation
      }
      // Before the suspension, or just after the resume: the next wait forgets the latter.
      state = .cancelled(value)
      return nil
    }
    continuation?.resume(returning: value)
  }
}
