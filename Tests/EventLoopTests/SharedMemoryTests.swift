internal import Testing

@testable internal import EventLoop

@Suite("Locked and ReadBuffer", .timeLimit(.minutes(15)))
struct SharedMemoryTests {
  @Test("threads that add under the lock lose nothing, and what it guards is released")
  func locked() async {
    weak var gone: Counter?
    do {
      let counter = Counter()
      gone = counter
      await withTaskGroup(of: Void.self) { group in
        for _ in 0..<4 {
          group.addTask { for _ in 0..<5_000 { counter.add() } }
        }
      }
      #expect(counter.sum == 20_000)
    }
    #expect(gone == nil)
  }

  @Test("a read buffer lends what was filled last")
  func readBuffer() {
    let buffer = ReadBuffer(byteCount: 4)
    #expect(buffer.bytes(4) == [0, 0, 0, 0])
    buffer.fill { $0.storeBytes(of: 7, toByteOffset: 1, as: UInt8.self) }
    #expect(buffer.bytes(2) == [0, 7])
    #expect(buffer.bytes(0) == [])
  }

  @Test("a read buffer lends no more than it has")
  func readBufferBounds() async {
    await #expect(processExitsWith: .failure) { _ = ReadBuffer(byteCount: 4).bytes(5) }
  }
}

/// A sum behind a lock; safe because nothing else of it is shared.
private final class Counter: @unchecked Sendable {
  private let total = Locked(0)
  var sum: Int { total.withLock { $0 } }
  func add() { total.withLock { $0 += 1 } }
}

extension ReadBuffer {
  fileprivate func bytes(_ count: Int) -> [UInt8] {
    withBytes(count) { span in
      (0..<span.byteCount).map { unsafe span.unsafeLoad(fromByteOffset: $0, as: UInt8.self) }
    }
  }
}
