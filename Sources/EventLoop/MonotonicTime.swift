internal import Glibc

// A point on the clock that never goes back, for deadlines and ages.

/// Nanoseconds of `CLOCK_MONOTONIC`: comparable within one boot of one machine only.
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
    MonotonicTime(nanoseconds: UInt64(clamping: Int128(time.nanoseconds) + duration.nanoseconds))
  }

  /// The time `duration` earlier; saturates at the ends of the clock.
  public static func - (time: MonotonicTime, duration: Duration) -> MonotonicTime {
    MonotonicTime(nanoseconds: UInt64(clamping: Int128(time.nanoseconds) - duration.nanoseconds))
  }

  /// How long after `earlier` this is; negative when it was before.
  public static func - (time: MonotonicTime, earlier: MonotonicTime) -> Duration {
    Duration(
      attoseconds: (Int128(time.nanoseconds) - Int128(earlier.nanoseconds)) * 1_000_000_000
    )
  }

  /// Orders by time.
  public static func < (left: MonotonicTime, right: MonotonicTime) -> Bool {
    left.nanoseconds < right.nanoseconds
  }
}

/// The clock of the calendar, which can jump: for judging times of others, never for deadlines.
public enum WallClock {
  /// Microseconds since 1970-01-01T00:00:00Z.
  public static func nowUnixMicroseconds() -> Int64 {
    var time = timespec()
    let failed = unsafe clock_gettime(CLOCK_REALTIME, &time)
    precondition(failed == 0, "CLOCK_REALTIME always exists")
    return Int64(time.tv_sec) &* 1_000_000 &+ Int64(time.tv_nsec) / 1_000
  }
}

extension Duration {
  /// Whole milliseconds, rounded toward zero, saturating.
  public var wholeMilliseconds: Int64 {
    Int64(clamping: attoseconds / 1_000_000_000_000_000)
  }

  /// Whole microseconds, rounded toward zero, saturating.
  public var wholeMicroseconds: Int64 { Int64(clamping: attoseconds / 1_000_000_000_000) }

  /// Toward zero; fits, because a duration has 128 bits of attoseconds.
  fileprivate var nanoseconds: Int128 { attoseconds / 1_000_000_000 }
}
