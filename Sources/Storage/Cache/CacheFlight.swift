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
  /// How it ended, for those who are on their way to wait.
  private var ending: Ending?

  /// Waits until the leader is done, at most until `limit` or until the task is cancelled.
  func follow(until limit: MonotonicTime, on loop: EventLoop) async -> Ending {
    let cell = WaitCell<Ending>()
    var timer: TimerID?
    let outcome = await cell.wait(cancelled: .timedOut) {
      // The loop may have turned since the caller saw the flight (see `WaitCell.wait`).
      if let ending {
        cell.resume(ending)
        return
      }
      followers.append(cell)
      timer = loop.schedule(at: limit) { cell.resume(.timedOut) }
    }
    if let timer { loop.cancel(timer) }
    return outcome
  }

  /// The leader is done.
  func end(_ entry: CacheEntry?) {
    let ending = entry.map(Ending.entry) ?? .nothing
    self.ending = ending
    let all = followers
    followers = []
    for cell in all { cell.resume(ending) }
  }
}
