internal import DequeModule
internal import EventLoop

// Groups on their way to a writer: one that fills, those that wait, and the writer's sleep.

/// The queue between sessions and the one task that writes; confined to the worker's loop.
final class LaneQueue {
  /// Why a sleep is over.
  enum Wake {
    /// Something is to be done.
    case called
    /// The limit has passed.
    case timePassed
  }

  private let loop: EventLoop
  private let isStaged: Bool
  private var filling: LaneGroup
  private var full = Deque<LaneGroup>()
  private var spares: [LaneGroup] = []
  private var sleeper: CheckedContinuation<Wake, Never>?
  private var alarm: TimerID?
  private(set) var waitingBytes = 0

  init(loop: EventLoop, isStaged: Bool) {
    self.loop = loop
    self.isStaged = isStaged
    filling = LaneGroup(isStaged: isStaged)
  }

  /// When the oldest batch in it came; nil when it is empty.
  var waitingSince: MonotonicTime? { (full.first ?? filling).startedAt }

  var isEmpty: Bool { full.isEmpty && filling.isEmpty }

  /// Encodes a batch into the group that fills, and wakes the writer.
  func append(_ batch: LaneBatch, _ columns: borrowing BatchColumns, hot: [UInt32]) {
    let before = filling.bytes
    filling.append(batch, columns, hot: hot, now: loop.now)
    waitingBytes += filling.bytes - before
    if filling.isFull {
      full.append(filling)
      filling = spares.popLast() ?? LaneGroup(isStaged: isStaged)
    }
    wake()
  }

  /// Adds a group that another lane has filled.
  func append(_ group: LaneGroup) {
    waitingBytes += group.bytes
    full.append(group)
  }

  /// Takes the oldest group; nil when nothing waits.
  func take() -> LaneGroup? {
    let group: LaneGroup
    if let first = full.popFirst() {
      group = first
    } else {
      guard !filling.isEmpty else { return nil }
      group = filling
      filling = spares.popLast() ?? LaneGroup(isStaged: isStaged)
    }
    waitingBytes -= group.bytes
    return group
  }

  /// Gives a written group back for the next batches.
  func recycle(_ group: LaneGroup) {
    guard spares.count < LaneLimits.spareGroups else { return }
    group.reset()
    spares.append(group)
  }

  /// Sleeps until `wake()` or until `limit` has passed.
  @discardableResult
  func sleep(atMost limit: Duration? = nil) async -> Wake {
    precondition(sleeper == nil, "one task writes")
    return await withCheckedContinuation { continuation in
      sleeper = continuation
      if let limit {
        alarm = loop.schedule(at: loop.now + limit) { [weak self] in
          self?.alarm = nil
          self?.wake(.timePassed)
        }
      }
    }
  }

  /// Wakes the writer if it sleeps.
  func wake(_ reason: Wake = .called) {
    if let alarm { loop.cancel(alarm) }
    alarm = nil
    guard let continuation = sleeper else { return }
    sleeper = nil
    continuation.resume(returning: reason)
  }
}
