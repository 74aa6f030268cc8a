internal import EventLoop

// The cache's numbers, in one place.

/// Bounds and times of one worker's cache.
struct CacheLimits: Sendable {
  /// How long a reader may take to fill.
  var lease = Duration.seconds(3)
  /// Pauses while somebody else holds the lease, 50 ms in all; then one reads without filling.
  var waits: [Duration] = [5, 10, 20, 15].map { .milliseconds($0) }
  /// A lookup not answered by then is a miss.
  var lookupTimeout = Duration.milliseconds(20)
  /// How long a reader waits for another one of the same worker that reads the same key.
  var followTimeout = Duration.milliseconds(250)
  /// How long an acknowledgement waits for its invalidation.
  var invalidationWait = Duration.milliseconds(20)
  /// After which an invalidation, or a fill, counts as lost.
  var writeTimeout = Duration.seconds(1)
  /// How long an entry lives, more or less by the jitter.
  var life = Duration.seconds(300)
  /// Part of `life` by which entries differ, so that they do not all go at once.
  var lifeJitter = 0.1
  /// How long the floor of an invalidated entry is kept; without it the high-water mark counts.
  var floorLife = Duration.seconds(60)
  /// Larger values are not kept: 64 lookups of one call then have 4 MiB at most.
  var valueBytesMax = 64 << 10
  /// Lookups sent in one call; they gather for one turn of the loop, and while as many calls as may
  /// be are under way.
  var lookupsPerCall = 64
  /// Calls under way: while one is answered, Redis has the next one already.
  var callsUnderWay = 2
  /// Keys in one call of an invalidation, so that Redis is never busy for long.
  var keysPerInvalidation = 512
  /// How often a cache shows that it is alive.
  var beatInterval = Duration.seconds(1)
  /// A cache that was silent so long has ended uncleanly: a new epoch begins.
  var missedAfter = Duration.seconds(5)

  /// Time to live of one entry.
  func jitteredLife(_ generator: inout some RandomNumberGenerator) -> Int64 {
    let factor = Double.random(in: (1 - lifeJitter)...(1 + lifeJitter), using: &generator)
    return (life * factor).wholeMillisecondsAtLeastOne
  }
}

extension Duration {
  /// For Redis, which takes no 0 as a time to live.
  var wholeMillisecondsAtLeastOne: Int64 { max(1, wholeMilliseconds) }
}
