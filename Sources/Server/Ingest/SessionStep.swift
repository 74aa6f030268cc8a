internal import Wire

// What a write session does in a task of its worker, which finds it by its id.

/// Names a session of a worker for ever.
struct SessionID: Hashable, Sendable {
  let number: UInt64
}

/// What a session does in a task, because it has to wait.
enum SessionStep: Sendable {
  case open(Open, tenantID: Int32)
  case learn
  case recall
}
