import Testing

@testable import Storage

@Suite("what a batch is to its producer")
struct ProducerHeadTests {
  /// A head under test, by reference so that claims can change it.
  private final class Subject {
    var head: ProducerHead

    init(durable: UInt64, recent: [SequenceRange] = []) {
      head = ProducerHead(durable: durable, recent: recent)
    }

    @discardableResult
    func receive(_ first: UInt64, _ count: UInt32, _ checksum: UInt32) -> BatchVerdict {
      head.receive(first: first, count: count, checksum: checksum)
    }
  }

  /// A producer with 1...10 and 11...20 durable, 21...30 and 31...40 on their way; checksums 1 to
  /// 4.
  private func subject() -> Subject {
    let subject = Subject(
      durable: 20,
      recent: [
        SequenceRange(first: 1, last: 10, checksum: 1),
        SequenceRange(first: 11, last: 20, checksum: 2),
      ]
    )
    #expect(subject.receive(21, 10, 3) == .accept(skipping: 0))
    #expect(subject.receive(31, 10, 4) == .accept(skipping: 0))
    return subject
  }

  @Test(
    "verdicts",
    arguments: [
      // first, count, checksum, verdict, accepted afterwards
      (UInt64(41), UInt32(1), UInt32(9), BatchVerdict.accept(skipping: 0), UInt64(41)),
      (41, 65_536, 9, .accept(skipping: 0), 65_576),
      // The same batches again, durable or not.
      (1, 10, 1, .duplicate, 40),
      (11, 10, 2, .duplicate, 40),
      (21, 10, 3, .duplicate, 40),
      (31, 10, 4, .duplicate, 40),
      // The same ranges with another content.
      (11, 10, 1, .conflict, 40),
      (31, 10, 3, .conflict, 40),
      // The same values, batched anew.
      (1, 40, 9, .duplicate, 40),
      (35, 6, 9, .duplicate, 40),
      (40, 1, 9, .duplicate, 40),
      // Partly new.
      (40, 2, 9, .accept(skipping: 1), 41),
      (31, 20, 9, .accept(skipping: 10), 50),
      (1, 100, 9, .accept(skipping: 40), 100),
      // Missing values.
      (42, 1, 9, .gap(expected: 41), 40),
      (1_000_000, 10, 9, .gap(expected: 41), 40),
      // No range at all.
      (0, 10, 9, .malformed, 40),
      (41, 0, 9, .malformed, 40),
      (UInt64.max, 1, 9, .malformed, 40),
      (UInt64.max - 5, 100, 9, .malformed, 40),
      (UInt64(Int64.max), 1, 9, .malformed, 40),
    ]
  )
  func verdicts(
    first: UInt64,
    count: UInt32,
    checksum: UInt32,
    verdict: BatchVerdict,
    accepted: UInt64
  ) {
    let subject = subject()
    #expect(subject.receive(first, count, checksum) == verdict)
    #expect(subject.head.accepted == accepted)
    #expect(subject.head.durable == 20, "only commits make values durable")
  }

  @Test("the last sequence number that PostgreSQL can hold is taken")
  func lastNumber() {
    let subject = Subject(durable: UInt64(Int64.max) - 2)
    #expect(
      subject.receive(UInt64(Int64.max) - 1, 1, 1) == .accept(skipping: 0)
    )
    #expect(subject.receive(UInt64(Int64.max), 1, 1) == .malformed)
  }

  @Test("an unknown producer is not accepted in mid-sequence")
  func unknown() {
    let subject = Subject(durable: 0)
    #expect(subject.receive(2, 1, 1) == .gap(expected: 1))
    #expect(subject.receive(1, 1, 1) == .accept(skipping: 0))
  }

  @Test("eight durable batches are remembered, and all that are not durable")
  func agesOut() {
    let subject = Subject(durable: 0)
    for batch in UInt64(1)...30 {
      subject.receive(batch, 1, UInt32(batch))
    }
    #expect(subject.receive(1, 1, 99) == .conflict, "not durable")
    subject.head.advanceDurable(to: 20)
    for batch in UInt64(1)...30 {
      let verdict = subject.receive(batch, 1, 99)
      #expect(verdict == (batch <= 12 ? .duplicate : .conflict), "batch \(batch)")
    }
  }

  @Test("staged and durable only rise, and durable values are staged")
  func positions() {
    let subject = subject()
    #expect([subject.head.accepted, subject.head.staged, subject.head.durable] == [40, 20, 20])
    subject.head.advanceStaged(to: 30)
    #expect([subject.head.accepted, subject.head.staged, subject.head.durable] == [40, 30, 20])
    subject.head.advanceDurable(to: 40)
    #expect([subject.head.accepted, subject.head.staged, subject.head.durable] == [40, 40, 40])
    subject.head.advanceStaged(to: 30)
    subject.head.advanceDurable(to: 30)
    #expect([subject.head.accepted, subject.head.staged, subject.head.durable] == [40, 40, 40])
  }

  @Test("by random walk: every value is written once, in order, whatever a producer sends")
  func walk() {
    for seed in UInt64(1)...300 {
      var random = WalkGenerator(seed: seed)
      // The model: content by sequence number, and the batches as they came.
      let start = UInt64.random(in: 0...50, using: &random)
      let subject = Subject(durable: start)
      var written = start
      var durable = start
      var sent: [SequenceRange] = []
      for step in 0..<200 {
        if Int.random(in: 0..<4, using: &random) == 0 {
          durable = UInt64.random(in: durable...written, using: &random)
          subject.head.advanceDurable(to: durable)
          continue
        }
        let batch = randomBatch(sent, written, &random)
        let count = UInt32(batch.last - batch.first + 1)
        let verdict = subject.receive(batch.first, count, batch.checksum)
        let expected = model(batch, sent, written, durable)
        #expect(expected.contains(verdict), "seed \(seed), step \(step): \(batch)")
        if case .accept(let skipping) = verdict {
          #expect(batch.first + UInt64(skipping) == written + 1, "seed \(seed), step \(step)")
          written = batch.last
          sent.append(batch)
        }
        #expect(subject.head.accepted == written)
        #expect(subject.head.durable == durable)
      }
    }
  }

  @Test("what was staged and is lost counts as staged again only when all before is durable")
  func lostStaging() {
    var head = ProducerHead(durable: 10, recent: [])
    for first in stride(from: UInt64(11), to: 31, by: 5) {
      #expect(head.receive(first: first, count: 5, checksum: 0) == .accept(skipping: 0))
    }
    head.advanceStaged(to: 20)
    #expect(head.loseStaged() == 10)
    #expect(head.staged == 10)
    #expect(head.loseStaged() == 0, "nothing is left to lose")
    // In the new segment, behind values that are in memory only.
    head.advanceStaged(to: 30)
    #expect(head.staged == 10)
    head.advanceDurable(to: 25)
    head.advanceStaged(to: 30)
    #expect(head.staged == 25)
    head.advanceDurable(to: 30)
    #expect(head.receive(first: 31, count: 5, checksum: 0) == .accept(skipping: 0))
    head.advanceStaged(to: 35)
    #expect(head.staged == 35)
  }

  @Test("what goes to promotion without being staged holds staged_seq back until it is durable")
  func leftUnstaged() {
    var head = ProducerHead(durable: 0, recent: [])
    #expect(head.receive(first: 1, count: 5, checksum: 0) == .accept(skipping: 0))
    #expect(head.receive(first: 6, count: 5, checksum: 0) == .accept(skipping: 0))
    head.leaveUnstaged(to: 5)
    head.advanceStaged(to: 10)
    #expect(head.staged == 0)
    head.advanceDurable(to: 5)
    head.advanceStaged(to: 10)
    #expect(head.staged == 10)
  }

  /// The next batch, an old one, an old one with another content, a new cut, or one behind a hole.
  private func randomBatch(
    _ sent: [SequenceRange],
    _ written: UInt64,
    _ random: inout WalkGenerator
  ) -> SequenceRange {
    let count = UInt64.random(in: 1...9, using: &random)
    let checksum = UInt32.random(in: .min ... .max, using: &random)
    switch Int.random(in: 0..<6, using: &random) {
    case 0: return sent.randomElement(using: &random) ?? next()
    case 1:
      var batch = sent.randomElement(using: &random) ?? next()
      batch.checksum = checksum
      return batch
    case 2:
      let first = UInt64.random(in: 1...max(1, written), using: &random)
      return SequenceRange(first: first, last: first + count - 1, checksum: checksum)
    case 3:
      let first = written + UInt64.random(in: 2...9, using: &random)
      return SequenceRange(first: first, last: first + count - 1, checksum: checksum)
    default: return next()
    }
    func next() -> SequenceRange {
      SequenceRange(first: written + 1, last: written + count, checksum: checksum)
    }
  }

  /// What the rules allow as the verdict.
  private func model(
    _ batch: SequenceRange,
    _ sent: [SequenceRange],
    _ written: UInt64,
    _ durable: UInt64
  ) -> [BatchVerdict] {
    if batch.first > written + 1 { return [.gap(expected: written + 1)] }
    if batch.last > written { return [.accept(skipping: Int(written + 1 - batch.first))] }
    guard let same = sent.last(where: { $0.first == batch.first && $0.last == batch.last }) else {
      return [.duplicate]
    }
    guard same.checksum != batch.checksum else { return [.duplicate] }
    // What has aged out cannot be told from a repeat.
    let settled = sent.prefix { $0.last <= durable }.suffix(ProducerHead.recentMax)
    let isRemembered = same.last > durable || settled.contains(same)
    return isRemembered ? [.conflict] : [.duplicate]
  }
}
