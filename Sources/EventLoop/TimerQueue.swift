// Keeps what is to happen at which time; a binary heap whose entries can be taken back.

/// Names a scheduled timer until it fires or is cancelled; stale ids are recognised.
public struct TimerID: Hashable, Sendable {
  let slot: UInt32
  let generation: UInt32
}

/// Timers by deadline: insert, cancel and pop in O(log n), with nothing left behind by a cancel.
struct TimerQueue<Action> {
  private struct Slot {
    var deadline: MonotonicTime
    var generation: UInt32
    var heapIndex: Int
    var action: Action?
  }

  private var slots: [Slot] = []
  private var free: [UInt32] = []
  private var heap: [UInt32] = []

  /// The earliest deadline, if anything is scheduled.
  var next: MonotonicTime? { heap.first.map { slots[Int($0)].deadline } }

  var count: Int { heap.count }

  /// Adds an action to be popped at `deadline`.
  mutating func insert(at deadline: MonotonicTime, _ action: Action) -> TimerID {
    let slot: UInt32
    if let reused = free.popLast() {
      slot = reused
      slots[Int(slot)].deadline = deadline
      slots[Int(slot)].action = action
      slots[Int(slot)].heapIndex = heap.count
    } else {
      slot = UInt32(slots.count)
      slots.append(
        Slot(deadline: deadline, generation: 0, heapIndex: heap.count, action: action)
      )
    }
    heap.append(slot)
    siftUp(heap.count - 1)
    return TimerID(slot: slot, generation: slots[Int(slot)].generation)
  }

  /// Takes a timer back. A timer that has fired or was cancelled is left alone.
  mutating func cancel(_ id: TimerID) {
    guard id.slot < slots.count, slots[Int(id.slot)].generation == id.generation else { return }
    _ = remove(at: slots[Int(id.slot)].heapIndex)
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
    slots[Int(heap[left])].deadline < slots[Int(heap[right])].deadline
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
      var earliest = index
      for child in [2 * index + 1, 2 * index + 2] where child < heap.count {
        if isEarlier(child, earliest) { earliest = child }
      }
      guard earliest != index else { return }
      swap(index, earliest)
      index = earliest
    }
  }
}
