internal import EventLoop

// What must be proven for a read, and by whom that can be done.

/// The row of the table of levels and the position that an answer must hold.
struct ReadGoal: Equatable {
  var kind: ReadPlan.Kind
  /// What a replica or the warehouse must hold; nil when nothing they hold can be enough.
  var position: FreshnessToken?
  /// Whether tokens are among what asks for that: an estimate will not do.
  var hasFloor = false

  /// The goal of a read that comes in now.
  ///
  /// - Parameters:
  ///   - requirement: what was asked for.
  ///   - ring: what is known of the primary's log.
  ///   - now: `requirement.level`'s bound counts from here.
  /// - Throws: `.tokenOfOtherCluster`, `.tokenOfOtherTimeline`.
  init(
    _ requirement: ReadRequirement,
    _ ring: LSNRing,
    now: MonotonicTime
  ) throws(StorageError) {
    var floor: FreshnessToken?
    for (name, token) in requirement.tokens {
      if let log = ring.identity ?? floor?.identity { try token.check(isOf: log, name) }
      let needed = name == .ofLevel ? token.upToHeld : token.asFloor(of: requirement.level)
      ReadGoal.raise(&floor, needed)
    }
    if let session = requirement.sessionToken, requirement.level.heedsSession {
      guard session.identity == ring.identity ?? floor?.identity ?? session.identity else {
        // A failover lies between, and positions of two histories cannot be compared: the primary
        // has whatever is left of what this connection wrote.
        self.init(kind: .budgetedPrimary, position: nil)
        return
      }
      ReadGoal.raise(&floor, session)
    }
    switch requirement.level {
    case .strong: self.init(kind: .primary, position: nil)
    case .analytics(let bound):
      self.init(kind: .warehouse, position: ReadGoal.position(bound, ring, now, floor))
      hasFloor = floor != nil
    case _ where requirement.includesStaged: self.init(kind: .budgetedPrimary, position: nil)
    case .atLeast: self.init(kind: .replicas(waits: true), position: floor)
    case .eventual(let bound):
      let position = ReadGoal.position(bound, ring, now, floor)
      // A token is waited for, however it came here.
      self.init(kind: .replicas(waits: position != nil && position == floor), position: position)
    }
  }

  private init(kind: ReadPlan.Kind, position: FreshnessToken?) {
    self.kind = kind
    self.position = position
  }

  /// Whether a proof is enough.
  func isMet(by proof: FreshnessToken) -> Bool {
    guard let position, !hasFloor || !proof.isEstimated else { return false }
    return proof.identity == position.identity && proof.lsn >= position.lsn
  }

  /// The higher one of a floor and a token of the same history.
  private static func raise(_ floor: inout FreshnessToken?, _ token: FreshnessToken) {
    if floor.map({ $0.lsn < token.lsn }) ?? true { floor = token }
  }

  /// P of the oldest sample not older than the bound, or the floor when that is higher; nil when
  /// there is no such sample.
  private static func position(
    _ bound: Duration,
    _ ring: LSNRing,
    _ now: MonotonicTime,
    _ floor: FreshnessToken?
  ) -> FreshnessToken? {
    guard let identity = ring.identity, let lsn = ring.required(bound: bound, now: now) else {
      return nil
    }
    return FreshnessToken(identity, max(lsn, floor?.lsn ?? lsn))
  }
}

extension FreshnessToken {
  /// What an answer must hold that is to show nothing older than the answer of this token did.
  ///
  /// A report after a report comes from the same server, whose snapshots never go back.
  fileprivate func asFloor(of level: ReadLevel) -> FreshnessToken {
    if isOfWarehouse, case .analytics = level { return upToHeld }
    return FreshnessToken(identity, max(lsn, seen ?? lsn))
  }

  /// The position that it proves, alone.
  fileprivate var upToHeld: FreshnessToken { FreshnessToken(identity, lsn) }
}

extension ReadLevel {
  /// Whether a connection's own writes are to be looked after: the primary has them all, and a
  /// report need not wait for the feed of the warehouse to bring what was written a moment ago.
  fileprivate var heedsSession: Bool {
    switch self {
    case .atLeast, .eventual: true
    case .strong, .analytics: false
    }
  }
}
