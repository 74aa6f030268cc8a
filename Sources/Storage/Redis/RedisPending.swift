internal import DequeModule
internal import EventLoop

// Requests that wait for their replies, in the order in which they were sent.

/// The queue of one connection: a pure state machine, time is a parameter.
///
/// A request whose deadline came is told at once; its place stays until its reply came, because
/// replies have no names. A pipeline has one place for all of its replies.
struct RedisPending {
  typealias Reply = (Result<RedisReply, RedisError>) -> Void

  private struct Entry {
    let sentAt: MonotonicTime
    let deadline: MonotonicTime
    /// Replies that have not come yet.
    var repliesLeft: Int
    /// nil once it was told that none will come in time.
    var reply: Reply?
  }

  private var entries: Deque<Entry> = []

  /// Places taken, also of requests that were told already.
  var count: Int { entries.count }

  /// When the oldest request was sent.
  var oldest: MonotonicTime? { entries.first?.sentAt }

  /// The earliest deadline of a request that was not told yet.
  var nextDeadline: MonotonicTime? {
    entries.lazy.filter { $0.reply != nil }.map(\.deadline).min()
  }

  /// Takes a place; `reply` is called with each of so many replies, and no more once it was told
  /// that their time or the connection is over.
  mutating func append(
    sentAt: MonotonicTime,
    deadline: MonotonicTime,
    replies: Int = 1,
    _ reply: @escaping Reply
  ) {
    entries.append(
      Entry(sentAt: sentAt, deadline: deadline, repliesLeft: replies, reply: reply)
    )
  }

  /// The place that the next reply belongs to.
  ///
  /// - Returns: false when there is none: a reply nobody asked for.
  mutating func takeFirst() -> (isExpected: Bool, reply: Reply?) {
    guard !entries.isEmpty else { return (false, nil) }
    entries[0].repliesLeft -= 1
    let reply = entries[0].reply
    if entries[0].repliesLeft == 0 { entries.removeFirst() }
    return (true, reply)
  }

  /// Those whose deadline has come.
  mutating func takeExpired(now: MonotonicTime) -> [Reply] {
    var expired: [Reply] = []
    for index in entries.indices where entries[index].deadline <= now {
      if let reply = entries[index].reply.take() { expired.append(reply) }
    }
    return expired
  }

  /// All that were not told yet; nothing is left.
  mutating func takeAll() -> [Reply] {
    let all = entries.compactMap(\.reply)
    entries.removeAll()
    return all
  }
}
