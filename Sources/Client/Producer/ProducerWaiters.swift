// Callers of a producer that wait for something.

/// What a caller waits for.
enum ProducerGoal {
  case opened
  case room(bytes: Int)
  case staged(UInt64)
  case durable(UInt64)
  /// The stream of the present session is over.
  case ended
}

/// Everybody who waits on one session.
struct ProducerWaiters {
  private struct Waiter {
    let goal: ProducerGoal
    let continuation: CheckedContinuation<ClientError?, Never>
  }

  private var waiters: [Waiter] = []

  /// Adds a caller; it is resumed by `wake` or `end`.
  mutating func add(
    _ goal: ProducerGoal,
    _ continuation: CheckedContinuation<ClientError?, Never>
  ) {
    waiters.append(Waiter(goal: goal, continuation: continuation))
  }

  /// Resumes whoever has what it waits for; each waiter is removed before it is resumed.
  mutating func wake(_ isMet: (ProducerGoal) -> Bool) {
    let met = waiters.filter { isMet($0.goal) }
    guard !met.isEmpty else { return }
    waiters.removeAll { isMet($0.goal) }
    for waiter in met { waiter.continuation.resume(returning: nil) }
  }

  /// Resumes everybody: with the error, unless it has what it waits for.
  mutating func end(_ error: ClientError, _ isMet: (ProducerGoal) -> Bool) {
    let all = waiters
    waiters.removeAll()
    for waiter in all {
      waiter.continuation.resume(returning: isMet(waiter.goal) ? nil : error)
    }
  }
}
