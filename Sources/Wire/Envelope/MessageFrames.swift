/// Appends frames with messages: the size first, then the message packed straight behind the
/// header. What does not fit into a frame is not appended at all.
extension ByteQueue {
  /// Appends a Data frame with one message.
  ///
  /// - Throws: `.tooLarge` when the message does not fit into a frame or the arena.
  public mutating func appendData(
    streamID: UInt32,
    _ message: some WireMessage,
    flags: FrameFlags = [],
    arena: MessageArena
  ) throws(MessageError) {
    try arena.scope { () throws(MessageError) in
      let prepared = try message.prepare(in: arena)
      guard prepared.byteCount <= WireLimits.frameBodyBytesMax else { throw .tooLarge }
      appendHeader(
        FrameHeader(length: prepared.byteCount, streamID: streamID, kind: .data, flags: flags)
      )
      prepared.append(to: &self)
    }
  }

  /// Appends the Response of a unary call that went well.
  ///
  /// - Throws: `.tooLarge` when the message does not fit into a frame or the arena.
  public mutating func appendResponse(
    streamID: UInt32,
    _ message: some WireMessage,
    arena: MessageArena
  ) throws(MessageError) {
    try arena.scope { () throws(MessageError) in
      let prepared = try message.prepare(in: arena)
      let bodyBytes = 2 + ProtobufSize.field(2, bytes: prepared.byteCount)
      guard bodyBytes <= WireLimits.frameBodyBytesMax else { throw .tooLarge }
      appendHeader(FrameHeader(length: bodyBytes, streamID: streamID, kind: .response))
      // A Response always carries at least an empty Status: stock clients look into it.
      appendLength(field: 1, 0)
      appendLength(field: 2, prepared.byteCount)
      prepared.append(to: &self)
    }
  }

  /// Appends a Response that ends a call or a stream with an error.
  ///
  /// A status that the arena cannot hold is cut down to its code: an error must never be lost.
  public mutating func appendResponse(streamID: UInt32, status: Status, arena: MessageArena) {
    do {
      try appendStatus(streamID: streamID, status, arena: arena)
    } catch {
      let code = UInt64(UInt32(bitPattern: status.code.rawValue))
      appendHeader(FrameHeader(length: 4, streamID: streamID, kind: .response))
      appendLength(field: 1, 2)
      append(byte: 1 << 3)
      append(varint: code)
    }
  }

  private mutating func appendStatus(
    streamID: UInt32,
    _ status: Status,
    arena: MessageArena
  ) throws(MessageError) {
    try arena.scope { () throws(MessageError) in
      let prepared = try status.prepare(in: arena)
      let bodyBytes = ProtobufSize.field(1, bytes: prepared.byteCount)
      guard bodyBytes <= WireLimits.frameBodyBytesMax else { throw .tooLarge }
      appendHeader(FrameHeader(length: bodyBytes, streamID: streamID, kind: .response))
      appendLength(field: 1, prepared.byteCount)
      prepared.append(to: &self)
    }
  }

  /// Appends a Request frame, for the client side.
  ///
  /// - Parameters:
  ///   - streamID: a new id from `ClientStreams`.
  ///   - call: which method, and how long to wait for it.
  ///   - message: the payload; `nil` for a bidirectional stream, whose messages come as data.
  ///   - flags: `.remoteClosed` for unary and server streaming, `.remoteOpen` for bidirectional.
  ///   - arena: scratch memory.
  /// - Throws: `.tooLarge` when the frame would be over 4 MiB.
  public mutating func appendRequest<Message: WireMessage>(
    streamID: UInt32,
    _ call: CallHeader,
    _ message: Message?,
    flags: FrameFlags,
    arena: MessageArena
  ) throws(MessageError) {
    try arena.scope { () throws(MessageError) in
      guard let message else {
        try appendRequestHead(streamID, call, payloadBytes: 0, flags)
        return
      }
      let prepared = try message.prepare(in: arena)
      try appendRequestHead(streamID, call, payloadBytes: prepared.byteCount, flags)
      prepared.append(to: &self)
    }
  }

  /// Appends everything of a Request frame up to the payload, which the envelope has last.
  private mutating func appendRequestHead(
    _ streamID: UInt32,
    _ call: CallHeader,
    payloadBytes: Int,
    _ flags: FrameFlags
  ) throws(MessageError) {
    var head = ByteQueue()
    head.appendField(1, call.service)
    head.appendField(2, call.method)
    if call.timeoutNanoseconds != 0 {
      head.append(byte: 4 << 3)
      head.append(varint: UInt64(bitPattern: call.timeoutNanoseconds))
    }
    for entry in call.metadata {
      var field = ByteQueue()
      field.appendField(1, entry.key)
      field.appendField(2, entry.value)
      head.appendLength(field: 5, field.count)
      head.append(field.pending)
    }
    if payloadBytes > 0 { head.appendLength(field: 3, payloadBytes) }
    guard head.count + payloadBytes <= WireLimits.frameBodyBytesMax else { throw .tooLarge }
    appendHeader(
      FrameHeader(
        length: head.count + payloadBytes,
        streamID: streamID,
        kind: .request,
        flags: flags
      )
    )
    append(head.pending)
  }
}

/// What a client says about a call beside the message.
public struct CallHeader: Sendable, Equatable {
  /// Full name of the service.
  public var service: String

  /// Bare name of the method.
  public var method: String

  /// How long the server may take, from receipt; 0 is no limit.
  public var timeoutNanoseconds: Int64

  /// Further entries for the server.
  public var metadata: [KeyValue]

  /// Describes a call.
  public init(
    service: String,
    method: String,
    timeoutNanoseconds: Int64 = 0,
    metadata: [KeyValue] = []
  ) {
    self.service = service
    self.method = method
    self.timeoutNanoseconds = timeoutNanoseconds
    self.metadata = metadata
  }
}
