internal import CProto

// What a gateway says in a write session. Proto/sluice/v1/ingest.proto

/// The answer to Open.
public struct Opened: WireMessage, Equatable {
  /// Counts the sessions of the producer; for fencing.
  public var epoch: UInt64

  /// Every value up to here is durable: drop those, send the others.
  public var durableSeq: UInt64

  /// Every value up to here is at least in staging.
  public var stagedSeq: UInt64

  /// Changes when the staging area was lost: staged_seq has then fallen back to durable_seq.
  public var incarnation: UInt64

  /// Longest Batch.columns this gateway takes.
  public var maxBatchBytes: UInt32

  /// As in Ack.
  public var grantedBytes: UInt64

  /// As in Ack.
  public var grantedSeq: UInt64

  /// Acknowledged values that a failover of the database lost and the client no longer holds; 0 if
  /// none.
  public var lostFromSeq: UInt64

  /// The last of them.
  public var lostToSeq: UInt64

  /// Most values in one Batch.
  public var maxBatchValues: UInt32

  /// 16 bytes that name the database, the same for all its gateways; positions mean nothing in
  /// another one.
  public var databaseID: [UInt8]

  /// Makes a message; what is left out has its default.
  public init(
    epoch: UInt64 = 0,
    durableSeq: UInt64 = 0,
    stagedSeq: UInt64 = 0,
    incarnation: UInt64 = 0,
    maxBatchBytes: UInt32 = 0,
    grantedBytes: UInt64 = 0,
    grantedSeq: UInt64 = 0,
    lostFromSeq: UInt64 = 0,
    lostToSeq: UInt64 = 0,
    maxBatchValues: UInt32 = 0,
    databaseID: [UInt8] = []
  ) {
    self.epoch = epoch
    self.durableSeq = durableSeq
    self.stagedSeq = stagedSeq
    self.incarnation = incarnation
    self.maxBatchBytes = maxBatchBytes
    self.grantedBytes = grantedBytes
    self.grantedSeq = grantedSeq
    self.lostFromSeq = lostFromSeq
    self.lostToSeq = lostToSeq
    self.maxBatchValues = maxBatchValues
    self.databaseID = databaseID
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__opened__unpack) { (c) throws(MessageError) in
      try unsafe Self(c)
    }
  }

  /// Builds the message for packing, in the arena.
  @_lifetime(borrow arena)
  public func prepare(in arena: MessageArena) throws(MessageError) -> PreparedMessage {
    let message = try unsafe build(in: arena)
    return unsafe PreparedMessage(message, in: arena)
  }

  init(_ c: UnsafeMutablePointer<Sluice__V1__Opened>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    epoch = unsafe c.pointee.epoch
    durableSeq = unsafe c.pointee.durable_seq
    stagedSeq = unsafe c.pointee.staged_seq
    incarnation = unsafe c.pointee.incarnation
    maxBatchBytes = unsafe c.pointee.max_batch_bytes
    grantedBytes = unsafe c.pointee.granted_bytes
    grantedSeq = unsafe c.pointee.granted_seq
    lostFromSeq = unsafe c.pointee.lost_from_seq
    lostToSeq = unsafe c.pointee.lost_to_seq
    maxBatchValues = unsafe c.pointee.max_batch_values
    databaseID = unsafe Field.bytes(c.pointee.database_id)
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__Opened> {
    let c = try unsafe arena.make(sluice__v1__opened__init)
    unsafe c.pointee.epoch = epoch
    unsafe c.pointee.durable_seq = durableSeq
    unsafe c.pointee.staged_seq = stagedSeq
    unsafe c.pointee.incarnation = incarnation
    unsafe c.pointee.max_batch_bytes = maxBatchBytes
    unsafe c.pointee.granted_bytes = grantedBytes
    unsafe c.pointee.granted_seq = grantedSeq
    unsafe c.pointee.lost_from_seq = lostFromSeq
    unsafe c.pointee.lost_to_seq = lostToSeq
    unsafe c.pointee.max_batch_values = maxBatchValues
    unsafe c.pointee.database_id = try arena.binary(databaseID)
    return unsafe c
  }
}

/// The answer to a Ping.
public struct Pong: WireMessage, Equatable {
  /// From the Ping.
  public var nonce: UInt64

  /// Makes a message; what is left out has its default.
  public init(
    nonce: UInt64 = 0
  ) {
    self.nonce = nonce
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__pong__unpack) { (c) throws(MessageError) in
      try unsafe Self(c)
    }
  }

  /// Builds the message for packing, in the arena.
  @_lifetime(borrow arena)
  public func prepare(in arena: MessageArena) throws(MessageError) -> PreparedMessage {
    let message = try unsafe build(in: arena)
    return unsafe PreparedMessage(message, in: arena)
  }

  init(_ c: UnsafeMutablePointer<Sluice__V1__Pong>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    nonce = unsafe c.pointee.nonce
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__Pong> {
    let c = try unsafe arena.make(sluice__v1__pong__init)
    unsafe c.pointee.nonce = nonce
    return unsafe c
  }
}

/// The gateway is about to stop.
///
/// Send no more; Acks for what was sent still come, then the stream ends.
public struct Drain: WireMessage, Equatable {
  /// How long the gateway waits at most.
  public var graceMilliseconds: Int64

  /// Wait this long before connecting again.
  public var retryDelayMilliseconds: Int64

  /// Makes a message; what is left out has its default.
  public init(
    graceMilliseconds: Int64 = 0,
    retryDelayMilliseconds: Int64 = 0
  ) {
    self.graceMilliseconds = graceMilliseconds
    self.retryDelayMilliseconds = retryDelayMilliseconds
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__drain__unpack) { (c) throws(MessageError) in
      try unsafe Self(c)
    }
  }

  /// Builds the message for packing, in the arena.
  @_lifetime(borrow arena)
  public func prepare(in arena: MessageArena) throws(MessageError) -> PreparedMessage {
    let message = try unsafe build(in: arena)
    return unsafe PreparedMessage(message, in: arena)
  }

  init(_ c: UnsafeMutablePointer<Sluice__V1__Drain>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    graceMilliseconds = unsafe c.pointee.grace_ms
    retryDelayMilliseconds = unsafe c.pointee.retry_delay_ms
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__Drain> {
    let c = try unsafe arena.make(sluice__v1__drain__init)
    unsafe c.pointee.grace_ms = graceMilliseconds
    unsafe c.pointee.retry_delay_ms = retryDelayMilliseconds
    return unsafe c
  }
}

/// What a gateway says in a write session.
public enum WriteResponse: WireMessage, Equatable {
  /// The answer to Open.
  case opened(Opened)
  /// Positions, grants and rejects.
  case ack(Ack)
  /// The answer to a Ping.
  case pong(Pong)
  /// The gateway is about to stop.
  case drain(Drain)

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__write_response__unpack) {
      (c) throws(MessageError) in
      try unsafe Self(c)
    }
  }

  /// Builds the message for packing, in the arena.
  @_lifetime(borrow arena)
  public func prepare(in arena: MessageArena) throws(MessageError) -> PreparedMessage {
    let message = try unsafe build(in: arena)
    return unsafe PreparedMessage(message, in: arena)
  }

  init(_ c: UnsafeMutablePointer<Sluice__V1__WriteResponse>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    switch unsafe c.pointee.message_case {
    case SLUICE__V1__WRITE_RESPONSE__MESSAGE_OPENED:
      guard let c = unsafe c.pointee.opened else { throw .malformed }
      self = .opened(try unsafe Opened(c))
    case SLUICE__V1__WRITE_RESPONSE__MESSAGE_ACK:
      guard let c = unsafe c.pointee.ack else { throw .malformed }
      self = .ack(try unsafe Ack(c))
    case SLUICE__V1__WRITE_RESPONSE__MESSAGE_PONG:
      guard let c = unsafe c.pointee.pong else { throw .malformed }
      self = .pong(try unsafe Pong(c))
    case SLUICE__V1__WRITE_RESPONSE__MESSAGE_DRAIN:
      guard let c = unsafe c.pointee.drain else { throw .malformed }
      self = .drain(try unsafe Drain(c))
    default: throw .notSet(field: "message")
    }
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__WriteResponse> {
    let c = try unsafe arena.make(sluice__v1__write_response__init)
    switch self {
    case .opened(let opened):
      unsafe c.pointee.message_case = SLUICE__V1__WRITE_RESPONSE__MESSAGE_OPENED
      unsafe c.pointee.opened = try opened.build(in: arena)
    case .ack(let ack):
      unsafe c.pointee.message_case = SLUICE__V1__WRITE_RESPONSE__MESSAGE_ACK
      unsafe c.pointee.ack = try ack.build(in: arena)
    case .pong(let pong):
      unsafe c.pointee.message_case = SLUICE__V1__WRITE_RESPONSE__MESSAGE_PONG
      unsafe c.pointee.pong = try pong.build(in: arena)
    case .drain(let drain):
      unsafe c.pointee.message_case = SLUICE__V1__WRITE_RESPONSE__MESSAGE_DRAIN
      unsafe c.pointee.drain = try drain.build(in: arena)
    }
    return unsafe c
  }
}
