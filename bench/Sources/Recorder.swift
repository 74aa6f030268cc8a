internal import EventLoop
internal import Histogram
internal import Synchronization

// Latencies of one measurement, and how many values came through.

/// The part of time that counts: what began before is warm-up, what begins later is not measured.
struct Window: Sendable {
  let begin: MonotonicTime
  let end: MonotonicTime

  init(warmup: Duration, length: Duration, from start: MonotonicTime = .now()) {
    begin = start + warmup
    end = begin + length
  }

  func contains(_ time: MonotonicTime) -> Bool { time >= begin && time < end }
}

/// An HdrHistogram of microseconds with three digits, shared by the tasks of one measurement.
final class Recorder: Sendable {
  private struct State {
    /// Two minutes: longer than any measurement may take.
    var latencies = Histogram<UInt64>(highestTrackableValue: 120_000_000)
    var values = 0
  }

  /// Where a curve is drawn.
  private static let points: [Double] = [
    0, 10, 25, 50, 75, 90, 95, 97.5, 99, 99.5, 99.9, 99.95, 99.99, 100,
  ]

  private let state = Mutex(State())

  /// Takes in that `values` were done, begun or meant to begin at `start`.
  func record(from start: MonotonicTime, to end: MonotonicTime, values: Int) {
    let microseconds = end > start ? (end.nanoseconds - start.nanoseconds) / 1_000 : 0
    state.withLock { state in
      _ = state.latencies.record(min(microseconds, 120_000_000))
      state.values += values
    }
  }

  /// Values taken in.
  var values: Int { state.withLock { $0.values } }

  /// Latencies taken in.
  var count: Int { state.withLock { Int($0.latencies.totalCount) } }

  /// How many latencies, and pairs of percentile and microseconds.
  var fields: [(String, Output.Value)] {
    state.withLock { state in
      let curve = Recorder.points.map { ($0, Double(state.latencies.valueAtPercentile($0))) }
      return [
        ("latencies", .count(Int(state.latencies.totalCount))),
        ("curve_us", .pairs(state.latencies.totalCount == 0 ? [] : curve)),
      ]
    }
  }
}
