internal import CProto

// What a gateway says in a write session: Proto/sluice/v1/ingest.proto

/// Why a value was not written.
public enum RejectReason: Int32, Sendable, CaseIterable {
  /// Not said.
  case unspecified = 0
  /// No such entity.
  case unknownEntity = 1
  /// No such attribute.
  case unknownAttribute = 2
  /// The attribute has another type.
  case wrongType = 3
  /// Before year 1.
  case timeOutOfRange = 4
  /// Too far in the future.
  case timeInFuture = 5
  /// Not UTF-8.
  case textNotUtf8 = 6
  /// A NUL in the text.
  case textHasNul = 7
  /// A text that is too long.
  case tooLong = 8
  /// A document that is not JSON.
  case notJson = 9
  /// A document nested too deep.
  case jsonTooDeep = 10
  /// PostgreSQL refused it.
  case refusedByDatabase = 11
}

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
    maxBatchValues: UInt32 = 0
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

/// Positions, grants and counts are cumulative: a newer Ack replaces an older one, except for
/// rejects.
public struct Ack: WireMessage, Equatable {
  /// Every value up to here is at least in staging.
  public var stagedSeq: UInt64

  /// Every value up to here is durable.
  public var durableSeq: UInt64

  /// A read AT_LEAST this token sees everything up to durable_seq.
  public var token: [UInt8]

  /// Sum of the lengths of Batch.columns that may be sent since Open.
  ///
  /// Take the maximum ever seen.
  public var grantedBytes: UInt64

  /// Highest sequence number that may be sent.
  ///
  /// Take the maximum ever seen.
  public var grantedSeq: UInt64

  /// Values that were not written, since the last Ack.
  public var rejects: [Reject]

  /// Counts since Open.
  public var counts: Counts

  /// As in Opened.
  public var incarnation: UInt64

  /// Makes a message; what is left out has its default.
  public init(
    stagedSeq: UInt64 = 0,
    durableSeq: UInt64 = 0,
    token: [UInt8] = [],
    grantedBytes: UInt64 = 0,
    grantedSeq: UInt64 = 0,
    rejects: [Reject] = [],
    counts: Counts = Counts(),
    incarnation: UInt64 = 0
  ) {
    self.stagedSeq = stagedSeq
    self.durableSeq = durableSeq
    self.token = token
    self.grantedBytes = grantedBytes
    self.grantedSeq = grantedSeq
    self.rejects = rejects
    self.counts = counts
    self.incarnation = incarnation
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__ack__unpack) { (c) throws(MessageError) in
      try unsafe Self(c)
    }
  }

  /// Builds the message for packing, in the arena.
  @_lifetime(borrow arena)
  public func prepare(in arena: MessageArena) throws(MessageError) -> PreparedMessage {
    let message = try unsafe build(in: arena)
    return unsafe PreparedMessage(message, in: arena)
  }

  init(_ c: UnsafeMutablePointer<Sluice__V1__Ack>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    stagedSeq = unsafe c.pointee.staged_seq
    durableSeq = unsafe c.pointee.durable_seq
    token = unsafe Field.bytes(c.pointee.token)
    grantedBytes = unsafe c.pointee.granted_bytes
    grantedSeq = unsafe c.pointee.granted_seq
    rejects = try unsafe Field.messages(c.pointee.rejects, c.pointee.n_rejects, "rejects") {
      (c) throws(MessageError) in try unsafe Reject(c)
    }
    counts =
      try unsafe Field.message(c.pointee.counts, "counts") { (c) throws(MessageError) in
        try unsafe Counts(c)
      } ?? Counts()
    incarnation = unsafe c.pointee.incarnation
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__Ack> {
    let c = try unsafe arena.make(sluice__v1__ack__init)
    unsafe c.pointee.staged_seq = stagedSeq
    unsafe c.pointee.durable_seq = durableSeq
    unsafe c.pointee.token = try arena.binary(token)
    unsafe c.pointee.granted_bytes = grantedBytes
    unsafe c.pointee.granted_seq = grantedSeq
    unsafe c.pointee.n_rejects = rejects.count
    unsafe c.pointee.rejects = try arena.messages(rejects) { (element) throws(MessageError) in
      try unsafe element.build(in: arena)
    }
    unsafe c.pointee.counts = try counts.build(in: arena)
    unsafe c.pointee.incarnation = incarnation
    return unsafe c
  }
}

/// A value that was not written.
public struct Reject: WireMessage, Equatable {
  /// The value.
  public var seq: UInt64

  /// Why it was not written.
  public var reason: RejectReason

  /// Makes a message; what is left out has its default.
  public init(
    seq: UInt64 = 0,
    reason: RejectReason = .unspecified
  ) {
    self.seq = seq
    self.reason = reason
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__reject__unpack) { (c) throws(MessageError) in
      try unsafe Self(c)
    }
  }

  /// Builds the message for packing, in the arena.
  @_lifetime(borrow arena)
  public func prepare(in arena: MessageArena) throws(MessageError) -> PreparedMessage {
    let message = try unsafe build(in: arena)
    return unsafe PreparedMessage(message, in: arena)
  }

  init(_ c: UnsafeMutablePointer<Sluice__V1__Reject>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    seq = unsafe c.pointee.seq
    reason = unsafe Field.told(c.pointee.reason.rawValue, or: .unspecified)
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__Reject> {
    let c = try unsafe arena.make(sluice__v1__reject__init)
    unsafe c.pointee.seq = seq
    unsafe c.pointee.reason = Sluice__V1__RejectReason(rawValue: UInt32(reason.rawValue))
    return unsafe c
  }
}

/// How many values, since Open.
public struct Counts: WireMessage, Equatable {
  /// Values that came.
  public var received: UInt64

  /// Values that were written.
  public var written: UInt64

  /// Values that had been written before.
  public var duplicate: UInt64

  /// Values that were refused.
  public var rejected: UInt64

  /// Makes a message; what is left out has its default.
  public init(
    received: UInt64 = 0,
    written: UInt64 = 0,
    duplicate: UInt64 = 0,
    rejected: UInt64 = 0
  ) {
    self.received = received
    self.written = written
    self.duplicate = duplicate
    self.rejected = rejected
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__counts__unpack) { (c) throws(MessageError) in
      try unsafe Self(c)
    }
  }

  /// Builds the message for packing, in the arena.
  @_lifetime(borrow arena)
  public func prepare(in arena: MessageArena) throws(MessageError) -> PreparedMessage {
    let message = try unsafe build(in: arena)
    return unsafe PreparedMessage(message, in: arena)
  }

  init(_ c: UnsafeMutablePointer<Sluice__V1__Counts>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    received = unsafe c.pointee.received
    written = unsafe c.pointee.written
    duplicate = unsafe c.pointee.duplicate
    rejected = unsafe c.pointee.rejected
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__Counts> {
    let c = try unsafe arena.make(sluice__v1__counts__init)
    unsafe c.pointee.received = received
    unsafe c.pointee.written = written
    unsafe c.pointee.duplicate = duplicate
    unsafe c.pointee.rejected = rejected
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
