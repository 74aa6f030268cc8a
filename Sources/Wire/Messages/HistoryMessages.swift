internal import CProto

// Stored values by observed time. Proto/sluice/v1/history.proto

/// In which order values come.
public enum HistoryOrder: Int32, Sendable, CaseIterable {
  /// Ascending.
  case unspecified = 0
  /// Oldest first.
  case ascending = 1
  /// Newest first.
  case descending = 2
}

/// Asks for raw values in a time range.
public struct QueryHistoryRequest: WireMessage, Equatable {
  /// 1 to 1,000.
  public var entityIDs: [Int64]

  /// 1 to 1,000.
  public var attributeIDs: [UInt32]

  /// Inclusive, in microseconds since 1970.
  public var startMicroseconds: Int64

  /// Exclusive, in microseconds since 1970.
  public var endMicroseconds: Int64

  /// By observed time, then entity, then attribute.
  public var order: HistoryOrder

  /// Values a page: 0 is the default of 10,000; more than 50,000 is 50,000.
  public var pageSize: Int32

  /// From the last answer, empty at first.
  public var pageToken: [UInt8]

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
    order: HistoryOrder = .unspecified,
    pageSize: Int32 = 0,
    pageToken: [UInt8] = [],
    read: ReadOptions = ReadOptions(),
    allowExpensive: Bool = false
  ) {
    self.entityIDs = entityIDs
    self.attributeIDs = attributeIDs
    self.startMicroseconds = startMicroseconds
    self.endMicroseconds = endMicroseconds
    self.order = order
    self.pageSize = pageSize
    self.pageToken = pageToken
    self.read = read
    self.allowExpensive = allowExpensive
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__query_history_request__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__QueryHistoryRequest>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    entityIDs = unsafe Field.array(c.pointee.entity_id, c.pointee.n_entity_id)
    attributeIDs = unsafe Field.array(c.pointee.attribute_id, c.pointee.n_attribute_id)
    startMicroseconds = unsafe c.pointee.start_unix_us
    endMicroseconds = unsafe c.pointee.end_unix_us
    order = try unsafe Field.chosen(c.pointee.order.rawValue, "order")
    pageSize = unsafe c.pointee.page_size
    pageToken = unsafe Field.bytes(c.pointee.page_token)
    read =
      try unsafe Field.message(c.pointee.read, "read") { (c) throws(MessageError) in
        try unsafe ReadOptions(c)
      } ?? ReadOptions()
    allowExpensive = unsafe c.pointee.allow_expensive != 0
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__QueryHistoryRequest> {
    let c = try unsafe arena.make(sluice__v1__query_history_request__init)
    unsafe c.pointee.n_entity_id = entityIDs.count
    unsafe c.pointee.entity_id = try arena.array(entityIDs)
    unsafe c.pointee.n_attribute_id = attributeIDs.count
    unsafe c.pointee.attribute_id = try arena.array(attributeIDs)
    unsafe c.pointee.start_unix_us = startMicroseconds
    unsafe c.pointee.end_unix_us = endMicroseconds
    unsafe c.pointee.order = Sluice__V1__Order(rawValue: UInt32(order.rawValue))
    unsafe c.pointee.page_size = pageSize
    unsafe c.pointee.page_token = try arena.binary(pageToken)
    unsafe c.pointee.read = try read.build(in: arena)
    unsafe c.pointee.allow_expensive = allowExpensive ? 1 : 0
    return unsafe c
  }
}

/// A page of raw values.
public struct QueryHistoryResponse: WireMessage, Equatable {
  /// Within each section in the order asked for.
  public var columns: ColumnsBuilder

  /// Empty at the end.
  public var nextPageToken: [UInt8]

  /// Proof of the age of the answer.
  public var freshness: Freshness?

  /// Makes a message; what is left out has its default.
  public init(
    columns: ColumnsBuilder = ColumnsBuilder(),
    nextPageToken: [UInt8] = [],
    freshness: Freshness? = nil
  ) {
    self.columns = columns
    self.nextPageToken = nextPageToken
    self.freshness = freshness
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__query_history_response__unpack) {
      (c) throws(MessageError) in try unsafe Self(c, arena)
    }
  }

  /// Builds the message for packing: the columns are packed straight from their arrays, the rest
  /// from the arena.
  @_lifetime(borrow arena)
  public func prepare(in arena: MessageArena) throws(MessageError) -> PreparedMessage {
    let c = try unsafe arena.make(sluice__v1__query_history_response__init)
    unsafe c.pointee.next_page_token = try arena.binary(nextPageToken)
    if let freshness { unsafe c.pointee.freshness = try freshness.build(in: arena) }
    return unsafe PreparedMessage(c, in: arena, columns: columns)
  }

  private init(
    _ c: UnsafeMutablePointer<Sluice__V1__QueryHistoryResponse>,
    _ arena: MessageArena
  ) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    if let message = unsafe c.pointee.columns {
      columns = try unsafe ColumnsBuilder(copying: ColumnsView(message, in: arena))
    } else {
      columns = ColumnsBuilder()
    }
    nextPageToken = unsafe Field.bytes(c.pointee.next_page_token)
    freshness = try unsafe Field.message(c.pointee.freshness, "freshness") {
      (c) throws(MessageError) in try unsafe Freshness(c)
    }
  }
}
