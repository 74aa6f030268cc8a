internal import EventLoop

// The loop of a client and its thread, for as long as anybody could call on them.

/// Owned by a client and by its producers: the thread ends with the last of them, for a call on an
/// actor whose loop has ended would never return.
final class ClientLoop: Sendable {
  let loop: EventLoop

  /// Starts the thread.
  ///
  /// - Throws: `SystemError` when the system gives no thread or descriptor.
  init() throws(SystemError) {
    loop = try EventLoop()
    try LoopThread(running: loop, name: "sluice-client").detach()
  }

  deinit {
    loop.stop()
  }
}
