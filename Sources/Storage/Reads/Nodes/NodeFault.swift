internal import EventLoop

// What an error of a read says about the node it came from.

/// Why a node did not answer a read.
enum NodeFault: Error {
  /// Its proof fell short, or it gave none.
  case shortfall
  /// Replay was in the way: the statement was right, the moment was not.
  case conflict(PostgresError)
  /// The node, or the way to it.
  case failure(PostgresError)
  /// Another node would say the same.
  case final(StorageError)

  /// What a read's error means for the read.
  init(_ error: PostgresError) {
    if let sqlstate = error.sqlstate, NodeFault.conflicts.contains(sqlstate) {
      // 57014 that is ours has become `.timedOut` or `.cancelled` before.
      self = .conflict(error)
      return
    }
    switch error {
    case .connectFailed, .disconnected, .closed, .protocolViolation, .poolFull, .waitTimedOut,
      .invalidDSN:
      self = .failure(error)
    case .server(let server) where NodeFault.isOutage(server.sqlstate): self = .failure(error)
    case .server, .timedOut, .cancelled, .pipelineAborted: self = .final(.postgres(error))
    }
  }

  private static let conflicts: Set<SQLState> = [.serializationFailure, .queryCancelled]

  /// 08*, 53300, 57P01 to 57P03: the server is no longer there, or going.
  fileprivate static func isOutage(_ sqlstate: SQLState) -> Bool {
    sqlstate.family == "08"
      || ["53300", "57P01", "57P02", "57P03"].contains(sqlstate.code)
  }
}

extension StorageError {
  /// Whether a read that the primary answered with this may be answered by another node.
  var isOfOneNode: Bool {
    switch self {
    case .notPrimary, .fallbackBudgetSpent: return true
    case .postgres(let error):
      if case .final = NodeFault(error) { return false }
      return true
    default: return false
    }
  }

  /// Judges a read of the primary as the other nodes' breakers judge theirs.
  ///
  /// - Parameter allowed: how long the read was allowed to take.
  /// - Returns: whether the primary failed it.
  func isFailure(allowed: Duration) -> Bool {
    switch self {
    case .notPrimary, .unprovableSnapshot: return true
    case .postgres(let error):
      if case .failure = CircuitBreaker.Ending(error, allowed: allowed) { return true }
      return false
    default: return false
    }
  }
}

extension CircuitBreaker.Ending {
  /// What an error says about the node.
  ///
  /// - Parameters:
  ///   - error: of a read or a probe.
  ///   - allowed: how long the call was allowed to take: one that had less than a second and did
  ///     not make it says more about its caller than about the node.
  init(_ error: PostgresError, allowed: Duration) {
    if case .conflict = NodeFault(error) {
      self = .neither
      return
    }
    switch error {
    case .connectFailed(let failure) where failure.kind == .outOfResources: self = .neither
    case .connectFailed(let failure): self = .failure("\(failure)")
    case .timedOut where allowed >= .seconds(1): self = .failure("no answer in time")
    case .disconnected, .protocolViolation: self = .failure("\(error)")
    case .server(let server) where NodeFault.isOutage(server.sqlstate):
      self = .failure("\(server)")
    case .server, .timedOut, .cancelled, .pipelineAborted, .closed, .poolFull, .waitTimedOut,
      .invalidDSN:
      self = .neither
    }
  }
}
