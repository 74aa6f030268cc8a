// How many of the callers that wait go together into one statement.

/// The size of a group, where several groups are under way at once.
enum GroupSize {
  /// So many go together if there are as many.
  static let least = 16

  /// Half of all there are: callers that are answered all at once come back all at once, and then
  /// gateway and database would work in turns.
  ///
  /// - Parameters:
  ///   - waiting: how many wait.
  ///   - underWay: how many are in groups that are under way.
  ///   - most: how many one statement takes.
  /// - Returns: at least `least`, though fewer may wait, and at most `most`.
  static func next(waiting: Int, underWay: Int, most: Int) -> Int {
    max(least, min((waiting + underWay + 1) / 2, most))
  }
}
