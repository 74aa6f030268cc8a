internal import EventLoop
internal import Testing

@Suite("MonotonicTime")
struct MonotonicTimeTests {
  @Test(
    "adds and subtracts durations, and stays on the clock",
    arguments: [
      (5, .zero, 5),
      (5, .nanoseconds(7), 12),
      (5, .nanoseconds(-3), 2),
      (5, .nanoseconds(-7), 0),
      (5, .seconds(2), 2_000_000_005),
      (5, .seconds(Int64.max), .max),
      (5, .seconds(Int64.min), 0),
      (.max, .nanoseconds(1), .max),
      (.max - 1, .nanoseconds(1), .max),
      (.max, .nanoseconds(-1), .max - 1),
      (0, .seconds(18_446_744_073), 18_446_744_073_000_000_000),
      (5, Duration(secondsComponent: 0, attosecondsComponent: 999_999_999), 5),
    ] as [(UInt64, Duration, UInt64)]
  )
  func addition(start: UInt64, duration: Duration, expected: UInt64) {
    #expect((MonotonicTime(nanoseconds: start) + duration).nanoseconds == expected)
    #expect((MonotonicTime(nanoseconds: start) - (.zero - duration)).nanoseconds == expected)
  }

  @Test(
    "differences have a sign and are exact",
    arguments: [
      (7, 7, .zero), (9, 7, .nanoseconds(2)), (7, 9, .nanoseconds(-2)),
      (5_000_000_000, 0, .seconds(5)),
    ] as [(UInt64, UInt64, Duration)]
  )
  func difference(later: UInt64, earlier: UInt64, expected: Duration) {
    let difference = MonotonicTime(nanoseconds: later) - MonotonicTime(nanoseconds: earlier)
    #expect(difference == expected)
  }

  @Test("the widest difference comes back")
  func widestDifference() {
    let first = MonotonicTime(nanoseconds: 0)
    let last = MonotonicTime(nanoseconds: .max)
    #expect(first + (last - first) == last)
    #expect(last + (first - last) == first)
  }

  @Test("the clock does not go back")
  func clock() {
    var last = MonotonicTime.now()
    for _ in 0..<1_000 {
      let now = MonotonicTime.now()
      #expect(now >= last)
      last = now
    }
  }

  @Test(
    "whole milliseconds are rounded toward zero and saturate",
    arguments: [
      (.zero, 0), (.microseconds(999), 0), (.microseconds(1_000), 1), (.microseconds(-1_999), -1),
      (.seconds(3), 3_000), (.seconds(Int64.max), .max), (.seconds(Int64.min), .min),
    ] as [(Duration, Int64)]
  )
  func wholeMilliseconds(duration: Duration, expected: Int64) {
    #expect(duration.wholeMilliseconds == expected)
  }
}
