import Storage
import Testing

/// Reads binary COPY back: each row as its fields, nil for NULL.
private func rows(_ encoder: borrowing CopyEncoder) -> [[[UInt8]?]]? {
  let bytes = unsafe encoder.bytes.withUnsafeBytes { unsafe Array($0) }
  guard bytes.starts(with: CopyEncoder.header) else { return nil }
  var index = CopyEncoder.header.count
  func integer(_ length: Int) -> Int? {
    guard index + length <= bytes.count else { return nil }
    defer { index += length }
    return bytes[index..<index + length].reduce(0) { $0 << 8 | Int($1) }
  }
  var rows: [[[UInt8]?]] = []
  while let count = integer(2) {
    if count == 0xffff { return index == bytes.count ? rows : nil }
    var row: [[UInt8]?] = []
    for _ in 0..<count {
      guard let length = integer(4) else { return nil }
      if length == 0xffff_ffff {
        row.append(nil)
      } else {
        guard index + length <= bytes.count else { return nil }
        row.append(Array(bytes[index..<index + length]))
        index += length
      }
    }
    rows.append(row)
  }
  return nil
}

private func bigEndian(_ value: some FixedWidthInteger) -> [UInt8] {
  stride(from: value.bitWidth - 8, through: 0, by: -8).map {
    UInt8(truncatingIfNeeded: value >> $0)
  }
}

private func encode(
  _ fixture: CopyFixture,
  _ form: CopyEncoder.Form = .direct,
  skipping: Int = 0,
  rejecting: [UInt32] = [],
  capacity: Int = 64
) -> [[[UInt8]?]]? {
  var encoder = CopyEncoder(form, capacity: capacity)
  let rejects = rejecting.map { RejectedValue(index: $0, reason: .wrongType) }
  let producer = ProducerID(high: 0x0102_0304_0506_0708, low: 0x090a_0b0c_0d0e_0f10)
  let origin = CopyEncoder.Origin(
    tenant: 7,
    producer: producer,
    firstSequence: 1000,
    skipping: skipping
  )
  encoder.begin()
  fixture.withColumns { columns in encoder.append(columns, origin, rejects: rejects.span) }
  encoder.end()
  return rows(encoder)
}

@Suite("Copy encoder")
struct CopyEncoderTests {
  @Test("a number's row has the key, the value and four NULLs")
  func number() throws {
    var fixture = CopyFixture()
    fixture.add(-0.0, entity: 1 << 40, attribute: 300, at: 946_684_800_000_001)
    let row = try #require(encode(fixture)?.first)
    #expect(
      row == [
        bigEndian(Int64(1 << 40)), bigEndian(Int64(1)), bigEndian(Int32(7)),
        bigEndian(UInt32(300)), bigEndian((-0.0).bitPattern), nil, nil, nil, nil,
      ]
    )
  }

  @Test("each type has its own column")
  func columns() throws {
    var fixture = CopyFixture()
    fixture.add(1)
    fixture.add(integer: .min)
    fixture.add(flag: 5)
    fixture.add(label: [])
    fixture.add(document: Array("{}".utf8))
    let rows = try #require(encode(fixture))
    #expect(
      rows.map { Array($0[4...]) } == [
        [bigEndian((1.0).bitPattern), nil, nil, nil, nil],
        [nil, bigEndian(Int64.min), nil, nil, nil],
        [nil, nil, [1], nil, nil],
        [nil, nil, nil, [], nil],
        [nil, nil, nil, nil, [1, 0x7b, 0x7d]],
      ]
    )
  }

  @Test("a staged row also has its producer and its own sequence number")
  func staged() throws {
    let fixture = CopyFixture.random(count: 60, seed: 4)
    let direct = try #require(encode(fixture))
    let staged = try #require(encode(fixture, .staged, skipping: 3, rejecting: [5, 20]))
    let kept = (3..<60).filter { $0 != 5 && $0 != 20 }
    #expect(staged.map { Array($0[..<9]) } == kept.map { direct[$0] })
    #expect(staged.allSatisfy { $0[9] == (1...16).map { UInt8($0) } })
    #expect(staged.map { $0[10] } == kept.map { bigEndian(UInt64(1000 + $0)) })
  }

  @Test("rejected and skipped values leave no row", arguments: [0, 1, 9, 10, 11, 25, 40])
  func selection(skipping: Int) throws {
    let fixture = CopyFixture.random(count: 40, seed: 9)
    let all = try #require(encode(fixture))
    var random = SeededGenerator(state: UInt64(skipping))
    for _ in 0..<100 {
      let rejected = (0..<40).filter { _ in Int.random(in: 0..<3, using: &random) == 0 }
      let some = try #require(
        encode(fixture, skipping: skipping, rejecting: rejected.map { UInt32($0) })
      )
      let kept = (0..<40).filter { $0 >= skipping && !rejected.contains($0) }
      #expect(some == kept.map { all[$0] })
    }
  }

  @Test("an encoder starts over, and takes back what was appended")
  func reuse() throws {
    var fixture = CopyFixture()
    fixture.add(1)
    var encoder = CopyEncoder(.direct)
    let producer = ProducerID(high: 0, low: 0)
    let origin = CopyEncoder.Origin(tenant: 1, producer: producer, firstSequence: 1)
    for _ in 0..<2 {
      encoder.begin()
      fixture.withColumns { columns in encoder.append(columns, origin, rejects: Span()) }
      let length = encoder.byteCount
      fixture.withColumns { columns in encoder.append(columns, origin, rejects: Span()) }
      encoder.truncate(to: length)
      encoder.end()
      #expect(rows(encoder)?.count == 1)
    }
  }

  @Test("nothing is a header and a trailer")
  func empty() {
    #expect(encode(CopyFixture())?.isEmpty == true)
  }
}
