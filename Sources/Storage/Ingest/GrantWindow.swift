// How many bytes a session may send: cumulative grants out of one budget.

/// Memory for values between socket and commit, shared by the sessions of one worker.
///
/// Counted in bytes of columns as they come over the wire. What a session may send is taken from
/// the budget when it is granted, and given back when it is written, so that all grants can be used
/// at once.
public struct IngestBudget: Sendable {
  /// Memory that one byte on the wire can need until it is durable: a number of 28 bytes becomes a
  /// COPY row of 70 and a staging row of 102, and the received frame is there for a moment as well.
  public static let expansion = 8

  /// Bytes that may be granted and unwritten at once.
  public let limitBytes: Int
  /// Bytes granted or received and not yet written.
  public private(set) var usedBytes = 0

  /// A budget that keeps memory under `memoryBytes`.
  public init(memoryBytes: Int) {
    limitBytes = max(memoryBytes / IngestBudget.expansion, 1)
  }

  /// Bytes that nobody has been granted.
  public var availableBytes: Int { limitBytes - usedBytes }

  /// Takes up to `bytes` out of the budget and says how many it took.
  mutating func take(_ bytes: Int) -> Int {
    let taken = max(0, min(bytes, availableBytes))
    usedBytes += taken
    return taken
  }

  mutating func giveBack(_ bytes: Int) {
    precondition(bytes <= usedBytes, "only what was taken is given back")
    usedBytes -= bytes
  }
}

/// The grant of one session; all numbers only rise.
public struct GrantWindow: Sendable {
  /// Window of a session that has shown no activity: two batches of 1,000 numbers.
  public static let initialBytes = 64 << 10
  /// Least first grant under pressure: one small batch.
  public static let leastBytes = 4 << 10
  /// Window of the most active sessions: what a worker writes in about 50 ms.
  public static let mostBytes = 4 << 20

  /// Bytes the session may have sent since it opened.
  public private(set) var grantedBytes = 0
  /// Bytes it has sent.
  public private(set) var receivedBytes = 0
  /// Bytes it has sent that are written.
  public private(set) var releasedBytes = 0

  private var windowBytes: Int
  private var wantedBytes = 0

  /// The first grant: small, and smaller the less is left for others.
  public init(_ budget: inout IngestBudget) {
    windowBytes = min(
      GrantWindow.initialBytes,
      max(GrantWindow.leastBytes, budget.availableBytes / 512)
    )
    grantedBytes = budget.take(windowBytes)
  }

  /// Counts a batch; false when it overruns the grant and must be refused.
  public mutating func receive(_ bytes: Int) -> Bool {
    guard receivedBytes + bytes <= grantedBytes else { return false }
    // A session that uses more than half of its window before any of it is written gets a larger
    // one.
    if grantedBytes - receivedBytes - bytes < windowBytes / 2 {
      windowBytes = min(windowBytes * 2, GrantWindow.mostBytes)
    }
    receivedBytes += bytes
    return true
  }

  /// The client has a batch that is larger than its grant.
  public mutating func want(_ bytes: Int) {
    wantedBytes = max(wantedBytes, min(bytes, GrantWindow.mostBytes))
  }

  /// Gives back what was written and grants anew.
  ///
  /// - Returns: whether the grant rose.
  public mutating func release(_ bytes: Int, _ budget: inout IngestBudget) -> Bool {
    releasedBytes += bytes
    precondition(releasedBytes <= receivedBytes, "only what was received is released")
    budget.giveBack(bytes)
    return extend(&budget)
  }

  /// Grants up to the window, as far as the budget allows.
  ///
  /// - Returns: whether the grant rose.
  public mutating func extend(_ budget: inout IngestBudget) -> Bool {
    let goal = max(releasedBytes + windowBytes, receivedBytes + wantedBytes)
    guard goal > grantedBytes else { return false }
    // Under pressure nobody takes more than a 64th of what is left, so that all go on slowly.
    let share = max(budget.availableBytes / 64, GrantWindow.leastBytes)
    let taken = budget.take(min(goal - grantedBytes, max(share, wantedBytes)))
    grantedBytes += taken
    if grantedBytes >= receivedBytes + wantedBytes { wantedBytes = 0 }
    return taken > 0
  }

  /// Whether the session could use more than it has been granted.
  public var isStarving: Bool {
    grantedBytes < max(releasedBytes + windowBytes / 2, receivedBytes + wantedBytes)
  }

  /// Gives everything back when the session ends; what it sent and is not written stays counted
  /// until `releaseAfterEnd`.
  public mutating func end(_ budget: inout IngestBudget) {
    budget.giveBack(grantedBytes - receivedBytes)
    grantedBytes = receivedBytes
  }

  /// Gives back what was written after the session ended.
  public mutating func releaseAfterEnd(_ bytes: Int, _ budget: inout IngestBudget) {
    releasedBytes += bytes
    precondition(releasedBytes <= receivedBytes, "only what was received is released")
    budget.giveBack(bytes)
  }
}
