internal import EventLoop

// Whether the cache may be used, and under which epoch: a pure state machine.

/// What one cache knows about its Redis, about the primary's position and about what it owes.
///
/// Time is a parameter; whoever holds it sends the beats it asks for.
struct CacheEpoch {
  /// One call of `CacheScripts.beat`.
  struct Beat: Equatable {
    var run: String
    /// Also names the history whose keys are meant.
    var position: FreshnessToken
    /// The claim that `position` is new enough for.
    var heldClaim: String?
    var owes: Bool
  }

  private struct Claim {
    var id: String
    var since: MonotonicTime
  }

  /// Of the Redis process at the other end; nil without a connection.
  private(set) var run: String?
  /// The epoch we take part in; nil while the cache may not be used.
  private(set) var epoch: String?
  /// The last position of the primary, and the time before which it was asked for.
  private(set) var position: FreshnessToken?
  private var positionAt = MonotonicTime(nanoseconds: 0)
  private var claim: Claim?
  /// Whether an invalidation of ours may be missing in Redis.
  private(set) var owes = false
  /// Losses so far, and how many of them the beat under way pays for.
  private var lossCount = 0
  private var paidLossCount = 0
  private var isBeating = false
  /// How often another epoch was joined than the one before.
  private(set) var changeCount = 0
  private var lastEpoch: String?

  /// How lookups are made; nil while the cache may not be used.
  var peek: CachePeek? {
    guard let epoch, let run, let position else { return nil }
    return CachePeek(epoch: epoch, run: run, keys: CacheKeys(position))
  }

  mutating func connected(run: String) {
    self.run = run
    forget()
    isBeating = false
  }

  mutating func disconnected() {
    run = nil
    forget()
    isBeating = false
  }

  /// Takes the primary's position and a time before which the primary was asked for it.
  ///
  /// - Returns: true when a beat would lead on.
  mutating func observed(_ token: FreshnessToken, at time: MonotonicTime) -> Bool {
    if let position,
      position.systemIdentifier != token.systemIdentifier
        || position.timeline != token.timeline
    {
      forget()
    }
    position = token
    positionAt = time
    return epoch == nil
  }

  /// A script found no epoch.
  mutating func gone() { epoch = nil }

  /// An invalidation may not have reached Redis: entries that lack its write must not live on.
  mutating func lostInvalidation() {
    owes = true
    lossCount += 1
  }

  /// The beat to send; nil while one is under way, or before there is somebody to send it to and a
  /// position to send.
  mutating func nextBeat() -> Beat? {
    guard !isBeating, let run, let position else { return nil }
    isBeating = true
    paidLossCount = lossCount
    // A position read before the claim was got may lie below an invalidation that Redis forgot.
    let held = claim.flatMap { positionAt > $0.since ? $0.id : nil }
    return Beat(run: run, position: position, heldClaim: held, owes: owes)
  }

  /// Takes the answer to the beat under way.
  ///
  /// - Parameters:
  ///   - beat: what was asked.
  ///   - answer: nil when there was none.
  ///   - now: when the answer came.
  mutating func answered(_ beat: Beat, _ answer: CacheBeatAnswer?, now: MonotonicTime) {
    // Of a connection that is gone.
    guard isBeating, beat.run == run else { return }
    isBeating = false
    // Of another history.
    guard let position, CacheKeys(position) == CacheKeys(beat.position), let answer else { return }
    if beat.owes, paidLossCount == lossCount { owes = false }
    switch answer {
    case .joined(let id):
      claim = nil
      epoch = id
      if id != lastEpoch {
        if lastEpoch != nil { changeCount += 1 }
        lastEpoch = id
      }
    case .claim(let id):
      epoch = nil
      if claim?.id != id { claim = Claim(id: id, since: now) }
    }
  }

  private mutating func forget() {
    epoch = nil
    claim = nil
  }
}
