// Plain reads of entries: all that a hit needs, at half of what the script costs Redis.

/// One pipeline of lookups that neither take nor wait for a lease.
///
/// An entry is right by its position alone. That the epoch is ours is read *behind* the entries,
/// as others' calls may come in between: an epoch that stands then stood before, because none
/// comes back in a Redis process, and a connection leads to one. So a hit is what
/// `CacheScripts.get` would have answered when the entry was read.
struct CachePeek {
  /// The epoch taken part in.
  var epoch: String
  /// The run id of the Redis process that the connection has met.
  var run: String
  var keys: CacheKeys

  /// Reads the entries, then the epoch.
  func request(_ questions: some Sequence<CacheGetQuestion>) -> RedisPipeline {
    let prefix = Array("\(keys.entries)\(epoch):".utf8)
    var pipeline = RedisPipeline()
    for question in questions {
      pipeline.add { words in
        words.append("HMGET")
        words.append(prefix, question.key.bytes)
        words.append("l")
        words.append("v")
      }
    }
    pipeline.add { $0.append(RedisCommand("HMGET", keys.state, "epoch", "run")) }
    return pipeline
  }

  /// Judges the replies: all that is an answer is a hit.
  ///
  /// - Parameters:
  ///   - replies: to `request`, in their order.
  ///   - required: the position that each lookup requires.
  /// - Returns: hits, and nil where the script has to say more.
  /// - Throws: `.protocolViolation`.
  func answers(
    _ replies: [RedisReply],
    required: some Collection<PostgresLSN>
  ) throws(RedisError) -> CacheAnswers {
    guard let state = replies.last, replies.count == required.count + 1 else {
      throw .protocolViolation
    }
    guard state == .array([.bytes(Array(epoch.utf8)), .bytes(Array(run.utf8))]) else {
      return .noEpoch
    }
    var hits: [CacheGetAnswer?] = []
    hits.reserveCapacity(required.count)
    for (reply, required) in zip(replies, required) {
      hits.append(try CachePeek.hit(reply, required: required))
    }
    return .each(hits)
  }

  private static func hit(
    _ reply: RedisReply,
    required: PostgresLSN
  ) throws(RedisError) -> CacheGetAnswer? {
    guard case .array(let fields) = reply, fields.count == 2 else { throw .protocolViolation }
    // Without a value there may be a lease, or the floor of an invalidation.
    guard case .bytes(let position) = fields[0], case .bytes(let value) = fields[1] else {
      return nil
    }
    guard let lsn = PostgresLSN(cacheText: position[...]) else { throw .protocolViolation }
    return lsn >= required ? .hit(lsn: lsn, value: value) : nil
  }
}
