import Testing

@testable import Wire

@Suite("columns")
struct ColumnsTests {
  /// numbers: entity 1, attribute 2, time 3, value 1.5.
  static let oneNumber = hex(
    """
    0a 24  0a 08 01 00 00 00 00 00 00 00  12 04 02 00 00 00
           1a 08 03 00 00 00 00 00 00 00  22 08 00 00 00 00 00 00 f8 3f
    """
  )

  /// The error of unpacking, `nil` when there is none.
  func failure(_ bytes: [UInt8], count: Int? = nil) -> MessageError? {
    withSpan(bytes) { span in
      do throws(MessageError) {
        try MessageArena().withColumns(span, count: count) { _ in }
        return nil
      } catch {
        return error
      }
    }
  }

  @Test("literal bytes are read as spans")
  func read() throws {
    try withSpan(Self.oneNumber) { span in
      let arena = MessageArena()
      try arena.withColumns(span, count: 1) { view in
        #expect(view.count == 1)
        #expect(view.numbers.entityIDs[0] == 1)
        #expect(view.numbers.attributeIDs[0] == 2)
        #expect(view.numbers.observedAt[0] == 3)
        #expect(view.numbers.values[0] == 1.5)
        #expect(view.integers.count + view.flags.count == 0)
        #expect(view.labels.count + view.documents.count == 0)
      }
    }
  }

  @Test("a builder writes those bytes, and announces their size")
  func write() {
    var builder = ColumnsBuilder()
    #expect(builder.encodedByteCount == 0)
    builder.appendNumber(1.5, entityID: 1, attributeID: 2, observedAtMicroseconds: 3)
    #expect(builder.encoded() == Self.oneNumber)
    #expect(builder.encodedByteCount == Self.oneNumber.count)
  }

  @Test("columns of different lengths are refused, in every section and column")
  func unequal() {
    let names = ["numbers", "integers", "flags", "labels", "documents"]
    for (index, name) in names.enumerated() {
      let tag = UInt8((index + 1) << 3 | 2)
      // One column each: 8, 4, 8 bytes, and an entry of the fourth.
      let columns = [
        hex("0a 08 01 00 00 00 00 00 00 00"), hex("12 04 02 00 00 00"),
        hex("1a 08 03 00 00 00 00 00 00 00"),
        index == 2
          ? hex("22 01 01")
          : index < 2 ? hex("22 08 00 00 00 00 00 00 f8 3f") : hex("22 04 00 00 00 00"),
      ]
      let whole = columns.flatMap { $0 }
      #expect(failure([tag, UInt8(whole.count)] + whole) == nil)
      for missing in 0..<4 {
        let rest = columns.enumerated().filter { $0.offset != missing }.flatMap { $0.element }
        #expect(
          failure([tag, UInt8(rest.count)] + rest) == .unequalColumns(section: name),
          "\(name) without column \(missing)"
        )
        let doubled = whole + columns[missing]
        #expect(
          failure([tag, UInt8(doubled.count)] + doubled) == .unequalColumns(section: name),
          "\(name) with column \(missing) twice"
        )
      }
    }
  }

  @Test("offsets must not fall and must end at the end of the text")
  func offsets() {
    func labels(_ ends: [UInt8], _ text: String) -> [UInt8] {
      let count = UInt8(ends.count)
      let section =
        [0x0a, 8 * count] + Array(repeating: 0, count: 8 * Int(count))
        + [0x12, 4 * count] + Array(repeating: 0, count: 4 * Int(count))
        + [0x1a, 8 * count] + Array(repeating: 0, count: 8 * Int(count))
        + [0x22, 4 * count] + ends.flatMap { [$0, 0, 0, 0] }
        + [0x2a, UInt8(text.utf8.count)] + Array(text.utf8)
      return [0x22, UInt8(section.count)] + section
    }
    #expect(failure(labels([1, 1, 3], "abc")) == nil)
    #expect(failure(labels([2, 1, 3], "abc")) == .badOffsets(section: "labels"))
    #expect(failure(labels([1, 2, 4], "abc")) == .badOffsets(section: "labels"))
    #expect(failure(labels([1, 2], "abc")) == .badOffsets(section: "labels"))
    #expect(failure(labels([], "abc")) == .badOffsets(section: "labels"))
    #expect(failure(labels([0, 0, 255], "abc")) == .badOffsets(section: "labels"))
  }

  @Test("the count announced must be the count found")
  func count() {
    #expect(failure(Self.oneNumber, count: 1) == nil)
    #expect(failure(Self.oneNumber, count: 2) == .wrongCount(expected: 2, found: 1))
    #expect(failure([], count: 0) == nil)
    #expect(failure([], count: 1) == .wrongCount(expected: 1, found: 0))
  }

  @Test("what is built is what is read, for random columns", arguments: 0..<30)
  func roundTrip(_ round: UInt64) throws {
    let seed = 0xc01_0000 + round
    var random = SeededGenerator(seed: seed)
    let builder = RandomMessages.columns(&random, values: Int.random(in: 0...200, using: &random))
    let bytes = builder.encoded()
    #expect(bytes.count == builder.encodedByteCount, "seed \(seed)")
    let copy = try withSpan(bytes) { span in
      try MessageArena().withColumns(span, count: builder.count) { ColumnsBuilder(copying: $0) }
    }
    #expect(copy == builder, "seed \(seed)")
  }

  @Test("a batch is read in place, and agrees with protobuf-c")
  func batch() throws {
    let arena = MessageArena()
    var queue = ByteQueue()
    let columns = Self.oneNumber
    let checksum = withSpan(columns) { crc32c($0) }
    try withSpan(columns) { span in
      try queue.appendBatch(streamID: 5, firstSeq: 77, count: 1, crc32c: checksum, columns: span)
    }
    let frames = decode(array(queue.pending)).frames
    try #require(frames.count == 1)
    #expect(frames[0].header.streamID == 5)
    try withSpan(frames[0].body) { body in
      guard case .batch(let batch) = try WriteRequestView(decoding: body, arena: arena) else {
        Issue.record("not a batch")
        return
      }
      #expect(batch.firstSeq == 77)
      #expect(batch.count == 1)
      #expect(batch.crc32c == checksum)
      #expect(array(batch.columns) == columns)
      let value = try WriteRequest(decoding: body, arena: arena)
      #expect(
        value == .batch(Batch(firstSeq: 77, count: 1, crc32c: checksum, columns: columns))
      )
    }
  }

  @Test("a batch that does not fit into a frame is not begun")
  func batchTooLarge() throws {
    var queue = ByteQueue()
    let columns = Array(repeating: UInt8(0), count: WireLimits.frameBodyBytesMax - 20)
    #expect(throws: MessageError.tooLarge) {
      try withSpan(columns) { span in
        try queue.appendBatch(streamID: 5, firstSeq: 77, count: 1, crc32c: 0, columns: span)
      }
    }
    #expect(queue.count == 0)
  }

  @Test("the history answer packs its columns beside the rest")
  func history() throws {
    var random = SeededGenerator(seed: 3)
    let page = QueryHistoryResponse(
      columns: RandomMessages.columns(&random, values: 40),
      nextPageToken: [1, 2],
      freshness: Freshness(source: .replica, node: "replica-1")
    )
    let arena = MessageArena()
    let bytes = try page.encoded(arena: arena)
    let again = try withSpan(bytes) { try QueryHistoryResponse(decoding: $0, arena: arena) }
    #expect(again == page)
  }
}
