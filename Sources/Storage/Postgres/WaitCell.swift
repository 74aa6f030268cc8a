internal import Synchronization

// The one place where a suspended task's continuation is kept.

typealias WaitContinuation<Value> = CheckedContinuation<Value, Never>

/// Holds at most one waiting task and resumes it exactly once, from whatever thread comes first.
///
/// The lock is there for task cancellation alone, which may come from any thread; everything else happens
/// on the loop's thread, where the lock is free. Resumed from another thread, the task still goes on on the
/// loop, because it prefers it.
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
  /// `start` runs once the cell is ready to be resumed; it may resume it. Between the call and `start` the loop
  /// may turn when `cancelled` is given: the standard library's cancellation handler runs its operation as a job
  /// of its own. What comes in that time finds the cell empty, so `start` has to look at the state.
  func wait(cancelled: Value? = nil, _ start: () -> Void = {}) async -> Value {
    state.withLock { $0 = .empty }
    guard let cancelled else { return await suspend(start) }
    return await withTaskCancellationHandler {
      await suspend(start)
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
