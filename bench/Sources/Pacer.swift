internal import EventLoop
internal import Glibc

// Wakes sessions at the times when they mean to send, whatever became of earlier sends.

/// A thread that sleeps to the microsecond; loops' own timers are whole milliseconds.
///
/// Turn `k` belongs to session `k % count` and is due at `start + k * interval`, so that sessions
/// are spread evenly. A turn that comes late keeps its intended time: that is what latency is
/// measured from.
struct Pacer: Sendable {
  let start: MonotonicTime
  let end: MonotonicTime
  let interval: Duration
  /// One for each session.
  let turns: [AsyncStream<MonotonicTime>.Continuation]

  /// Starts the thread, which ends by itself with the last turn.
  ///
  /// - Throws: `SystemError` when the system gives no thread.
  func begin() throws(SystemError) {
    let loop = try EventLoop()
    try LoopThread(running: loop, name: "pacer").detach()
    loop.spawn {
      pace()
      loop.stop()
    }
  }

  private func pace() {
    var due = start
    var session = 0
    while due < end {
      sleep(until: due)
      turns[session].yield(due)
      session = session + 1 == turns.count ? 0 : session + 1
      due = due + interval
    }
    for turn in turns { turn.finish() }
  }

  private func sleep(until time: MonotonicTime) {
    guard time > .now() else { return }
    var point = timespec()
    point.tv_sec = Int(time.nanoseconds / 1_000_000_000)
    point.tv_nsec = Int(time.nanoseconds % 1_000_000_000)
    while unsafe clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &point, nil) == EINTR {}
  }
}
