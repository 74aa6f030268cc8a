internal import EventLoop

// Which ids somebody wants to know, and which were asked for lately and do not exist.

/// Gathers unknown ids for the next question, and remembers negative answers for a while.
struct UnknownIDs {
  /// Ids in one question: 16 batches with as many unknown ids as `BatchCheck` tells.
  static let questionMax = 32_768
  /// Negative answers kept: 65,536 of some 50 bytes are 3.3 MB.
  static let absentMax = 65_536
  /// How long a negative answer holds.
  static let absentFor: Duration = .seconds(1)
  /// Pause after a question that had a negative answer: a client that makes ids up costs at most 20
  /// questions a second, and honest ones are only delayed.
  static let pause: Duration = .milliseconds(50)

  enum ID: Hashable {
    case entity(Int64, tenant: Int32)
    case attribute(UInt32, tenant: Int32)
  }

  private(set) var wanted: Set<ID> = []
  private var absent: [ID: MonotonicTime] = [:]

  /// Whether the id was found not to exist less than `absentFor` ago.
  func isAbsent(_ id: ID, now: MonotonicTime) -> Bool {
    guard let until = absent[id] else { return false }
    return now < until
  }

  /// Adds to the next question, as long as it has room.
  mutating func want(_ ids: [ID]) {
    for id in ids where wanted.count < UnknownIDs.questionMax { wanted.insert(id) }
  }

  /// The next question; what is wanted from now on belongs to the one after it.
  mutating func take() -> Set<ID> {
    defer { wanted = [] }
    return wanted
  }

  mutating func setAbsent(_ ids: some Sequence<ID>, now: MonotonicTime) {
    for id in ids {
      if absent.count >= UnknownIDs.absentMax { absent = absent.filter { now < $0.value } }
      // All of them fresh: the pause alone protects then.
      if absent.count >= UnknownIDs.absentMax { absent.removeAll() }
      absent[id] = now + UnknownIDs.absentFor
    }
  }

  mutating func setPresent(_ id: ID) { absent[id] = nil }
}
