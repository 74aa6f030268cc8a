internal import Client
internal import EventLoop

// Sessions that each wait for their batch before they send the next.

/// `sessions` producers with one batch of `batch` values under way each, for `seconds`.
enum Lockstep {
  static func run(_ arguments: Arguments) async throws {
    let sessions = try await Sessions(arguments)
    let isStaged = arguments.text("lane", "durable") == "staged"
    let window = Window(
      warmup: try arguments.duration("warmup", 1),
      length: try arguments.duration("seconds", 3)
    )
    let recorder = Recorder()
    let marks = Marks(window)
    let watching = Task { await Timeline.watch(sessions.producers, isStaged: isStaged) }
    try await sessions.each { index, producer in
      var next = index * sessions.batch
      while true {
        let start = MonotonicTime.now()
        guard start < window.end else { return }
        let columns = sessions.series.batch(next..<next + sessions.batch)
        next += sessions.producers.count * sessions.batch
        let last = try await producer.send(columns).upperBound
        if isStaged {
          try await producer.waitUntilStaged(last)
        } else {
          try await producer.waitUntilDurable(last)
        }
        let end = MonotonicTime.now()
        // What ended inside is what was done inside.
        if window.contains(end) { recorder.record(from: start, to: end, values: sessions.batch) }
      }
    }
    await marks.finish()
    watching.cancel()
    let timeline = await watching.value
    await sessions.close()
    let seconds = (window.end - window.begin) / .seconds(1)
    Output.result(
      [
        ("values", .count(recorder.values)), ("seconds", .number(seconds)),
        ("rate", .number(Double(recorder.values) / seconds)),
        ("timeline", .pairs(timeline.points)),
      ] + recorder.fields
    )
  }
}
