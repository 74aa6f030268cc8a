// How many of the primary's read connections others than STRONG reads may use.

/// Keeps reads that replicas cannot answer from flooding the primary.
///
/// Where there is no replica the primary is everybody's ordinary source and nothing is limited.
struct FallbackBudget {
  /// The most reads at once.
  let usesMax: Int
  private(set) var uses = 0

  /// A budget out of this many connections: a quarter of them, and two at the least, where one is
  /// left for STRONG reads.
  init(connections: Int, hasReplicas: Bool) {
    usesMax = hasReplicas ? min(max(2, connections / 4), max(1, connections - 1)) : .max
  }

  var isSpent: Bool { uses >= usesMax }

  /// Takes a place; false when there is none.
  mutating func take() -> Bool {
    guard !isSpent else { return false }
    uses += 1
    return true
  }

  mutating func giveBack() {
    precondition(uses > 0, "only what was taken is given back")
    uses -= 1
  }
}
