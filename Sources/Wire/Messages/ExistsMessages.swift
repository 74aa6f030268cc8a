internal import CProto

// Which entities have stored values. Proto/sluice/v1/history.proto

/// Asks which entities have values in a time range.
public struct ExistsInRangeRequest: WireMessage, Equatable {
  /// 1 to 1,000.
  public var entityIDs: [Int64]

  /// At most 1,000; none means any attribute.
  public var attributeIDs: [UInt32]

  /// Inclusive, in microseconds since 1970.
  public var startMicroseconds: Int64

  /// Exclusive, in microseconds since 1970.
  public var endMicroseconds: Int64

  /// How fresh the answer must be.
  public var read: ReadOptions

  /// Also when more has to be scanned than the gateway allows.
  public var allowExpensive: Bool

  /// Makes a message; what is left out has its default.
  public init(
    entityIDs: [Int64] = [],
    attributeIDs: [UInt32] = [],
    startMicroseconds: Int64 = 0,
    endMicroseconds: Int64 = 0,
    read: ReadOptions = ReadOptions(),
    allowExpensive: Bool = false
  ) {
    self.entityIDs = entityIDs
    self.attributeIDs = attributeIDs
    self.startMicroseconds = startMicroseconds
    self.endMicroseconds = endMicroseconds
    self.read = read
    self.allowExpensive = allowExpensive
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__exists_in_range_request__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__ExistsInRangeRequest>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    entityIDs = unsafe Field.array(c.pointee.entity_id, c.pointee.n_entity_id)
    attributeIDs = unsafe Field.array(c.pointee.attribute_id, c.pointee.n_attribute_id)
    startMicroseconds = unsafe c.pointee.start_unix_us
    endMicroseconds = unsafe c.pointee.end_unix_us
    read =
      try unsafe Field.message(c.pointee.read, "read") { (c) throws(MessageError) in
        try unsafe ReadOptions(c)
      } ?? ReadOptions()
    allowExpensive = unsafe c.pointee.allow_expensive != 0
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__ExistsInRangeRequest> {
    let c = try unsafe arena.make(sluice__v1__exists_in_range_request__init)
    unsafe c.pointee.n_entity_id = entityIDs.count
    unsafe c.pointee.entity_id = try arena.array(entityIDs)
    unsafe c.pointee.n_attribute_id = attributeIDs.count
    unsafe c.pointee.attribute_id = try arena.array(attributeIDs)
    unsafe c.pointee.start_unix_us = startMicroseconds
    unsafe c.pointee.end_unix_us = endMicroseconds
    unsafe c.pointee.read = try read.build(in: arena)
    unsafe c.pointee.allow_expensive = allowExpensive ? 1 : 0
    return unsafe c
  }
}

/// Those entities that have values.
public struct ExistsInRangeResponse: WireMessage, Equatable {
  /// Each once, ascending.
  public var entityIDs: [Int64]

  /// Proof of the age of the answer.
  public var freshness: Freshness?

  /// Makes a message; what is left out has its default.
  public init(entityIDs: [Int64] = [], freshness: Freshness? = nil) {
    self.entityIDs = entityIDs
    self.freshness = freshness
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__exists_in_range_response__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__ExistsInRangeResponse>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    entityIDs = unsafe Field.array(c.pointee.entity_id, c.pointee.n_entity_id)
    freshness = try unsafe Field.message(c.pointee.freshness, "freshness") {
      (c) throws(MessageError) in
      try unsafe Freshness(c)
    }
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__ExistsInRangeResponse> {
    let c = try unsafe arena.make(sluice__v1__exists_in_range_response__init)
    unsafe c.pointee.n_entity_id = entityIDs.count
    unsafe c.pointee.entity_id = try arena.array(entityIDs)
    if let freshness { unsafe c.pointee.freshness = try freshness.build(in: arena) }
    return unsafe c
  }
}
