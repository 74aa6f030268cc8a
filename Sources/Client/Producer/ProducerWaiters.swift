internal import Wire

// Callers of a producer that wait for something, and what ends a session for good.

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

extension Status {
  /// What a client says that finds its gateway at another database than before.
  static let otherDatabase = Status(
    .failedPrecondition,
    "the gateway writes into another database than this producer's values went to before; name"
      + " the gateway of that one, or begin with a new producer id (another spool or state)",
    reason: "OTHER_DATABASE"
  )

  /// What a client says that finds another's values under its own numbers.
  static let producerShared = Status(
    .dataLoss,
    "another client writes with the same producer id",
    reason: "SEQ_CONFLICT"
  )
}
