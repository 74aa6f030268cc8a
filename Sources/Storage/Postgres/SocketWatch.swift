internal import EventLoop
internal import Glibc

// Watches libpq's socket, which libpq may close behind our back.

/// A registration on a duplicate of a socket.
///
/// libpq closes its socket itself when the server hangs up, and replaces it while connecting,
/// perhaps by one of the same number. epoll watches the open file, not the number, so the duplicate
/// stays valid until we are told and can always be removed in order. Confined to the loop's thread.
final class SocketWatch {
  private let loop: EventLoop
  private let descriptor: Descriptor
  private let registration: Registration

  /// Starts to watch; nil when this process is out of descriptors.
  init?(
    _ socket: CInt,
    _ interest: Interest,
    on loop: EventLoop,
    handler: any ReadinessHandler
  ) {
    let number = fcntl(socket, F_DUPFD_CLOEXEC, 0)
    guard number >= 0 else { return nil }
    let descriptor = Descriptor(owning: number)
    do throws(SystemError) {
      registration = try loop.add(
        descriptor: descriptor.number,
        interest: interest,
        handler: handler
      )
    } catch {
      return nil
    }
    self.descriptor = descriptor
    self.loop = loop
  }

  /// Stops watching: the loop lets go of the handler.
  deinit { loop.remove(registration) }

  func setInterest(_ interest: Interest) { loop.setInterest(registration, interest) }
}
