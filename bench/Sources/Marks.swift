internal import EventLoop

// Tells the harness when a measurement by time begins and ends.

/// Prints "begin" and "end" at the ends of a window, beside the load.
struct Marks: Sendable {
  private let task: Task<Void, Never>

  init(_ window: Window) {
    task = Task {
      await Marks.sleep(until: window.begin)
      Output.begin()
      await Marks.sleep(until: window.end)
      Output.end()
    }
  }

  /// Waits until the harness has looked at every process.
  func finish() async { await task.value }

  static func sleep(until time: MonotonicTime) async {
    // Nobody cancels it; were it cancelled, it would only end early.
    try? await Task.sleep(for: max(.zero, time - .now()))
  }
}
