internal import EventLoop

// Lets an agent end in good order when it is told to stop.

/// Remembers that SIGTERM or SIGINT came.
final class StopSignals: ReadinessHandler {
  private(set) var isStopping = false
  private let source: SignalSource
  /// The loop of the command.
  let loop: EventLoop
  private var registration: Registration?

  /// Blocks the signals; to be made on the loop, before any other thread.
  ///
  /// - Throws: `SystemError` when the system gives no descriptor.
  init(_ loop: EventLoop) throws(SystemError) {
    source = try SignalSource([.terminate, .interrupt])
    self.loop = loop
    registration = try loop.add(descriptor: source.number, interest: .readable, handler: self)
  }

  func ready(_ readiness: Readiness) {
    while source.next() != nil { isStopping = true }
  }

  /// Stops listening.
  func close() {
    if let registration { loop.remove(registration) }
    registration = nil
  }

  /// Waits, but not longer than until a signal comes.
  func sleep(until deadline: MonotonicTime) async {
    while !isStopping {
      let rest = deadline - MonotonicTime.now()
      guard rest > .zero else { return }
      await loop.sleep(for: min(rest, .milliseconds(50)))
    }
  }

  /// Waits a moment, whatever signal came.
  func pause() async {
    await loop.sleep(for: .milliseconds(10))
  }
}
