/// A WriteRequest read in place: the columns of a batch stay where they were received.
///
/// The oneof and its small messages are walked by hand, because protobuf-c would copy the columns
/// (up to 4 MiB) once more.
public enum WriteRequestView: ~Escapable {
  /// The first message of a session.
  case open(Open)
  /// A run of values.
  case batch(BatchView)
  /// Asks for a Pong.
  case ping(Ping)

  /// Reads the message; `open` and `ping` are copied out.
  ///
  /// - Throws: `MessageError`: malformed, nothing set, or too many unknown fields.
  @_lifetime(copy bytes)
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    var reader = FieldReader(0..<bytes.byteCount)
    var last: (number: UInt32, range: Range<Int>)?
    var unknownFields = 0
    while let field = try MessageError.reading({ () throws(FieldReader.Failure) in
      try reader.next(in: bytes)
    }) {
      switch (field.number, field.value) {
      case (1...3, .bytes(let range)):
        // Two parts of one message would have to be merged; no client that packs a message writes
        // them.
        guard last == nil || last?.number != field.number else { throw .malformed }
        last = (field.number, range)
      case (1...3, _): throw .malformed
      default:
        unknownFields += 1
        guard unknownFields <= WireLimits.unknownFieldsMax else { throw .tooManyUnknownFields }
      }
    }
    guard let last else { throw .notSet(field: "message") }
    let body = bytes.extracting(last.range)
    switch last.number {
    case 1:
      self = .open(
        try Self.within("open") { () throws(MessageError) in
          try Open(decoding: body, arena: arena)
        }
      )
    case 2: self = .batch(try BatchView(decoding: body))
    default: self = .ping(try Ping(decoding: body, arena: arena))
    }
  }

  private static func within<Message>(
    _ field: String,
    _ read: () throws(MessageError) -> Message
  ) throws(MessageError) -> Message {
    do {
      return try read()
    } catch {
      throw error.inside(field)
    }
  }
}

/// A Batch read in place.
public struct BatchView: ~Escapable {
  /// Sequence number of the first value.
  public private(set) var firstSeq: UInt64 = 0

  /// How many values the columns hold, says the client.
  public private(set) var count: UInt32 = 0

  /// Sequence number of the last value; below the first one's when there are none or too many.
  public var lastSeq: UInt64 { firstSeq &+ UInt64(count) &- 1 }

  /// CRC-32C of `columns`, says the client.
  public private(set) var crc32c: UInt32 = 0

  /// A serialised Columns message: the bytes to check, keep and unpack.
  public private(set) var columns: RawSpan

  /// A batch that was kept: its bytes and what they said about themselves.
  @_lifetime(copy columns)
  public init(firstSeq: UInt64, count: UInt32, crc32c: UInt32, columns: RawSpan) {
    self.firstSeq = firstSeq
    self.count = count
    self.crc32c = crc32c
    self.columns = columns
  }

  /// Reads a Batch message.
  @_lifetime(copy bytes)
  init(decoding bytes: RawSpan) throws(MessageError) {
    columns = RawSpan()
    var reader = FieldReader(0..<bytes.byteCount)
    var unknownFields = 0
    var columnsRange = 0..<0
    while let field = try MessageError.reading({ () throws(FieldReader.Failure) in
      try reader.next(in: bytes)
    }) {
      switch (field.number, field.value) {
      case (1, .fixed64(let value)): firstSeq = value
      case (2, .varint(let value)): count = UInt32(truncatingIfNeeded: value)
      case (3, .fixed32(let value)): crc32c = value
      case (4, .bytes(let range)): columnsRange = range
      case (1...4, _): throw .malformed
      default:
        unknownFields += 1
        guard unknownFields <= WireLimits.unknownFieldsMax else { throw .tooManyUnknownFields }
      }
    }
    columns = bytes.extracting(columnsRange)
  }
}

extension MessageError {
  static func reading<Result>(
    _ read: () throws(FieldReader.Failure) -> Result
  ) throws(MessageError) -> Result {
    do {
      return try read()
    } catch {
      throw .malformed
    }
  }
}

extension ByteQueue {
  /// Appends a Data frame with a WriteRequest that holds a batch: the columns are copied once,
  /// straight from where they are kept.
  ///
  /// - Throws: `.tooLarge` when the frame would be over 4 MiB; nothing is appended then.
  public mutating func appendBatch(
    streamID: UInt32,
    firstSeq: UInt64,
    count: UInt32,
    crc32c: UInt32,
    columns: RawSpan
  ) throws(MessageError) {
    let batchBytes =
      9 + 1 + ProtobufSize.varint(Int(count)) + 5
      + ProtobufSize.field(4, bytes: columns.byteCount)
    let bodyBytes = ProtobufSize.field(2, bytes: batchBytes)
    guard bodyBytes <= WireLimits.frameBodyBytesMax else { throw .tooLarge }
    appendHeader(FrameHeader(length: bodyBytes, streamID: streamID, kind: .data))
    appendLength(field: 2, batchBytes)
    append(byte: 1 << 3 | 1)
    append(count: 8) {
      $0.storeBytes(of: firstSeq.littleEndian, toByteOffset: 0, as: UInt64.self)
    }
    append(byte: 2 << 3)
    append(varint: UInt64(count))
    append(byte: 3 << 3 | 5)
    append(count: 4) {
      $0.storeBytes(of: crc32c.littleEndian, toByteOffset: 0, as: UInt32.self)
    }
    appendLength(field: 4, columns.byteCount)
    append(columns)
  }
}
