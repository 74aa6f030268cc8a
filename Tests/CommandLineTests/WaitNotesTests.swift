internal import Client
internal import EventLoop
internal import Testing

@testable internal import sluice

// What a user is told while nothing moves.

@Suite("Waits")
struct WaitNotesTests {
  private func at(_ second: UInt64) -> MonotonicTime {
    MonotonicTime(nanoseconds: second * 1_000_000_000)
  }

  @Test("short waits are not worth a word")
  func short() {
    var notes = WaitNotes()
    #expect(notes.next(nil, now: at(10)) == nil)
    #expect(notes.next(.gatewaySlow(since: at(10)), now: at(12)) == nil)
    #expect(notes.next(nil, now: at(13)) == nil)
  }

  @Test("a long wait is explained once, and its end is told")
  func long() {
    var notes = WaitNotes()
    let slow = ProducerWait.gatewaySlow(since: at(10))
    let first = notes.next(slow, now: at(14))
    #expect(first?.contains("the gateway answers") == true && first?.contains("for 4 s") == true)
    #expect(notes.next(slow, now: at(20)) == nil)
    let end = notes.next(nil, now: at(22))
    #expect(end?.contains("12 s") == true)
    #expect(notes.next(nil, now: at(23)) == nil)
  }

  @Test("a link that is down is told apart from a slow gateway")
  func change() {
    var notes = WaitNotes()
    _ = notes.next(.gatewaySlow(since: at(10)), now: at(14))
    let down = ProducerWait.linkDown(.cannotConnect("127.0.0.1:1: refused"), since: at(15))
    let note = notes.next(down, now: at(19))
    #expect(note?.contains("127.0.0.1:1: refused") == true)
    #expect(notes.next(down, now: at(25)) == nil)
  }
}
