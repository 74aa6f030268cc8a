internal import Testing

@testable internal import EventLoop

@Suite("TimerQueue")
struct TimerQueueTests {
  /// What is done to a queue of letters; a cancel names the letter.
  enum Step: Sendable {
    case insert(UInt64, Character)
    case cancel(Character)
    case pop(UInt64, String)
  }

  @Test(
    "pops what is due, by deadline, then by insertion",
    arguments: [
      [.pop(9, "")],
      [.insert(3, "a"), .pop(2, ""), .pop(3, "a"), .pop(9, "")],
      [.insert(3, "a"), .insert(1, "b"), .insert(2, "c"), .pop(9, "bca")],
      [.insert(1, "a"), .insert(1, "b"), .insert(1, "c"), .insert(1, "d"), .pop(1, "abcd")],
      [.insert(1, "a"), .insert(2, "b"), .cancel("a"), .pop(9, "b")],
      [.insert(1, "a"), .cancel("a"), .cancel("a"), .insert(2, "b"), .cancel("a"), .pop(9, "b")],
      [.insert(1, "a"), .pop(1, "a"), .insert(5, "b"), .cancel("a"), .pop(5, "b")],
      [.insert(0, "a"), .insert(.max, "b"), .pop(.max - 1, "a"), .pop(.max, "b")],
      [
        .insert(1, "a"), .insert(9, "b"), .insert(2, "c"), .insert(10, "d"), .insert(11, "e"),
        .insert(3, "f"), .insert(4, "g"), .cancel("d"), .pop(99, "acfgbe"),
      ],
    ] as [[Step]]
  )
  func table(steps: [Step]) {
    var queue = TimerQueue<Character>()
    var ids: [Character: TimerID] = [:]
    for step in steps {
      switch step {
      case .insert(let deadline, let letter):
        ids[letter] = queue.insert(at: MonotonicTime(nanoseconds: deadline), letter)
      case .cancel(let letter):
        if let id = ids[letter] { _ = queue.cancel(id) }
      case .pop(let now, let expected):
        var popped = ""
        while let letter = queue.popDue(at: MonotonicTime(nanoseconds: now)) {
          popped.append(letter)
        }
        #expect(popped == expected)
      }
    }
  }

  @Test("a cancel gives the action back once")
  func cancelReturnsAction() {
    var queue = TimerQueue<Int>()
    let id = queue.insert(at: MonotonicTime(nanoseconds: 1), 7)
    #expect(queue.cancel(id) == 7)
    #expect(queue.cancel(id) == nil)
    #expect(queue.count == 0)
    #expect(queue.next == nil)
  }

  @Test("behaves like a sorted array", arguments: 1...40 as ClosedRange<UInt64>)
  func randomWalk(seed: UInt64) {
    var random = SplitMix(state: seed)
    var queue = TimerQueue<Int>()
    var model = SortedTimers()
    var ids: [TimerID] = []
    for number in 0..<2_000 {
      switch UInt64.random(in: 0..<10, using: &random) {
      case 0..<5:
        // Few different deadlines, so that equal ones are common.
        let deadline = MonotonicTime(nanoseconds: .random(in: 0..<64, using: &random))
        ids.append(queue.insert(at: deadline, number))
        model.insert(at: deadline, number, id: ids.count - 1)
      case 5..<8:
        guard let index = ids.indices.randomElement(using: &random) else { continue }
        #expect(queue.cancel(ids[index]) == model.cancel(id: index))
      default:
        let now = MonotonicTime(nanoseconds: .random(in: 0..<48, using: &random))
        for _ in 0..<4 { #expect(queue.popDue(at: now) == model.popDue(at: now)) }
      }
      #expect(queue.next == model.entries.first?.deadline)
      #expect(queue.count == model.entries.count)
    }
    while let value = queue.popDue(at: MonotonicTime(nanoseconds: .max)) {
      #expect(value == model.popDue(at: MonotonicTime(nanoseconds: .max)))
    }
    #expect(model.entries.isEmpty)
  }
}

/// The timer queue as one would write it without care for time.
private struct SortedTimers {
  var entries: [(deadline: MonotonicTime, value: Int, id: Int)] = []

  mutating func insert(at deadline: MonotonicTime, _ value: Int, id: Int) {
    let index = entries.firstIndex { $0.deadline > deadline } ?? entries.endIndex
    entries.insert((deadline, value, id), at: index)
  }

  mutating func cancel(id: Int) -> Int? {
    guard let index = entries.firstIndex(where: { $0.id == id }) else { return nil }
    return entries.remove(at: index).value
  }

  mutating func popDue(at now: MonotonicTime) -> Int? {
    guard let first = entries.first, first.deadline <= now else { return nil }
    return entries.removeFirst().value
  }
}

/// A generator that repeats itself for the same seed (Steele, Lea, Flood: SplitMix64).
private struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}
