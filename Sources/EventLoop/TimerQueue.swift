// Keeps what is to happen at which time; a binary heap whose entries can be taken back.

/// Names a scheduled timer until it fires or is cancelled; stale ids are recognised.
public struct TimerID: Hashable, Sendable {
  let slot: UInt32
  let generation: UInt32
}

/// Timers by deadline, equal ones by insertion: insert, cancel and pop in O(log n).
///
/// A cancel leaves nothing behind.
struct TimerQueue<Action> {
  private struct Slot {
    var deadline: MonotonicTime
    var order: UInt64
    var generation: UInt32
    var heapIndex: Int
    var action: Action?
  }

  private var slots: [Slot] = []
  private var free: [UInt32] = []
  private var heap: [UInt32] = []
  private var insertionCount: UInt64 = 0

  /// The earliest deadline, if anything is scheduled.
  var next: MonotonicTime? { heap.first.map { slots[Int($0)].deadline } }

  var count: Int { heap.count }

  /// Adds an action to be popped at `deadline`.
  mutating func insert(at deadline: MonotonicTime, _ action: Action) -> TimerID {
    let slot: UInt32
    insertionCount += 1
    if let reused = free.popLast() {
      slot = reused
      slots[Int(slot)].deadline = deadline
      slots[Int(slot)].order = insertionCount
      slots[Int(slot)].heapIndex = heap.count
      slots[Int(slot)].action = action
    } else {
      slot = UInt32(slots.count)
      slots.append(
        Slot(
          deadline: deadline,
          order: insertionCount,
          generation: 0,
          heapIndex: heap.count,
          action: action
        )
      )
    }
    heap.append(slot)
    siftUp(heap.count - 1)
    return TimerID(slot: slot, generation: slots[Int(slot)].generation)
  }

  /// Takes a timer back; one that has fired or was cancelled is left alone.
  ///
  /// - Returns: its action, for the caller to release; nil when it was left alone.
  mutating func cancel(_ id: TimerID) -> Action? {
    guard id.slot < slots.count, slots[Int(id.slot)].generation == id.generation else { return nil }
    return remove(at: slots[Int(id.slot)].heapIndex)
  }

  /// The action of the earliest timer that is due at `now`, removed; nil when none is.
  mutating func popDue(at now: MonotonicTime) -> Action? {
    guard let next, next <= now else { return nil }
    return remove(at: 0)
  }

  private mutating func remove(at index: Int) -> Action? {
    let slot = heap[index]
    let last = heap.removeLast()
    if index < heap.count {
      heap[index] = last
      slots[Int(last)].heapIndex = index
      siftDown(index)
      siftUp(index)
    }
    slots[Int(slot)].generation &+= 1
    free.append(slot)
    return slots[Int(slot)].action.take()
  }

  private func isEarlier(_ left: Int, _ right: Int) -> Bool {
    let left = Int(heap[left])
    let right = Int(heap[right])
    return (slots[left].deadline, slots[left].order) < (slots[right].deadline, slots[right].order)
  }

  private mutating func swap(_ left: Int, _ right: Int) {
    heap.swapAt(left, right)
    slots[Int(heap[left])].heapIndex = left
    slots[Int(heap[right])].heapIndex = right
  }

  private mutating func siftUp(_ start: Int) {
    var index = start
    while index > 0, isEarlier(index, (index - 1) / 2) {
      swap(index, (index - 1) / 2)
      index = (index - 1) / 2
    }
  }

  private mutating func siftDown(_ start: Int) {
    var index = start
    while true {
      var child = 2 * index + 1
      guard child < heap.count else { return }
      if child + 1 < heap.count, isEarlier(child + 1, child) { child += 1 }
      guard isEarlier(child, index) else { return }
      swap(index, child)
      index = child
    }
  }
}
