internal import EventLoop
internal import Glibc
internal import Testing

@Suite("SignalSource", .serialized)
struct SignalSourceTests {
  @Test("signals become events of the loop, the same one twice is one")
  func delivers() throws {
    // Sent to this thread only: the process has others, which do not block them.
    let source = try SignalSource(Signal.allCases)
    defer { unblock([SIGTERM, SIGINT, SIGHUP]) }
    let loop = try EventLoop()
    var seen: [Signal] = []
    let watcher = Watcher { _ in
      while let signal = source.next() { seen.append(signal) }
      loop.stop()
    }
    let registration = try loop.add(
      descriptor: source.number,
      interest: .readable,
      handler: watcher
    )
    #expect(source.next() == nil)
    for number in [SIGTERM, SIGHUP, SIGINT, SIGTERM] { pthread_kill(pthread_self(), number) }
    runBounded(loop)
    loop.remove(registration)
    #expect(seen.count == 3)
    #expect(Set(seen) == Set(Signal.allCases))
    #expect(source.next() == nil)
  }

  private func unblock(_ numbers: [CInt]) {
    var set = sigset_t()
    unsafe sigemptyset(&set)
    for number in numbers { unsafe sigaddset(&set, number) }
    unsafe pthread_sigmask(SIG_UNBLOCK, &set, nil)
  }
}
