import EventLoop
import Testing

@testable import Client

@Suite("what a producer knows of its link")
struct LinkMonitorTests {
  private static let start = MonotonicTime(nanoseconds: 1_000_000_000)

  private func at(_ seconds: Double) -> MonotonicTime { Self.start + .seconds(seconds) }

  @Test("silence is answered by a Ping, no answer to it by giving the link up")
  func silence() {
    var link = LinkMonitor(now: at(0))
    link.opened(at(0))
    #expect(link.check(at(4)) == .nothing)
    #expect(link.check(at(6)) == .ping)
    #expect(link.check(at(10)) == .nothing)
    #expect(link.check(at(12)) == .drop)
  }

  @Test("whoever answers a Ping is alive, however little it confirms")
  func slow() {
    var link = LinkMonitor(now: at(0))
    link.opened(at(0))
    #expect(link.check(at(6)) == .ping)
    link.heard(at(9))
    #expect(link.check(at(13)) == .nothing)
    #expect(link.check(at(15)) == .ping)
    #expect(link.wait(at(1)) == nil)
    #expect(link.wait(at(15)) == .gatewaySlow(since: at(0)))
    link.confirmed(at(15))
    #expect(link.wait(at(16)) == nil)
    #expect(link.wait(at(18)) == .gatewaySlow(since: at(15)))
  }

  @Test("whoever takes a connection and opens no session is not called slow")
  func silentAtTheStart() {
    let link = LinkMonitor(now: at(0))
    #expect(link.wait(at(1)) == nil)
    #expect(link.wait(at(3)) == .linkDown(.timedOut, since: at(0)))
  }

  @Test("a link that is down says why and since when, until a session is open")
  func down() {
    var link = LinkMonitor(now: at(0))
    link.down(.disconnected, at(1))
    link.down(.cannotConnect("refused"), at(2))
    #expect(link.wait(at(3)) == .linkDown(.cannotConnect("refused"), since: at(1)))
    link.opened(at(4))
    #expect(link.wait(at(5)) == nil)
    link.down(.timedOut, at(6))
    #expect(link.wait(at(6)) == .linkDown(.timedOut, since: at(6)))
  }
}
