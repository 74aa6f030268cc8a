// Walks the values of a batch that are to be written, in runs between those that are not.

/// Runs of indexes within each section, section by section.
struct RowSelection: ~Escapable {
  /// Index in the batch of the current section's first value.
  private(set) var first = 0
  private var count = 0
  private var next = 0
  private let skipping: Int
  private let rejects: Span<RejectedValue>
  private var rejectIndex = 0

  /// `rejects` rise by index.
  @_lifetime(copy rejects)
  init(skipping: Int, rejects: Span<RejectedValue>) {
    self.skipping = skipping
    self.rejects = rejects
  }

  /// Goes on to the next section that is not empty.
  @_lifetime(self: copy self)
  mutating func enter(_ sectionCount: Int) {
    first += count
    count = sectionCount
    next = min(max(skipping - first, 0), count)
    while rejectIndex < rejects.count, Int(rejects[rejectIndex].index) < first + next {
      rejectIndex += 1
    }
  }

  /// The next run of indexes in the section; nil at its end.
  @_lifetime(self: copy self)
  mutating func nextRun() -> Range<Int>? {
    while next < count {
      let start = next
      var end = count
      if rejectIndex < rejects.count, Int(rejects[rejectIndex].index) < first + count {
        end = Int(rejects[rejectIndex].index) - first
        rejectIndex += 1
        next = end + 1
      } else {
        next = count
      }
      if start < end { return start..<end }
    }
    return nil
  }
}
