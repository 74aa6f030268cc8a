import EventLoop
import Testing

@testable import Server

@Suite("whose turn it is to be granted something")
struct GrantQueueTests {
  private func at(_ second: UInt64) -> MonotonicTime {
    MonotonicTime(nanoseconds: second * 1_000_000_000)
  }

  private func drain(_ queue: inout GrantQueue) -> [UInt64] {
    var order: [UInt64] = []
    while let turn = queue.popFirst() { order.append(turn.session.number) }
    return order
  }

  @Test("one tenant's sessions come in their order, and nobody waits twice")
  func order() {
    var queue = GrantQueue()
    for number in [3, 1, 2, 3, 1] as [UInt64] {
      queue.append(SessionID(number: number), tenant: 1, now: at(number))
    }
    #expect(queue.oldest == at(3))
    #expect(drain(&queue) == [3, 1, 2])
    #expect(queue.oldest == nil)
  }

  @Test("tenants take turns, however many sessions each has")
  func tenants() {
    var queue = GrantQueue()
    for number in 1...4 as ClosedRange<UInt64> {
      queue.append(SessionID(number: number), tenant: 1, now: at(number))
    }
    queue.append(SessionID(number: 10), tenant: 2, now: at(5))
    queue.append(SessionID(number: 20), tenant: 3, now: at(6))
    #expect(drain(&queue) == [1, 10, 20, 2, 3, 4])
  }

  @Test("who could not be fed keeps its turn, and since when it waits")
  func putBack() throws {
    var queue = GrantQueue()
    queue.append(SessionID(number: 1), tenant: 1, now: at(1))
    queue.append(SessionID(number: 2), tenant: 1, now: at(2))
    queue.append(SessionID(number: 10), tenant: 2, now: at(3))
    let first = queue.popFirst()
    let turn = try #require(first)
    queue.putBack(turn)
    #expect(queue.oldest == at(1))
    queue.append(SessionID(number: 1), tenant: 1, now: at(9))
    #expect(drain(&queue) == [1, 10, 2])
  }
}
