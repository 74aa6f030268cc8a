internal import Glibc

// Shares a value between threads.

/// A value behind a lock.
///
/// Not `Synchronization.Mutex`, whose futex calls ThreadSanitizer does not see: every value it
/// guards would be reported as a race.
@safe
struct Locked<Value>: ~Copyable {
  // Both allocated, because neither may move while threads wait (pthread_mutex_init(3)).
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let value: UnsafeMutablePointer<Value>

  init(_ initial: consuming Value) {
    unsafe mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    unsafe value = UnsafeMutablePointer<Value>.allocate(capacity: 1)
    unsafe value.initialize(to: initial)
    let code = unsafe pthread_mutex_init(mutex, nil)
    precondition(code == 0, "a plain mutex needs nothing")
  }

  deinit {
    _ = unsafe pthread_mutex_destroy(mutex)
    unsafe mutex.deallocate()
    unsafe value.deinitialize(count: 1)
    unsafe value.deallocate()
  }

  /// Runs `body` alone with the value; `body` must not come back here.
  func withLock<Result>(_ body: (inout Value) -> Result) -> Result {
    let code = unsafe pthread_mutex_lock(mutex)
    precondition(code == 0, "the mutex is whole")
    defer { _ = unsafe pthread_mutex_unlock(mutex) }
    return body(&(unsafe value.pointee))
  }
}
