internal import CLinux
internal import Glibc

// Turns signals of the process into readable events (signalfd(2)).

/// A signal this program acts on.
public enum Signal: CaseIterable, Sendable {
  /// SIGTERM: finish what was accepted, then stop.
  case terminate
  /// SIGINT: the same, from a terminal.
  case interrupt
  /// SIGHUP: read the configuration again.
  case hangup

  var number: CInt {
    switch self {
    case .terminate: SIGTERM
    case .interrupt: SIGINT
    case .hangup: SIGHUP
    }
  }
}

/// Signals as events of a loop.
///
/// Make it before any thread is started: threads inherit the mask.
public struct SignalSource: ~Copyable, Sendable {
  private let descriptor: Descriptor

  /// Blocks the signals for this thread and all that it starts, and gathers them here.
  ///
  /// - Throws: `SystemError` when the system gives no descriptor.
  public init(_ signals: [Signal]) throws(SystemError) {
    var set = sigset_t()
    _ = unsafe sigemptyset(&set)
    for signal in signals { _ = unsafe sigaddset(&set, signal.number) }
    let code = unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
    guard code == 0 else { throw SystemError(call: "pthread_sigmask", code: code) }
    let number = try SystemCall.plain("signalfd") { () -> CInt in
      unsafe signalfd(-1, &set, CInt(SFD_NONBLOCK) | CInt(SFD_CLOEXEC))
    }
    descriptor = Descriptor(owning: number)
  }

  /// The descriptor's number, for `EventLoop.add`.
  public var number: CInt { descriptor.number }

  /// The next signal that came, nil when there is none.
  public func next() -> Signal? {
    var info = signalfd_siginfo()
    let count = unsafe read(number, &info, MemoryLayout<signalfd_siginfo>.size)
    guard count == MemoryLayout<signalfd_siginfo>.size else { return nil }
    return Signal.allCases.first { $0.number == CInt(bitPattern: info.ssi_signo) }
  }
}
