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

  private var followers: [WaitCell<Ending>] = []

  /// Waits until the leader is done, at most until `limit` or until the task is cancelled.
  func follow(until limit: MonotonicTime, on loop: EventLoop) async -> Ending {
    let cell = WaitCell<Ending>()
    var timer: TimerID?
    let ending = await cell.wait(cancelled: .timedOut) {
      followers.append(cell)
      timer = loop.schedule(at: limit) { cell.resume(.timedOut) }
    }
    if let timer { loop.cancel(timer) }
    return ending
  }

  /// The leader is done.
  func end(_ entry: CacheEntry?) {
    let all = followers
    followers = []
    for cell in all { cell.resume(entry.map(Ending.entry) ?? .nothing) }
  }
}
