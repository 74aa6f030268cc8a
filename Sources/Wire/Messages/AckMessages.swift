internal import CProto

// What became of values. Proto/sluice/v1/ingest.proto

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
