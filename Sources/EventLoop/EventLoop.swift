internal import Glibc
internal import Synchronization

// One thread's loop: sockets, timers and Swift jobs, in turns.

/// Is told when its descriptor is ready; called on the loop's thread.
public protocol ReadinessHandler: AnyObject {
  /// The descriptor is ready for what `readiness` says.
  ///
  /// The handler may remove itself or others. It must act on `.hangup` and `.error` whatever its
  /// interest is, or it is called again in every turn.
  func ready(_ readiness: Readiness)
}

/// Is called once before the loop sleeps, after it asked for it by `flushBeforeSleep`.
public protocol FlushHandler: AnyObject {
  /// Writes what the turn has gathered.
  func flush()
}

/// Names a descriptor's place in a loop until it is removed; stale ones are recognised.
public struct Registration: Hashable, Sendable {
  let slot: UInt32
  let generation: UInt32
  var token: UInt64 { UInt64(generation) << 32 | UInt64(slot) }
}

/// An epoll loop that is also the executor of the actor living on it.
///
/// Everything but `enqueue`, `stop` and `isIsolatingCurrentContext` is called on the thread that
/// runs `run()`, or before it runs. A task that shall stay on the loop over its suspensions must
/// have been started with `spawn`; without it every resume costs a trip through the global pool.
/// The loop must outlive its actors, which hold it unowned.
///
/// Unchecked: most fields belong to one thread; each group says which, or which lock guards it.
public final class EventLoop: SerialExecutor, TaskExecutor, @unchecked Sendable {
  private struct Slot {
    var handler: (any ReadinessHandler)?
    var generation: UInt32
    var descriptor: CInt
    var interest: Interest
  }

  private struct Remote {
    var jobs: [UnownedJob] = []
    var isStopping = false
  }

  // Immutable.
  private let epoll: Epoll
  private let wakeUp: WakeUp

  // Guarded by their own lock: all that other threads touch.
  private let remote = Locked(Remote())
  private let thread = Atomic<UInt>(0)

  // Touched by the loop's thread only.
  private var slots: [Slot] = []
  private var freeSlots: [UInt32] = []
  private var timers = TimerQueue<() -> Void>()
  private var jobs: [UnownedJob] = []
  private var runningJobs: [UnownedJob] = []
  private var flushes: [any FlushHandler] = []
  private var runningFlushes: [any FlushHandler] = []
  /// Monotonic time at the start of this turn; read once per turn, right after the sleep.
  public private(set) var now = MonotonicTime.now()

  /// A loop that does not run yet.
  ///
  /// - Throws: `SystemError` when epoll or eventfd cannot be had (out of descriptors).
  public init() throws(SystemError) {
    let epoll = try Epoll()
    let wakeUp = try WakeUp()
    try epoll.add(wakeUp.descriptor.number, .readable, token: EventLoop.wakeUpToken)
    self.epoll = epoll
    self.wakeUp = wakeUp
  }

  // MARK: Running

  /// Runs on the calling thread until `stop()`.
  public func run() {
    let previous = thread.exchange(EventLoop.currentThread, ordering: .relaxed)
    precondition(previous == 0, "a loop runs once at a time")
    defer { thread.store(0, ordering: .relaxed) }
    now = MonotonicTime.now()
    while true {
      fireTimers()
      let isStopping = takeRemoteJobs()
      runJobs()
      runFlushes()
      guard !isStopping else { return }
      let count = epoll.wait(timeoutMilliseconds: sleepMilliseconds())
      now = MonotonicTime.now()
      for index in 0..<count { deliver(epoll.event(index)) }
    }
  }

  /// Ends `run()` for good, after a last turn; safe from every thread, also before `run()`.
  ///
  /// Jobs and flushes asked for before the call still run. What they ask for in turn does not, and
  /// whoever awaits a job enqueued later waits for ever.
  public func stop() {
    remote.withLock { $0.isStopping = true }
    wakeUp.signal()
  }

  // MARK: Descriptors

  /// Watches a descriptor, which stays the caller's: remove it here before closing it.
  ///
  /// - Throws: `SystemError` when epoll refuses the descriptor (a plain file, or out of memory).
  public func add(
    descriptor: CInt,
    interest: Interest,
    handler: any ReadinessHandler
  ) throws(SystemError) -> Registration {
    assertOwned()
    let slot: UInt32
    if let free = freeSlots.popLast() {
      slot = free
      slots[Int(slot)].handler = handler
      slots[Int(slot)].descriptor = descriptor
      slots[Int(slot)].interest = interest
    } else {
      slot = UInt32(slots.count)
      slots.append(
        Slot(handler: handler, generation: 0, descriptor: descriptor, interest: interest)
      )
    }
    let registration = Registration(slot: slot, generation: slots[Int(slot)].generation)
    do {
      try epoll.add(descriptor, interest, token: registration.token)
    } catch {
      release(slot)
      throw error
    }
    return registration
  }

  /// Changes what a descriptor is watched for; nothing happens when it is the same or was removed.
  ///
  /// Hangups and errors are told even when the interest is empty (epoll_ctl(2)).
  public func setInterest(_ registration: Registration, _ interest: Interest) {
    assertOwned()
    guard isCurrent(registration) else { return }
    let slot = Int(registration.slot)
    guard slots[slot].interest != interest else { return }
    slots[slot].interest = interest
    do {
      try epoll.modify(slots[slot].descriptor, interest, token: registration.token)
    } catch {
      preconditionFailure("a registered descriptor was closed before it was removed: \(error)")
    }
  }

  /// Stops watching a descriptor: its handler is called no more, not even for events already taken.
  public func remove(_ registration: Registration) {
    assertOwned()
    guard isCurrent(registration) else { return }
    do {
      try epoll.remove(slots[Int(registration.slot)].descriptor)
    } catch {
      preconditionFailure("a registered descriptor was closed before it was removed: \(error)")
    }
    release(registration.slot)
  }

  // MARK: Timers and flushes

  /// Calls `action` on the loop's thread, once, when `deadline` has come.
  ///
  /// It is never called in the turn that sets it, so a timer that always sets the next one does not
  /// hold up the sockets. Equal deadlines fire in the order in which they were set.
  public func schedule(at deadline: MonotonicTime, _ action: @escaping () -> Void) -> TimerID {
    assertOwned()
    return timers.insert(at: max(deadline, now + .nanoseconds(1)), action)
  }

  /// Takes a timer back; nothing happens when it has fired.
  public func cancel(_ timer: TimerID) {
    assertOwned()
    // Released after the queue is free again: what the action holds may cancel timers when it dies.
    _ = timers.cancel(timer)
  }

  /// Calls `handler.flush()` once before the loop sleeps; the handler asks only once per turn.
  public func flushBeforeSleep(_ handler: any FlushHandler) {
    assertOwned()
    flushes.append(handler)
  }

  // MARK: Executor

  /// Takes a job of an actor or task that lives here; safe from every thread.
  public func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    if isOnLoopThread {
      jobs.append(job)
      return
    }
    let isFirst = remote.withLock { remote in
      remote.jobs.append(job)
      return remote.jobs.count == 1
    }
    // One write wakes the loop for the whole batch that gathers until it takes it.
    if isFirst { wakeUp.signal() }
  }

  /// This loop as the executor of exactly one actor.
  public func asUnownedSerialExecutor() -> UnownedSerialExecutor {
    unsafe UnownedSerialExecutor(ordinary: self)
  }

  /// Whether the caller runs on the loop's thread.
  public func isIsolatingCurrentContext() -> Bool? {
    isOnLoopThread
  }

  /// Whether the caller is on the thread that is inside `run()`.
  public var isOnLoopThread: Bool {
    thread.load(ordering: .relaxed) == EventLoop.currentThread
  }

  // MARK: Private

  private static let wakeUpToken = UInt64.max
  private static var currentThread: UInt { UInt(pthread_self()) }

  private func isCurrent(_ registration: Registration) -> Bool {
    let slot = Int(registration.slot)
    return slot < slots.count && slots[slot].generation == registration.generation
      && slots[slot].handler != nil
  }

  private func release(_ slot: UInt32) {
    // Dies when the slots are in order again: its deinit may remove others.
    let handler = slots[Int(slot)].handler.take()
    // 31 bits, so that no token is the wake-up's.
    slots[Int(slot)].generation = (slots[Int(slot)].generation &+ 1) & 0x7fff_ffff
    freeSlots.append(slot)
    withExtendedLifetime(handler) {}
  }

  /// Before `run()` the loop belongs to whoever sets it up, then to its thread.
  private func assertOwned() {
    assert(
      isOnLoopThread || thread.load(ordering: .relaxed) == 0,
      "a loop is touched on its own thread only"
    )
  }

  private func deliver(_ event: (token: UInt64, readiness: Readiness)) {
    guard event.token != EventLoop.wakeUpToken else {
      wakeUp.clear()
      return
    }
    // An earlier event of this batch may have removed the descriptor, or even reused its slot.
    let slot = Int(truncatingIfNeeded: event.token & 0xffff_ffff)
    let generation = UInt32(truncatingIfNeeded: event.token >> 32)
    guard slots[slot].generation == generation, let handler = slots[slot].handler else { return }
    handler.ready(event.readiness)
  }

  private func fireTimers() {
    // Ends, because `schedule` sets none for a time that this turn has reached.
    while let action = timers.popDue(at: now) { action() }
  }

  /// Moves over what other threads enqueued; true when the loop shall stop.
  private func takeRemoteJobs() -> Bool {
    remote.withLock { remote in
      jobs.append(contentsOf: remote.jobs)
      remote.jobs.removeAll(keepingCapacity: true)
      return remote.isStopping
    }
  }

  /// Runs one batch: jobs that jobs enqueue wait for the next turn, for the sake of the sockets.
  private func runJobs() {
    swap(&jobs, &runningJobs)
    for job in runningJobs {
      unsafe job.runSynchronously(
        isolatedTo: asUnownedSerialExecutor(),
        taskExecutor: asUnownedTaskExecutor()
      )
    }
    runningJobs.removeAll(keepingCapacity: true)
  }

  private func runFlushes() {
    swap(&flushes, &runningFlushes)
    for handler in runningFlushes { handler.flush() }
    runningFlushes.removeAll(keepingCapacity: true)
  }

  private func sleepMilliseconds() -> CInt {
    guard jobs.isEmpty, flushes.isEmpty else { return 0 }
    guard let next = timers.next else { return -1 }
    let now = MonotonicTime.now()
    guard next > now else { return 0 }
    // Rounded up: waking a moment early would only turn the loop for nothing.
    return CInt(clamping: (next.nanoseconds - now.nanoseconds - 1) / 1_000_000 + 1)
  }
}
