internal import CLinux
internal import Glibc

// Runs an event loop on a thread of its own.

/// A thread that runs one loop until the loop is stopped, and can be waited for.
@safe
public struct LoopThread: Sendable {
  private let handle: pthread_t

  /// Starts the thread; the loop lives at least as long.
  ///
  /// - Parameters:
  ///   - loop: runs nowhere else.
  ///   - name: shown by the system's tools, at most 15 bytes.
  /// - Throws: `SystemError` when the system gives no thread.
  public init(running loop: EventLoop, name: String) throws(SystemError) {
    precondition(name.utf8.count <= 15, "pthread_setname_np takes 15 bytes")
    let context = unsafe Unmanaged.passRetained(loop)
    var handle = pthread_t()
    // The thread releases the loop when run() returns: whoever comes last frees it.
    let code = unsafe pthread_create(
      &handle,
      nil,
      { context in
        guard let context = unsafe context else { return nil }
        unsafe Unmanaged<EventLoop>.fromOpaque(context).takeRetainedValue().run()
        return nil
      },
      context.toOpaque()
    )
    guard code == 0 else {
      unsafe context.release()
      throw SystemError(call: "pthread_create", code: code)
    }
    _ = unsafe pthread_setname_np(handle, name)
    self.handle = handle
  }

  /// Waits until the loop was stopped and its thread is gone.
  ///
  /// Call once, and not on that thread.
  public func join() {
    _ = pthread_join(handle, nil)
  }

  /// Lets the system take the thread back by itself once the loop was stopped: nobody will wait.
  ///
  /// Call once, instead of `join`.
  public func detach() {
    _ = pthread_detach(handle)
  }
}
