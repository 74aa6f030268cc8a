internal import CProto

// Producers as operators see them. Proto/sluice/v1/admin.proto

/// Asks for one page of producers.
public struct ListProducersRequest: WireMessage, Equatable {
  /// 0 is the default.
  public var pageSize: Int32

  /// From the last answer, empty at first.
  public var pageToken: [UInt8]

  /// 16 bytes, only this one; empty for all.
  public var producerID: [UInt8]

  /// Makes a message; what is left out has its default.
  public init(pageSize: Int32 = 0, pageToken: [UInt8] = [], producerID: [UInt8] = []) {
    self.pageSize = pageSize
    self.pageToken = pageToken
    self.producerID = producerID
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__list_producers_request__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__ListProducersRequest>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    pageSize = unsafe c.pointee.page_size
    pageToken = unsafe Field.bytes(c.pointee.page_token)
    producerID = unsafe Field.bytes(c.pointee.producer_id)
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__ListProducersRequest> {
    let c = try unsafe arena.make(sluice__v1__list_producers_request__init)
    unsafe c.pointee.page_size = pageSize
    unsafe c.pointee.page_token = try arena.binary(pageToken)
    unsafe c.pointee.producer_id = try arena.binary(producerID)
    return unsafe c
  }
}

/// One page of producers.
public struct ListProducersResponse: WireMessage, Equatable {
  /// By id.
  public var producers: [ProducerStatus]

  /// Empty at the end.
  public var nextPageToken: [UInt8]

  /// Makes a message; what is left out has its default.
  public init(producers: [ProducerStatus] = [], nextPageToken: [UInt8] = []) {
    self.producers = producers
    self.nextPageToken = nextPageToken
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__list_producers_response__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__ListProducersResponse>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    producers = try unsafe Field.messages(
      c.pointee.producers,
      c.pointee.n_producers,
      "producers"
    ) {
      (c) throws(MessageError) in try unsafe ProducerStatus(c)
    }
    nextPageToken = unsafe Field.bytes(c.pointee.next_page_token)
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__ListProducersResponse> {
    let c = try unsafe arena.make(sluice__v1__list_producers_response__init)
    unsafe c.pointee.n_producers = producers.count
    unsafe c.pointee.producers = try arena.messages(producers) {
      (element) throws(MessageError) in
      try unsafe element.build(in: arena)
    }
    unsafe c.pointee.next_page_token = try arena.binary(nextPageToken)
    return unsafe c
  }
}

/// What the database knows of one producer; `Producer` on the wire.
public struct ProducerStatus: WireMessage, Equatable {
  /// 16 bytes.
  public var producerID: [UInt8]

  /// Rises with every new session.
  public var epoch: UInt64

  /// Every value up to here is durable.
  public var durableSeq: UInt64

  /// When its newest session was opened, in microseconds since 1970.
  public var openedAtMicroseconds: Int64

  /// When it last wrote, or opened, in microseconds since 1970.
  public var updatedAtMicroseconds: Int64

  /// Values staged and not durable yet.
  public var stagedValues: UInt64

  /// Rejected values kept for its repeats.
  public var rejectedValues: UInt64

  /// Acknowledged values that a failover lost and that were skipped.
  public var lostValues: UInt64

  /// Makes a message; what is left out has its default.
  public init(
    producerID: [UInt8] = [],
    epoch: UInt64 = 0,
    durableSeq: UInt64 = 0,
    openedAtMicroseconds: Int64 = 0,
    updatedAtMicroseconds: Int64 = 0,
    stagedValues: UInt64 = 0,
    rejectedValues: UInt64 = 0,
    lostValues: UInt64 = 0
  ) {
    self.producerID = producerID
    self.epoch = epoch
    self.durableSeq = durableSeq
    self.openedAtMicroseconds = openedAtMicroseconds
    self.updatedAtMicroseconds = updatedAtMicroseconds
    self.stagedValues = stagedValues
    self.rejectedValues = rejectedValues
    self.lostValues = lostValues
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__producer__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__Producer>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    producerID = unsafe Field.bytes(c.pointee.producer_id)
    epoch = unsafe c.pointee.epoch
    durableSeq = unsafe c.pointee.durable_seq
    openedAtMicroseconds = unsafe c.pointee.opened_at_unix_us
    updatedAtMicroseconds = unsafe c.pointee.updated_at_unix_us
    stagedValues = unsafe c.pointee.staged_values
    rejectedValues = unsafe c.pointee.rejected_values
    lostValues = unsafe c.pointee.lost_values
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__Producer> {
    let c = try unsafe arena.make(sluice__v1__producer__init)
    unsafe c.pointee.producer_id = try arena.binary(producerID)
    unsafe c.pointee.epoch = epoch
    unsafe c.pointee.durable_seq = durableSeq
    unsafe c.pointee.opened_at_unix_us = openedAtMicroseconds
    unsafe c.pointee.updated_at_unix_us = updatedAtMicroseconds
    unsafe c.pointee.staged_values = stagedValues
    unsafe c.pointee.rejected_values = rejectedValues
    unsafe c.pointee.lost_values = lostValues
    return unsafe c
  }
}
