internal import Glibc

// A point on the clock that never goes back, for deadlines and ages.

/// Nanoseconds of `CLOCK_MONOTONIC`: comparable within one boot of one machine, meaningless elsewhere.
public struct MonotonicTime: Comparable, Hashable, Sendable {
  /// Nanoseconds since an unspecified start.
  public var nanoseconds: UInt64

  /// A time at the given number of nanoseconds, for tests and for arithmetic.
  public init(nanoseconds: UInt64) {
    self.nanoseconds = nanoseconds
  }

  /// Reads the clock (about 20 ns; the loop's `now` is cheaper).
  public static func now() -> MonotonicTime {
    var time = timespec()
    let failed = unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    precondition(failed == 0, "CLOCK_MONOTONIC always exists")
    return MonotonicTime(
      nanoseconds: UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    )
  }

  /// The time `duration` later; saturates at the ends of the clock.
  public static func + (time: MonotonicTime, duration: Duration) -> MonotonicTime {
    let (seconds, attoseconds) = duration.components
    let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    let nanoseconds = overflow ? Int64.max : scaled.saturatingAdding(attoseconds / 1_000_000_000)
    guard nanoseconds < 0 else {
      let (sum, overflow) = time.nanoseconds.addingReportingOverflow(UInt64(nanoseconds))
      return MonotonicTime(nanoseconds: overflow ? UInt64.max : sum)
    }
    let back = nanoseconds.magnitude
    return MonotonicTime(nanoseconds: time.nanoseconds > back ? time.nanoseconds - back : 0)
  }

  /// The time `duration` earlier.
  public static func - (time: MonotonicTime, duration: Duration) -> MonotonicTime {
    time + (.zero - duration)
  }

  /// How long after `earlier` this is; negative when it was before.
  public static func - (time: MonotonicTime, earlier: MonotonicTime) -> Duration {
    time >= earlier
      ? .nanoseconds(Int64(clamping: time.nanoseconds - earlier.nanoseconds))
      : .nanoseconds(-Int64(clamping: earlier.nanoseconds - time.nanoseconds))
  }

  /// Orders by time.
  public static func < (left: MonotonicTime, right: MonotonicTime) -> Bool {
    left.nanoseconds < right.nanoseconds
  }
}

extension Duration {
  /// Whole milliseconds, rounded toward zero, saturating.
  public var wholeMilliseconds: Int64 {
    let (seconds, attoseconds) = components
    let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000)
    guard !overflow else { return seconds < 0 ? Int64.min : Int64.max }
    return scaled.saturatingAdding(attoseconds / 1_000_000_000_000_000)
  }
}

extension Int64 {
  fileprivate func saturatingAdding(_ other: Int64) -> Int64 {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? (other < 0 ? Int64.min : Int64.max) : sum
  }
}
