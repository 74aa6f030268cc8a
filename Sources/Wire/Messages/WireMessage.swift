internal import CProto
internal import CProtobufC

/// A message of the protocol as a plain value, with both directions.
public protocol WireMessage: Sendable {
  /// Unpacks a message and copies it out.
  ///
  /// - Parameters:
  ///   - bytes: the message as it came.
  ///   - arena: scratch memory; nothing stays in it.
  /// - Throws: `MessageError`; its `status` is the answer for a client.
  init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError)

  /// Builds the message for packing, in the arena: call it inside a scope of the arena.
  @_lifetime(borrow arena)
  func prepare(in arena: MessageArena) throws(MessageError) -> PreparedMessage
}

extension WireMessage {
  /// Appends the bare message.
  public func append(
    to queue: inout ByteQueue,
    arena: MessageArena
  ) throws(MessageError) {
    try arena.scope { () throws(MessageError) in
      try prepare(in: arena).append(to: &queue)
    }
  }

  /// The bare message as an array.
  public func encoded(arena: MessageArena) throws(MessageError) -> [UInt8] {
    var queue = ByteQueue()
    try append(to: &queue, arena: arena)
    return queue.pending.copied()
  }
}

/// A message whose size is known and that waits to be packed, in memory of an arena.
@safe
public struct PreparedMessage: ~Escapable {
  private let message: UnsafePointer<ProtobufCMessage>
  private let columns: ColumnsBuilder?
  private let messageBytes: Int

  /// Size of the packed message.
  public let byteCount: Int

  /// Wraps a C message that lives in `arena`; `columns`, if any, becomes field 1 before it.
  @_lifetime(borrow arena)
  init(
    _ message: UnsafeMutableRawPointer,
    in arena: borrowing MessageArena,
    columns: ColumnsBuilder? = nil
  ) {
    unsafe self.message = UnsafePointer(message.assumingMemoryBound(to: ProtobufCMessage.self))
    self.columns = columns
    messageBytes = unsafe protobuf_c_message_get_packed_size(self.message)
    let columnsBytes = columns.map { ProtobufSize.field(1, bytes: $0.encodedByteCount) } ?? 0
    byteCount = messageBytes + columnsBytes
  }

  /// Packs the message behind what the queue holds.
  func append(to queue: inout ByteQueue) {
    if let columns {
      queue.appendLength(field: 1, columns.encodedByteCount)
      columns.append(to: &queue)
    }
    unsafe queue.appendUninitialized(count: messageBytes) {
      unsafe protobuf_c_message_pack(message, $0)
    }
  }
}

/// Why a message could not be read, or not be written.
public enum MessageError: Error, Equatable {
  /// Not protobuf.
  case malformed
  /// Needs more memory than the arena has, or more than a frame has room for.
  case tooLarge
  /// More unknown fields than `WireLimits.unknownFieldsMax`.
  case tooManyUnknownFields
  /// A text is not UTF-8.
  case notUTF8(field: String)
  /// A text has a NUL, which PostgreSQL cannot store.
  case hasNUL(field: String)
  /// An enum has a value this version does not know.
  case unknownEnumValue(field: String)
  /// A oneof is not set.
  case notSet(field: String)
  /// The columns of a section have different lengths.
  case unequalColumns(section: String)
  /// End offsets fall, or the last is not the end of the text.
  case badOffsets(section: String)
  /// The sections hold another number of values than announced.
  case wrongCount(expected: Int, found: Int)

  /// The answer to a client that sent the message.
  public var status: Status {
    switch self {
    case .malformed:
      .invalid("payload", "is malformed", reason: "MALFORMED_MESSAGE")
    case .tooLarge:
      Status(
        .resourceExhausted,
        "the message needs too much memory",
        reason: "MESSAGE_TOO_LARGE",
        retryAfterMilliseconds: 1_000
      )
    case .tooManyUnknownFields:
      .invalid("payload", "has too many unknown fields", reason: "TOO_MANY_UNKNOWN_FIELDS")
    case .notUTF8(let field): .invalid(field, "is not UTF-8", reason: "BAD_FIELD")
    case .hasNUL(let field): .invalid(field, "has a NUL", reason: "BAD_FIELD")
    case .unknownEnumValue(let field): .invalid(field, "has an unknown value", reason: "BAD_FIELD")
    case .notSet(let field): .invalid(field, "is not set", reason: "BAD_FIELD")
    case .unequalColumns(let section):
      .invalid("columns.\(section)", "has columns of different lengths", reason: "BAD_FIELD")
    case .badOffsets(let section):
      .invalid(
        "columns.\(section).end_offset",
        "does not rise to the end of the text",
        reason: "BAD_FIELD"
      )
    case .wrongCount(let expected, let found):
      .invalid("count", "says \(expected), the columns hold \(found)", reason: "BAD_FIELD")
    }
  }

  /// The same error with the field named from one message further out.
  func inside(_ outer: String) -> MessageError {
    switch self {
    case .notUTF8(let field): .notUTF8(field: "\(outer).\(field)")
    case .hasNUL(let field): .hasNUL(field: "\(outer).\(field)")
    case .unknownEnumValue(let field): .unknownEnumValue(field: "\(outer).\(field)")
    case .notSet(let field): .notSet(field: "\(outer).\(field)")
    case .malformed, .tooLarge, .tooManyUnknownFields, .unequalColumns, .badOffsets, .wrongCount:
      self
    }
  }
}
