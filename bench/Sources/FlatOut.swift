internal import Client
internal import EventLoop
internal import Wire

// As fast as it goes: a fixed number of values, from the first send until the last is durable.

/// `rows` values in batches of `batch` over `sessions`, each with its own part of the values.
///
/// Before the clock starts every session has sent `warm` values of its own and knows them durable.
enum FlatOut {
  static func run(_ arguments: Arguments) async throws {
    let rows = try arguments.int("rows", 1_000_000)
    let warm = try arguments.int("warm", 2_000)
    let sessions = try await Sessions(arguments)
    let count = sessions.producers.count
    try await sessions.each { index, producer in
      let part = rows + index * warm..<rows + (index + 1) * warm
      try await send(part, sessions, producer)
    }

    Output.beginAtRest()
    let begin = MonotonicTime.now()
    let watching = Task { await Timeline.watch(sessions.producers, isStaged: false) }
    try await sessions.each { index, producer in
      let part = rows * index / count..<rows * (index + 1) / count
      try await send(part, sessions, producer)
    }
    let seconds = (MonotonicTime.now() - begin) / .seconds(1)
    Output.end()
    watching.cancel()
    let timeline = await watching.value
    await sessions.close()
    Output.result([
      ("values", .count(rows)), ("seconds", .number(seconds)),
      ("rate", .number(Double(rows) / seconds)), ("timeline", .pairs(timeline.points)),
    ])
  }

  private static func send(
    _ part: Range<Int>,
    _ sessions: Sessions,
    _ producer: Producer
  ) async throws {
    var last: UInt64 = 0
    var next = part.lowerBound
    while next < part.upperBound {
      let end = min(next + sessions.batch, part.upperBound)
      last = try await producer.send(sessions.series.batch(next..<end)).upperBound
      next = end
    }
    if last > 0 { try await producer.waitUntilDurable(last) }
  }
}
