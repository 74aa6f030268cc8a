internal import CProto

// What a client says in a write session: Proto/sluice/v1/ingest.proto

/// What an ack means.
public enum Durability: Int32, Sendable, CaseIterable {
  /// DURABLE.
  case unspecified = 0
  /// Committed, and the commit flushed.
  case durable = 1
  /// First committed in staging (staged_seq), soon durable (durable_seq).
  case staged = 2
}

/// The first message of a session.
public struct Open: WireMessage, Equatable {
  /// 1.
  public var protocolVersion: UInt32

  /// 16 bytes that the client made at random once and kept: who the producer is, for ever.
  public var producerID: [UInt8]

  /// Credentials; empty while the gateway asks for none.
  public var token: [UInt8]

  /// What an Ack of this session means.
  public var durability: Durability

  /// 16 random bytes, new for each session; the same when only the answer to Open was lost.
  ///
  /// A new one raises the producer's epoch and fences every older session.
  public var sessionID: [UInt8]

  /// The lowest sequence number that the client could still send; 0 when it holds nothing.
  public var lowestHeldSeq: UInt64

  /// Shown to operators: "agent/1.0 host-17".
  ///
  /// UTF-8, at most 128 bytes.
  public var clientName: String

  /// `Opened.databaseID` of earlier sessions, empty before the first: another one refuses.
  public var databaseID: [UInt8]

  /// The highest sequence number that went out in an earlier session; 0 when that is not known.
  public var highestSentSeq: UInt64

  /// Makes a message; what is left out has its default.
  public init(
    protocolVersion: UInt32 = 0,
    producerID: [UInt8] = [],
    token: [UInt8] = [],
    durability: Durability = .unspecified,
    sessionID: [UInt8] = [],
    lowestHeldSeq: UInt64 = 0,
    clientName: String = "",
    databaseID: [UInt8] = [],
    highestSentSeq: UInt64 = 0
  ) {
    self.protocolVersion = protocolVersion
    self.producerID = producerID
    self.token = token
    self.durability = durability
    self.sessionID = sessionID
    self.lowestHeldSeq = lowestHeldSeq
    self.clientName = clientName
    self.databaseID = databaseID
    self.highestSentSeq = highestSentSeq
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__open__unpack) { (c) throws(MessageError) in
      try unsafe Self(c)
    }
  }

  /// Builds the message for packing, in the arena.
  @_lifetime(borrow arena)
  public func prepare(in arena: MessageArena) throws(MessageError) -> PreparedMessage {
    let message = try unsafe build(in: arena)
    return unsafe PreparedMessage(message, in: arena)
  }

  init(_ c: UnsafeMutablePointer<Sluice__V1__Open>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    protocolVersion = unsafe c.pointee.protocol_version
    producerID = unsafe Field.bytes(c.pointee.producer_id)
    token = unsafe Field.bytes(c.pointee.token)
    durability = try unsafe Field.chosen(c.pointee.durability.rawValue, "durability")
    sessionID = unsafe Field.bytes(c.pointee.session_id)
    lowestHeldSeq = unsafe c.pointee.lowest_held_seq
    clientName = try unsafe Field.text(c.pointee.client_name, "client_name")
    databaseID = unsafe Field.bytes(c.pointee.database_id)
    highestSentSeq = unsafe c.pointee.highest_sent_seq
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__Open> {
    let c = try unsafe arena.make(sluice__v1__open__init)
    unsafe c.pointee.protocol_version = protocolVersion
    unsafe c.pointee.producer_id = try arena.binary(producerID)
    unsafe c.pointee.token = try arena.binary(token)
    unsafe c.pointee.durability = Sluice__V1__Durability(rawValue: UInt32(durability.rawValue))
    unsafe c.pointee.session_id = try arena.binary(sessionID)
    unsafe c.pointee.lowest_held_seq = lowestHeldSeq
    unsafe c.pointee.client_name = try arena.binary(clientName)
    unsafe c.pointee.database_id = try arena.binary(databaseID)
    unsafe c.pointee.highest_sent_seq = highestSentSeq
    return unsafe c
  }
}

/// A run of values.
///
/// Sequence numbers count values, from 1, and are never used twice.
public struct Batch: WireMessage, Equatable {
  /// Sequence number of the first value.
  public var firstSeq: UInt64

  /// How many values `columns` holds.
  public var count: UInt32

  /// CRC-32C (Castagnoli) of the bytes of `columns`.
  public var crc32c: UInt32

  /// A serialised Columns message.
  ///
  /// A retry sends the same bytes.
  public var columns: [UInt8]

  /// Makes a message; what is left out has its default.
  public init(
    firstSeq: UInt64 = 0,
    count: UInt32 = 0,
    crc32c: UInt32 = 0,
    columns: [UInt8] = []
  ) {
    self.firstSeq = firstSeq
    self.count = count
    self.crc32c = crc32c
    self.columns = columns
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__batch__unpack) { (c) throws(MessageError) in
      try unsafe Self(c)
    }
  }

  /// Builds the message for packing, in the arena.
  @_lifetime(borrow arena)
  public func prepare(in arena: MessageArena) throws(MessageError) -> PreparedMessage {
    let message = try unsafe build(in: arena)
    return unsafe PreparedMessage(message, in: arena)
  }

  init(_ c: UnsafeMutablePointer<Sluice__V1__Batch>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    firstSeq = unsafe c.pointee.first_seq
    count = unsafe c.pointee.count
    crc32c = unsafe c.pointee.crc32c
    columns = unsafe Field.bytes(c.pointee.columns)
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__Batch> {
    let c = try unsafe arena.make(sluice__v1__batch__init)
    unsafe c.pointee.first_seq = firstSeq
    unsafe c.pointee.count = count
    unsafe c.pointee.crc32c = crc32c
    unsafe c.pointee.columns = try arena.binary(columns)
    return unsafe c
  }
}

/// Asks for a Pong.
public struct Ping: WireMessage, Equatable {
  /// Comes back in the Pong.
  public var nonce: UInt64

  /// The next batch has so many bytes of columns and the grant is smaller: an Ack that grants it
  /// comes when the gateway has room.
  ///
  /// At most max_batch_bytes; 0 asks for nothing.
  public var wantedBytes: UInt32

  /// Makes a message; what is left out has its default.
  public init(
    nonce: UInt64 = 0,
    wantedBytes: UInt32 = 0
  ) {
    self.nonce = nonce
    self.wantedBytes = wantedBytes
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__ping__unpack) { (c) throws(MessageError) in
      try unsafe Self(c)
    }
  }

  /// Builds the message for packing, in the arena.
  @_lifetime(borrow arena)
  public func prepare(in arena: MessageArena) throws(MessageError) -> PreparedMessage {
    let message = try unsafe build(in: arena)
    return unsafe PreparedMessage(message, in: arena)
  }

  init(_ c: UnsafeMutablePointer<Sluice__V1__Ping>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    nonce = unsafe c.pointee.nonce
    wantedBytes = unsafe c.pointee.wanted_bytes
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__Ping> {
    let c = try unsafe arena.make(sluice__v1__ping__init)
    unsafe c.pointee.nonce = nonce
    unsafe c.pointee.wanted_bytes = wantedBytes
    return unsafe c
  }
}

/// What a client says in a write session, as a value.
///
/// The server reads `WriteRequestView` instead, which copies nothing.
public enum WriteRequest: WireMessage, Equatable {
  /// The first message.
  case open(Open)
  /// A run of values.
  case batch(Batch)
  /// Asks for a Pong.
  case ping(Ping)

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__write_request__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__WriteRequest>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    switch unsafe c.pointee.message_case {
    case SLUICE__V1__WRITE_REQUEST__MESSAGE_OPEN:
      guard let c = unsafe c.pointee.open else { throw .malformed }
      self = .open(try unsafe Open(c))
    case SLUICE__V1__WRITE_REQUEST__MESSAGE_BATCH:
      guard let c = unsafe c.pointee.batch else { throw .malformed }
      self = .batch(try unsafe Batch(c))
    case SLUICE__V1__WRITE_REQUEST__MESSAGE_PING:
      guard let c = unsafe c.pointee.ping else { throw .malformed }
      self = .ping(try unsafe Ping(c))
    default: throw .notSet(field: "message")
    }
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__WriteRequest> {
    let c = try unsafe arena.make(sluice__v1__write_request__init)
    switch self {
    case .open(let open):
      unsafe c.pointee.message_case = SLUICE__V1__WRITE_REQUEST__MESSAGE_OPEN
      unsafe c.pointee.open = try open.build(in: arena)
    case .batch(let batch):
      unsafe c.pointee.message_case = SLUICE__V1__WRITE_REQUEST__MESSAGE_BATCH
      unsafe c.pointee.batch = try batch.build(in: arena)
    case .ping(let ping):
      unsafe c.pointee.message_case = SLUICE__V1__WRITE_REQUEST__MESSAGE_PING
      unsafe c.pointee.ping = try ping.build(in: arena)
    }
    return unsafe c
  }
}
