internal import Client
internal import EventLoop

// Open loop: batches are due at fixed times, and late answers do not hold back what is due next.

/// `rate` values a second in batches of `batch` over `sessions`, for `seconds` after `warmup`.
///
/// Latency runs from the intended time of a batch to its ack, so that a stall counts for every
/// batch that was due in it (no coordinated omission). What is not acknowledged `grace` seconds
/// after the end is counted as if it came just then, which is still too good.
enum Offered {
  private struct Sent: Sendable {
    let due: MonotonicTime
    let last: UInt64
  }

  static func run(_ arguments: Arguments) async throws {
    let sessions = try await Sessions(arguments)
    let isStaged = arguments.text("lane", "durable") == "staged"
    let rate = try arguments.int("rate", 10_000)
    let start = MonotonicTime.now() + .milliseconds(50)
    let window = Window(
      warmup: try arguments.duration("warmup", 1),
      length: try arguments.duration("seconds", 3),
      from: start
    )
    let pairs = sessions.producers.map { _ in AsyncStream.makeStream(of: MonotonicTime.self) }
    let pacer = Pacer(
      start: start,
      end: window.end,
      interval: .seconds(1) * sessions.batch / rate,
      turns: pairs.map(\.continuation)
    )
    let recorder = Recorder()
    let limit = Limit(time: window.end + (try arguments.duration("grace", 5)))
    let marks = Marks(window)
    let watching = Task { await Timeline.watch(sessions.producers, isStaged: isStaged) }
    try pacer.begin()
    try await sessions.each { index, producer in
      try await limit.bounded(producer) {
        let (sent, continuation) = AsyncStream.makeStream(of: Sent.self)
        async let acks: Void = confirm(sent, producer, isStaged, window, recorder, sessions.batch)
        var next = index * sessions.batch
        for await time in pairs[index].stream {
          let columns = sessions.series.batch(next..<next + sessions.batch)
          next += sessions.producers.count * sessions.batch
          continuation.yield(Sent(due: time, last: try await producer.send(columns).upperBound))
        }
        continuation.finish()
        try await acks
      }
    }
    await marks.finish()
    watching.cancel()
    let timeline = await watching.value
    await sessions.close()
    let seconds = (window.end - window.begin) / .seconds(1)
    let values = recorder.values
    let unanswered = max(0, Int((window.end - window.begin) / pacer.interval) - recorder.count)
    for _ in 0..<unanswered { recorder.record(from: window.end, to: limit.time, values: 0) }
    Output.result(
      [
        ("values", .count(values)), ("seconds", .number(seconds)),
        ("offered", .count(rate)), ("unanswered", .count(unanswered)),
        ("rate", .number(timeline.rate(in: window, start))),
        ("timeline", .pairs(timeline.points)),
      ] + recorder.fields
    )
  }

  private static func confirm(
    _ sent: AsyncStream<Sent>,
    _ producer: Producer,
    _ isStaged: Bool,
    _ window: Window,
    _ recorder: Recorder,
    _ batch: Int
  ) async throws {
    for await one in sent {
      if isStaged {
        try await producer.waitUntilStaged(one.last)
      } else {
        try await producer.waitUntilDurable(one.last)
      }
      guard window.contains(one.due) else { continue }
      recorder.record(from: one.due, to: .now(), values: batch)
    }
  }
}

/// Ends sessions that are still waiting when the time is over.
private struct Limit: Sendable {
  let time: MonotonicTime

  /// Runs `body`; at the limit the producer is closed, which ends whatever `body` waits for.
  ///
  /// - Throws: what `body` threw before the limit.
  func bounded(
    _ producer: Producer,
    _ body: @escaping @Sendable () async throws -> Void
  ) async throws {
    let watchdog = Task {
      // Cancelled means that the session came to its end in time.
      guard (try? await Task.sleep(for: max(.zero, time - .now()))) != nil else { return }
      await producer.close()
    }
    defer { watchdog.cancel() }
    do {
      try await body()
    } catch {
      // Behind the limit a closed session is what was wanted.
      guard MonotonicTime.now() >= time else { throw error }
    }
  }
}

extension Timeline {
  /// Values a second that were confirmed inside the window.
  func rate(in window: Window, _ start: MonotonicTime) -> Double {
    let begin = (window.begin - start) / .seconds(1)
    let end = (window.end - start) / .seconds(1)
    let inside = points.filter { $0.0 >= begin && $0.0 <= end }
    guard let first = inside.first, let last = inside.last, last.0 > first.0 else { return 0 }
    return (last.1 - first.1) / (last.0 - first.0)
  }
}
