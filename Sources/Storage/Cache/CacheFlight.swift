internal import EventLoop

// One read of a key under way in a worker, and those who wait for it.

/// A single flight: the first reader leads, the others follow.
///
/// Confined to the loop's thread.
final class CacheFlight {
  /// How following ended.
  enum Ending: Sendable {
    /// The leader's value, which may not be fresh enough for everybody.
    case entry(CacheEntry)
    /// The leader has none.
    case nothing
    case timedOut
  }

  /// One who waits, until it was told.
  private final class Follower {
    private var done: ((Ending) -> Void)?
    var timer: TimerID?

    init(_ done: @escaping (Ending) -> Void) { self.done = done }

    func tell(_ ending: Ending) { done.take()?(ending) }
  }

  private let loop: EventLoop
  private var followers: [Follower] = []
  /// How it ended, for those who come to know of it only then.
  private var ending: Ending?

  init(on loop: EventLoop) { self.loop = loop }

  /// Calls back once when the leader is done, or at `limit`; at once when it is done already.
  func follow(until limit: MonotonicTime, _ done: @escaping (Ending) -> Void) {
    if let ending { return done(ending) }
    let follower = Follower(done)
    follower.timer = loop.schedule(at: limit) { follower.tell(.timedOut) }
    followers.append(follower)
  }

  /// The leader is done.
  func end(_ entry: CacheEntry?) {
    let ending = entry.map(Ending.entry) ?? .nothing
    self.ending = ending
    let all = followers
    followers = []
    for follower in all {
      if let timer = follower.timer { loop.cancel(timer) }
      follower.tell(ending)
    }
  }
}
