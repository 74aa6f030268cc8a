internal import DequeModule
internal import EventLoop

// Upserts on their way to a writer: those that wait, and the sleep of the writers.

/// Limits of upserts on one worker.
public enum UpsertLimits {
  /// Values of one upsert.
  public static let valuesMax = 1_000
  /// Texts and documents of one upsert.
  public static let textBytesMax = 1 << 20
  /// Upserts that wait; one more is refused.
  static let waitingMax = 4_096
  /// Memory of those that wait.
  static let waitingBytesMax = 16 << 20
  /// Upserts of one transaction: what takes about 10 ms.
  static let groupMax = 256
  /// Memory of one transaction.
  static let groupBytesMax = 2 << 20
  /// Connections of a worker: while one waits for the disk, the other one executes.
  static let connectionsMax = 2
  /// How long a transaction may take.
  static let transactionTime: Duration = .seconds(20)
  /// How often a transaction that was in another one's way is tried again.
  static let retriesMax = 5
}

/// The queue between callers and writers; confined to the worker's loop.
final class UpsertQueue {
  /// An upsert and whoever waits for it.
  final class Entry {
    let upsert: Upsert
    let deadline: MonotonicTime
    /// Whether a transaction with it has been sent and its end is not known yet.
    var isUnderWay = false
    /// Expires it at the deadline.
    var timer: TimerID?
    /// Nil when it has been called.
    private var done: UpsertLane.Done?

    init(_ upsert: Upsert, deadline: MonotonicTime, _ done: @escaping UpsertLane.Done) {
      self.upsert = upsert
      self.deadline = deadline
      self.done = done
    }

    /// Tells what has become of it, unless that was told before.
    func end(_ outcome: Result<UpsertOutcome, StorageError>) { done.take()?(outcome) }

    /// Tells that its time is over; what is not under way will not be written any more.
    func expire() { end(.failure(isUnderWay ? .outcomeUnknown : .postgres(.waitTimedOut))) }
  }

  private var entries = Deque<Entry>()
  private var sleepers: [WaitCell<Bool>] = []
  private(set) var waitingBytes = 0

  var count: Int { entries.count }
  var isEmpty: Bool { entries.isEmpty }

  /// Adds an entry and wakes a writer; false when there is no room.
  func append(_ entry: Entry) -> Bool {
    let bytes = waitingBytes + entry.upsert.bytes
    guard entries.count < UpsertLimits.waitingMax, bytes <= UpsertLimits.waitingBytesMax else {
      return false
    }
    waitingBytes = bytes
    entries.append(entry)
    sleepers.popLast()?.resume(true)
    return true
  }

  /// Takes what goes into one transaction, oldest first.
  ///
  /// - Parameter written: how many are being written at the moment.
  /// - Returns: the upserts; none when none wait.
  func takeGroup(beside written: Int) -> [Entry] {
    let count = GroupSize.next(
      waiting: entries.count,
      underWay: written,
      most: UpsertLimits.groupMax
    )
    var group: [Entry] = []
    var bytes = 0
    while let first = entries.first, group.count < count {
      bytes += first.upsert.bytes
      guard group.isEmpty || bytes <= UpsertLimits.groupBytesMax else { break }
      waitingBytes -= first.upsert.bytes
      group.append(entries.removeFirst())
    }
    return group
  }

  /// Sleeps until there is something, or until `wakeAll`.
  func sleep() async {
    let cell = WaitCell<Bool>()
    _ = await cell.wait { sleepers.append(cell) }
  }

  func wakeAll() {
    let all = sleepers
    sleepers.removeAll()
    for sleeper in all { sleeper.resume(false) }
  }
}
