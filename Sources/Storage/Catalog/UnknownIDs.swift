internal import EventLoop

// Which ids somebody wants to know.

/// Gathers unknown ids for the next question.
struct UnknownIDs {
  /// Ids in one question.
  static let questionMax = 32_768
  /// Pause after a question that had a negative answer: a client that makes ids up costs at most 20
  /// questions a second, and honest ones are only delayed.
  static let pause: Duration = .milliseconds(50)

  enum ID: Hashable {
    case entity(Int64, tenant: Int32)
    case attribute(UInt32, tenant: Int32)
  }

  /// A question that was answered: what of `ids` is not known now does not exist.
  struct Answer {
    var number: Int
    var ids: Set<ID>
  }

  private(set) var wanted: Set<ID> = []

  /// Adds to the next question, as long as it has room.
  mutating func want(_ ids: some Sequence<ID>) {
    for id in ids where wanted.count < UnknownIDs.questionMax { wanted.insert(id) }
  }

  /// The next question; what is wanted from now on belongs to the one after it.
  mutating func take() -> Set<ID> {
    defer { wanted = [] }
    return wanted
  }
}
