import Testing

@testable import Client

@Suite("what a producer keeps, sends and drops")
struct ProducerWindowTests {
  /// A window under test, by reference so that claims can change it.
  private final class Subject {
    var window: ProducerWindow

    /// A window that holds batches of these many values, each value one byte.
    init(_ counts: [Int] = [], bytesMax: Int = 1_000) {
      window = ProducerWindow(bytesMax: bytesMax)
      for count in counts { add(count) }
    }

    @discardableResult
    func add(_ count: Int) -> PendingBatch {
      window.append(
        columns: [UInt8](repeating: UInt8(count), count: count),
        count: UInt32(count),
        checksum: 7
      )
    }

    func take() -> PendingBatch? { window.takeNext() }

    /// The ranges of everything that may be sent now.
    @discardableResult
    func sent() -> [ClosedRange<UInt64>] {
      var ranges: [ClosedRange<UInt64>] = []
      while let batch = window.takeNext() { ranges.append(batch.first...batch.last) }
      return ranges
    }

    func open(
      durable: UInt64 = 0,
      staged: UInt64? = nil,
      bytes: UInt64 = 1_000,
      sequence: UInt64 = 1_000
    ) {
      window.opened(
        durable: durable,
        staged: staged ?? durable,
        grantedBytes: bytes,
        grantedSequence: sequence
      )
    }

    @discardableResult
    func ack(
      durable: UInt64,
      staged: UInt64? = nil,
      bytes: UInt64 = 0,
      sequence: UInt64 = 0
    ) -> Bool {
      window.acknowledged(
        durable: durable,
        staged: staged ?? durable,
        grantedBytes: bytes,
        grantedSequence: sequence
      )
    }
  }

  // MARK: Numbers

  @Test("values are numbered from 1 without a hole")
  func numbers() {
    let subject = Subject()
    #expect(subject.add(3).first == 1)
    #expect(subject.add(1).first == 4)
    #expect(subject.add(2).last == 6)
    #expect(subject.window.position.produced == 6)
    #expect(subject.window.lowestHeld == 1)
    #expect(subject.window.bytes == 6)
  }

  @Test("a new client goes on where its producer stands")
  func goesOn() {
    let subject = Subject()
    subject.open(durable: 41)
    #expect(subject.window.position == ProducerPosition(produced: 41, staged: 41, durable: 41))
    #expect(subject.add(1).first == 42)
  }

  // MARK: Grants

  @Test("nothing is sent before the session is open")
  func closed() {
    let subject = Subject([1])
    #expect(subject.take() == nil)
    #expect(!subject.window.hasUnconfirmed)
  }

  @Test(
    "a batch is sent when its bytes and its sequence are granted",
    arguments: [
      // bytes, sequence, ranges sent, wanted
      (UInt64(0), UInt64(1_000), 0, 3 as Int?),
      (2, 1_000, 0, 3),
      (3, 1_000, 1, 4),
      (6, 1_000, 1, 4),
      (7, 1_000, 2, 5),
      (12, 1_000, 3, nil),
      (1_000, 1_000, 3, nil),
      (1_000, 2, 0, nil),
      (1_000, 3, 1, nil),
      (1_000, 11, 2, nil),
      (1_000, 12, 3, nil),
      // Bytes are asked for even when the sequence does not suffice either.
      (2, 2, 0, 3),
    ]
  )
  func grants(bytes: UInt64, sequence: UInt64, count: Int, wanted: Int?) {
    let subject = Subject([3, 4, 5])
    subject.open(bytes: bytes, sequence: sequence)
    #expect(subject.sent() == Array([1...3, 4...7, 8...12].prefix(count)))
    #expect(subject.window.wantedBytes == wanted)
  }

  @Test("a grant only rises: an older one does not take back")
  func grantsRise() {
    let subject = Subject([3, 4, 5])
    subject.open(bytes: 3, sequence: 3)
    subject.ack(durable: 0, bytes: 7, sequence: 7)
    subject.ack(durable: 0, bytes: 5, sequence: 5)
    #expect(subject.sent() == [1...3, 4...7])
    subject.ack(durable: 0, bytes: 12, sequence: 12)
    #expect(subject.sent() == [8...12])
  }

  @Test("what is confirmed does not give its grant back")
  func grantsAreCumulative() {
    let subject = Subject([3, 4])
    subject.open(bytes: 3)
    #expect(subject.sent() == [1...3])
    subject.ack(durable: 3, bytes: 3)
    #expect(subject.sent().isEmpty)
    #expect(subject.window.wantedBytes == 4)
  }

  // MARK: Confirmations

  @Test(
    "whole durable batches are dropped, a batch that is half durable is kept",
    arguments: [
      (UInt64(0), UInt64(1), 12), (2, 1, 12), (3, 4, 9), (6, 4, 9), (7, 8, 5), (11, 8, 5),
      (12, 0, 0),
    ]
  )
  func trims(durable: UInt64, lowest: UInt64, bytes: Int) {
    let subject = Subject([3, 4, 5])
    subject.open()
    subject.sent()
    #expect(subject.ack(durable: durable) == (durable > 0))
    #expect(subject.window.lowestHeld == lowest)
    #expect(subject.window.bytes == bytes)
    #expect(subject.window.isEmpty == (bytes == 0))
    #expect(subject.sent().isEmpty, "nothing is sent twice in one session")
  }

  @Test("positions never fall in durable, and an old ack changes nothing")
  func oldAck() {
    let subject = Subject([3, 4, 5])
    subject.open()
    subject.sent()
    subject.ack(durable: 7)
    #expect(!subject.ack(durable: 3, staged: 7))
    #expect(subject.window.position.durable == 7)
    #expect(subject.window.lowestHeld == 8)
  }

  @Test("staged batches are kept and not sent again")
  func staged() {
    let subject = Subject([3, 4, 5])
    subject.open()
    subject.sent()
    #expect(subject.ack(durable: 0, staged: 7))
    #expect(subject.window.position == ProducerPosition(produced: 12, staged: 7, durable: 0))
    #expect(subject.window.bytes == 12)
    #expect(subject.sent().isEmpty)
  }

  @Test("when staged falls back, what is no longer staged is sent again in order")
  func stagedFallsBack() {
    let subject = Subject([3, 4, 5])
    subject.open(bytes: 100)
    subject.sent()
    subject.ack(durable: 3, staged: 12)
    subject.ack(durable: 3, staged: 3)
    #expect(subject.window.position.staged == 3)
    #expect(subject.sent() == [4...7, 8...12])
  }

  @Test("sending again uses up the grant of the session")
  func resendingCounts() {
    let subject = Subject([3, 4])
    subject.open(bytes: 7)
    subject.sent()
    subject.ack(durable: 0, staged: 7, bytes: 7)
    subject.ack(durable: 0, staged: 0, bytes: 7)
    #expect(subject.sent().isEmpty)
    #expect(subject.window.wantedBytes == 3)
    subject.ack(durable: 0, staged: 0, bytes: 14)
    #expect(subject.sent() == [1...3, 4...7])
  }

  @Test("staged is never behind durable")
  func stagedBehindDurable() {
    let subject = Subject([3])
    subject.open(durable: 3, staged: 0)
    #expect(subject.window.position.staged == 3)
    #expect(subject.window.isEmpty)
  }

  // MARK: Reopening

  @Test(
    "after reopening everything that is not covered is sent again",
    arguments: [
      (UInt64(0), UInt64(0), [1...3, 4...7, 8...12] as [ClosedRange<UInt64>], UInt64(1)),
      (2, 2, [1...3, 4...7, 8...12], 1),
      (3, 3, [4...7, 8...12], 4),
      (5, 5, [4...7, 8...12], 4),
      (12, 12, [], 0),
      // Staged and not durable: kept, but not sent.
      (0, 7, [8...12], 1),
      (3, 7, [8...12], 4),
      (0, 12, [], 1),
    ]
  )
  func reopens(
    durable: UInt64,
    staged: UInt64,
    ranges: [ClosedRange<UInt64>],
    lowest: UInt64
  ) {
    let subject = Subject([3, 4, 5])
    subject.open(bytes: 12)
    #expect(subject.sent().count == 3)
    subject.open(durable: durable, staged: staged, bytes: 12)
    #expect(subject.sent() == ranges)
    #expect(subject.window.lowestHeld == lowest)
  }

  @Test("a new session begins with its own, smaller grant")
  func newGrant() {
    let subject = Subject([3, 4, 5])
    subject.open(bytes: 1_000)
    subject.sent()
    subject.open(bytes: 4)
    #expect(subject.sent() == [1...3])
    #expect(subject.window.wantedBytes == 4)
  }

  @Test("a retry sends the same bytes with the same checksum")
  func sameBytes() {
    let subject = Subject([3, 4])
    subject.open()
    let first = subject.take()
    subject.open()
    #expect(subject.take() == first)
  }

  // MARK: Room

  @Test("a window takes what fits, and one batch of any size when it is empty")
  func room() {
    let subject = Subject(bytesMax: 10)
    #expect(subject.window.hasRoom(for: 1_000))
    subject.add(6)
    #expect(subject.window.hasRoom(for: 4))
    #expect(!subject.window.hasRoom(for: 5))
    subject.open()
    subject.sent()
    subject.ack(durable: 6)
    #expect(subject.window.hasRoom(for: 1_000))
  }

  // MARK: Random walk

  @Test(
    "a gateway that dies, forgets staging and confirms at random gets every value once, in order"
  )
  func walk() {
    var random = SystemRandomNumberGenerator()
    for round in 0..<200 {
      let subject = Subject(bytesMax: 400)
      // The gateway: what it has accepted in this session, staged and made durable.
      var durable: UInt64 = 0
      var staged: UInt64 = 0
      var accepted: UInt64 = 0
      var granted: UInt64 = 0
      var received: UInt64 = 0
      func reopen() {
        staged = durable
        accepted = durable
        granted = UInt64.random(in: 0...200, using: &random)
        received = 0
        subject.open(durable: durable, bytes: granted, sequence: durable + 500)
      }
      reopen()
      for step in 0..<200 {
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<4:
          let count = Int.random(in: 1...40, using: &random)
          if subject.window.hasRoom(for: count) { subject.add(count) }
        case 4..<7:
          while let batch = subject.take() {
            received += UInt64(batch.columns.count)
            #expect(received <= granted, "round \(round), step \(step): beyond the grant")
            #expect(batch.first <= accepted + 1, "round \(round), step \(step): a hole")
            accepted = max(accepted, batch.last)
          }
        case 7:
          staged = UInt64.random(in: staged...accepted, using: &random)
          durable = UInt64.random(in: durable...staged, using: &random)
          granted += UInt64(subject.window.wantedBytes ?? 0)
          subject.ack(durable: durable, staged: staged, bytes: granted, sequence: durable + 500)
        case 8:
          // Staging was lost: what the producer believes staged has to come again. What it does not
          // believe staged is still on its way.
          staged = durable
          if subject.window.position.staged > durable { accepted = durable }
          subject.ack(durable: durable, staged: staged, bytes: granted, sequence: durable + 500)
        default: reopen()
        }
        #expect(subject.window.position.durable == durable)
        #expect(subject.window.isEmpty || subject.window.lowestHeld <= durable + 1)
        #expect(subject.window.bytes <= 400)
      }
    }
  }
}
