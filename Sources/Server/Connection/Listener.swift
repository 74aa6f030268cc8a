internal import EventLoop
internal import Logging

// Accepts client connections on one worker.

/// A listening socket of a worker.
///
/// The kernel spreads connections over the workers' sockets by chance: of eight one worker may get
/// two. So each worker hands on what it accepts, to all in turn, and they differ by one at most.
final class Listener: ReadinessHandler {
  private let context: WorkerContext
  private var socket: Socket?
  private var registration: Registration?
  private var pause: TimerID?
  private var complainedAt: MonotonicTime?

  /// Begins to accept.
  ///
  /// - Throws: `SystemError` when the loop cannot watch the socket.
  init(_ socket: consuming Socket, _ context: WorkerContext) throws(SystemError) {
    self.context = context
    let number = socket.number
    self.socket = consume socket
    registration = try context.loop.add(descriptor: number, interest: .readable, handler: self)
  }

  func ready(_ readiness: Readiness) {
    // Bounded per turn, so that a storm of connects does not hold up those that are open.
    for _ in 0..<64 {
      guard acceptOne() else { return }
    }
  }

  /// Stops accepting; the port is free for others at once.
  func close() {
    if let registration { context.loop.remove(registration) }
    if let pause { context.loop.cancel(pause) }
    registration = nil
    pause = nil
    socket = nil
  }

  private func acceptOne() -> Bool {
    do throws(SystemError) {
      guard let accepted = try socket?.accept() ?? nil else { return false }
      if let other = context.nextHost() {
        other.host(accepted.release())
      } else {
        try context.host(accepted)
      }
      return true
    } catch {
      context.figures[.connectionsRefused] += 1
      complain(error)
      rest()
      return false
    }
  }

  /// Logs the fault, but not every tenth of a second while it lasts.
  private func complain(_ error: SystemError) {
    let now = context.loop.now
    guard complainedAt.map({ now - $0 > ServerLimits.complaintPause }) ?? true else { return }
    complainedAt = now
    context.log.warning("cannot accept a connection: \(error); trying again until it works")
  }

  /// Without descriptors or memory the socket stays readable: look again later instead of spinning.
  private func rest() {
    guard let registration else { return }
    context.loop.setInterest(registration, [])
    pause = context.loop.schedule(at: context.loop.now + .milliseconds(100)) { [weak self] in
      guard let self, let registration = self.registration else { return }
      self.context.loop.setInterest(registration, .readable)
    }
  }
}
