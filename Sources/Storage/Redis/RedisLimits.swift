// How much and how long, for connections to Redis.

/// Bounds of one connection to Redis.
struct RedisLimits: Sendable {
  /// Requests sent and not answered, a pipeline being one: 4,096 × some 200 bytes of bookkeeping
  /// and words = 0.8 MiB; what waits for the socket has a bound of its own.
  var requestsMax = 4_096
  /// Bytes written and not yet taken by the socket; fills of the cache are the large ones.
  var outputBytesMax = 8 << 20
  /// One reply; an answer to 64 lookups of 64 KiB each has 4 MiB.
  var replyBytesMax = 8 << 20
  /// From the start of an attempt until Redis has introduced itself.
  var connectTimeout = Duration.seconds(2)
  /// A connection whose oldest request is unanswered so long is given up.
  var stallTimeout = Duration.seconds(1)
  /// Pause before the second attempt; it doubles.
  var backoffFirst = Duration.milliseconds(50)
  /// The pause grows no further.
  var backoffMax = Duration.seconds(5)
  /// Read at once; the buffer is the connection's own.
  var readBytes = 64 << 10
}

/// The pauses between attempts to connect: doubling, 20 % jitter.
struct RedisBackoff {
  private let first: Duration
  private let max: Duration
  private var failures = 0
  private var generator: any RandomNumberGenerator

  init(_ limits: RedisLimits, generator: any RandomNumberGenerator = SystemRandomNumberGenerator())
  {
    first = limits.backoffFirst
    max = limits.backoffMax
    self.generator = generator
  }

  /// The pause after one more failure.
  mutating func next() -> Duration {
    // 2^20 of any first pause is beyond every maximum.
    let plain = Swift.min(first * (1 << Swift.min(failures, 20)), max)
    failures += 1
    return plain * Double.random(in: 0.8...1.2, using: &generator)
  }

  /// The pauses start anew.
  mutating func reset() { failures = 0 }
}
