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
  public private(set) var limitBytes = 1
  /// Bytes granted or received and not yet written.
  public private(set) var usedBytes = 0
  /// Bytes received and not yet written: what will come back by itself.
  public private(set) var receivedBytes = 0

  /// A budget that keeps memory under `memoryBytes`.
  public init(memoryBytes: Int) {
    resize(memoryBytes: memoryBytes)
  }

  /// Changes the limit; when more is used already, nothing is granted until enough came back.
  public mutating func resize(memoryBytes: Int) {
    limitBytes = max(memoryBytes / IngestBudget.expansion, 1)
  }

  /// Bytes that nobody has been granted.
  public var availableBytes: Int { max(0, limitBytes - usedBytes) }
  /// Bytes granted to sessions that have not used them.
  public var unusedBytes: Int { usedBytes - receivedBytes }

  mutating func take(_ bytes: Int) { usedBytes += bytes }
  mutating func receive(_ bytes: Int) { receivedBytes += bytes }

  /// Takes back a grant that will not be used.
  mutating func revoke(_ bytes: Int) {
    precondition(bytes <= unusedBytes, "only what was granted is given back")
    usedBytes -= bytes
  }

  /// Takes back what was written.
  mutating func release(_ bytes: Int) {
    precondition(bytes <= receivedBytes, "only what was received is given back")
    usedBytes -= bytes
    receivedBytes -= bytes
  }
}

/// The grant of one session; all numbers only rise.
///
/// Nobody takes for itself: a session says that it is starving, and is fed in its turn.
public struct GrantWindow: Sendable {
  /// Window of a session that has shown no activity: two batches of 1,000 numbers.
  public static let initialBytes = 64 << 10
  /// Least grant: one small batch.
  public static let leastBytes = 4 << 10
  /// Window of the most active sessions: what a worker writes in about 50 ms.
  public static let mostBytes = 4 << 20

  /// Bytes the session may have sent since it opened.
  public private(set) var grantedBytes = 0
  /// Bytes it has sent.
  public private(set) var receivedBytes = 0
  /// Bytes it has sent that are written.
  public private(set) var releasedBytes = 0

  private var windowBytes = GrantWindow.initialBytes
  private var wantedBytes = 0

  /// The first grant: small, and smaller the less is left for others.
  ///
  /// Half of the budget is for those who ask: then the first grant is nothing, so that sessions
  /// that never send cannot use the budget up.
  public init(_ budget: inout IngestBudget) {
    guard budget.availableBytes > budget.limitBytes / 2 else { return }
    let share = max(GrantWindow.leastBytes, budget.availableBytes / 512)
    grantedBytes = min(GrantWindow.initialBytes, share, budget.availableBytes)
    budget.take(grantedBytes)
  }

  /// Bytes it may send and has not.
  public var unusedBytes: Int { grantedBytes - receivedBytes }

  /// Counts a batch; false when it overruns the grant and must be refused.
  public mutating func receive(_ bytes: Int, _ budget: inout IngestBudget) -> Bool {
    guard bytes <= unusedBytes else { return false }
    // A session that uses more than half of its window before any of it is written gets a larger
    // one.
    if unusedBytes - bytes < windowBytes / 2 {
      windowBytes = min(windowBytes * 2, GrantWindow.mostBytes)
    }
    receivedBytes += bytes
    budget.receive(bytes)
    return true
  }

  /// The client has a batch that is larger than its grant.
  public mutating func want(_ bytes: Int) {
    wantedBytes = max(wantedBytes, min(bytes, GrantWindow.mostBytes))
  }

  /// Gives back what was written.
  public mutating func release(_ bytes: Int, _ budget: inout IngestBudget) {
    releasedBytes += bytes
    precondition(releasedBytes <= receivedBytes, "only what was received is released")
    budget.release(bytes)
  }

  /// Whether the session has a use for more than it has been granted.
  public var isStarving: Bool {
    isBlocked || receivedBytes > 0 && grantedBytes < releasedBytes + windowBytes / 2
  }

  /// Whether its client has a batch that it may not send.
  public var isBlocked: Bool { missingBytes > 0 }

  /// Bytes without which the batch that the client has at hand cannot be sent.
  private var missingBytes: Int {
    wantedBytes > 0 ? max(0, receivedBytes + wantedBytes - grantedBytes) : 0
  }

  /// Grants up to the window, as far as the budget allows; a batch that the client has at hand is
  /// granted whole or not at all.
  ///
  /// Half a batch is of no use to anybody, and half batches for many could use the budget up.
  /// Nobody holds more than a quarter of what is left: n busy sessions come to have 1/(n + 4) each.
  /// When nothing is left and nothing is under way that would bring something back, one batch is
  /// granted beyond the limit: so there is always somebody who goes on.
  ///
  /// - Returns: whether the grant rose.
  public mutating func extend(_ budget: inout IngestBudget) -> Bool {
    let missing = missingBytes
    let share = max(budget.availableBytes / 4, GrantWindow.leastBytes)
    let goal = max(releasedBytes + min(windowBytes, share), grantedBytes + missing)
    guard goal > grantedBytes else { return false }
    let isStuck =
      missing > 0 && budget.receivedBytes == 0 && budget.usedBytes <= budget.limitBytes
    guard budget.availableBytes >= max(missing, 1) || isStuck else { return false }
    let taken = max(min(goal - grantedBytes, budget.availableBytes), missing)
    budget.take(taken)
    grantedBytes += taken
    wantedBytes = 0
    return true
  }

  /// Gives the unused grant back when the session ends; what it sent and is not written stays
  /// counted until it is released.
  public mutating func end(_ budget: inout IngestBudget) {
    budget.revoke(unusedBytes)
    grantedBytes = receivedBytes
  }
}
