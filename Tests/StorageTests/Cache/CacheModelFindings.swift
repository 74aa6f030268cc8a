@testable import Storage

// What a run of the cache's model takes, and what it finds.

/// The scripts under test, or mutants of them.
struct ModelScripts {
  var get = CacheScripts.get
  var set = CacheScripts.set
  var invalidate = CacheScripts.invalidate
  var beat = CacheScripts.beat
  /// What plain reads do not look at.
  var peekIgnores = PeekFault.nothing

  /// Faults of plain reads, which have no script to change.
  enum PeekFault { case nothing, required, run, epoch }

  var all: [RedisScript] { [get, set, invalidate, beat] }
}

/// What a run found.
struct ModelFindings: Equatable, CustomStringConvertible {
  /// Answers older than the position they claim, or claiming less than was required.
  var staleAnswers = 0
  /// Fills accepted without a write whose invalidation had arrived.
  var staleSets = 0
  /// Answers without a write whose invalidation had arrived.
  var staleHits = 0
  var hits = 0
  var fills = 0
  var refusals: [CacheSetAnswer: Int] = [:]
  var waits = 0
  var epochs = 0

  var violations: Int { staleAnswers + staleSets + staleHits }

  var description: String {
    let refused = refusals.map { "\($0.key) \($0.value)" }.sorted().joined(separator: ", ")
    return """
      \(hits) hits, \(fills) fills, refused: \(refused), \(waits) waits, \(epochs) epochs; \
      stale answers \(staleAnswers), stale sets \(staleSets), stale hits \(staleHits)
      """
  }
}
