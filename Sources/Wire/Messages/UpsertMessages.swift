internal import CProto

// Writing an entity's values. Proto/sluice/v1/entity.proto

/// Writes values of one entity.
public struct UpsertEntityRequest: WireMessage, Equatable {
  /// Which entity; one that is named by key is created when it does not exist.
  public var by: GetEntityRequest.Key

  /// 1 to 1000, each attribute once.
  public var values: [AttributeValue]

  /// When they were observed, in microseconds since 1970; nil lets the database decide.
  public var observedAtMicroseconds: Int64?

  /// Makes a message.
  public init(
    by: GetEntityRequest.Key,
    values: [AttributeValue] = [],
    observedAtMicroseconds: Int64? = nil
  ) {
    self.by = by
    self.values = values
    self.observedAtMicroseconds = observedAtMicroseconds
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__upsert_entity_request__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__UpsertEntityRequest>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    switch unsafe c.pointee.by_case {
    case SLUICE__V1__UPSERT_ENTITY_REQUEST__BY_ENTITY_ID:
      by = unsafe .entityID(c.pointee.entity_id)
    case SLUICE__V1__UPSERT_ENTITY_REQUEST__BY_EXTERNAL_KEY:
      by = .externalKey(try unsafe Field.text(c.pointee.external_key, "external_key"))
    default: throw .notSet(field: "by")
    }
    values = try unsafe Field.messages(c.pointee.values, c.pointee.n_values, "values") {
      (c) throws(MessageError) in try unsafe AttributeValue(c)
    }
    if unsafe c.pointee.observed_case
      == SLUICE__V1__UPSERT_ENTITY_REQUEST__OBSERVED_OBSERVED_AT_UNIX_US
    {
      observedAtMicroseconds = unsafe c.pointee.observed_at_unix_us
    }
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__UpsertEntityRequest> {
    let c = try unsafe arena.make(sluice__v1__upsert_entity_request__init)
    switch by {
    case .entityID(let id):
      unsafe c.pointee.by_case = SLUICE__V1__UPSERT_ENTITY_REQUEST__BY_ENTITY_ID
      unsafe c.pointee.entity_id = id
    case .externalKey(let key):
      unsafe c.pointee.by_case = SLUICE__V1__UPSERT_ENTITY_REQUEST__BY_EXTERNAL_KEY
      unsafe c.pointee.external_key = try arena.binary(key)
    }
    unsafe c.pointee.n_values = values.count
    unsafe c.pointee.values = try arena.messages(values) { (element) throws(MessageError) in
      try unsafe element.build(in: arena)
    }
    if let observedAtMicroseconds {
      unsafe c.pointee.observed_case =
        SLUICE__V1__UPSERT_ENTITY_REQUEST__OBSERVED_OBSERVED_AT_UNIX_US
      unsafe c.pointee.observed_at_unix_us = observedAtMicroseconds
    }
    return unsafe c
  }
}

/// A value of an attribute, or none, which takes it out of the projection.
public struct AttributeValue: WireMessage, Equatable {
  /// Which attribute.
  public var attributeID: UInt32

  /// The value; nil takes it out of the projection.
  public var value: Value?

  /// Makes a message; what is left out has its default.
  public init(attributeID: UInt32 = 0, value: Value? = nil) {
    self.attributeID = attributeID
    self.value = value
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__attribute_value__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__AttributeValue>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    attributeID = unsafe c.pointee.attribute_id
    value = try unsafe Field.message(c.pointee.value, "value") { (c) throws(MessageError) in
      try unsafe Value(c)
    }
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__AttributeValue> {
    let c = try unsafe arena.make(sluice__v1__attribute_value__init)
    unsafe c.pointee.attribute_id = attributeID
    if let value { unsafe c.pointee.value = try value.build(in: arena) }
    return unsafe c
  }
}

/// What became of an upsert.
public struct UpsertEntityResponse: WireMessage, Equatable {
  /// The entity.
  public var entityID: Int64

  /// The version of the projection that holds the values; 0 when none of them is hot.
  public var version: Int64

  /// Everything up to this token holds the write.
  public var token: [UInt8]

  /// The time of each value, in the order of the request, in microseconds since 1970.
  public var observedAtMicroseconds: [Int64]

  /// Makes a message; what is left out has its default.
  public init(
    entityID: Int64 = 0,
    version: Int64 = 0,
    token: [UInt8] = [],
    observedAtMicroseconds: [Int64] = []
  ) {
    self.entityID = entityID
    self.version = version
    self.token = token
    self.observedAtMicroseconds = observedAtMicroseconds
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__upsert_entity_response__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__UpsertEntityResponse>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    entityID = unsafe c.pointee.entity_id
    version = unsafe c.pointee.version
    token = unsafe Field.bytes(c.pointee.token)
    observedAtMicroseconds = unsafe Field.array(
      c.pointee.observed_at_unix_us,
      c.pointee.n_observed_at_unix_us
    )
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__UpsertEntityResponse> {
    let c = try unsafe arena.make(sluice__v1__upsert_entity_response__init)
    unsafe c.pointee.entity_id = entityID
    unsafe c.pointee.version = version
    unsafe c.pointee.token = try arena.binary(token)
    unsafe c.pointee.n_observed_at_unix_us = observedAtMicroseconds.count
    unsafe c.pointee.observed_at_unix_us = try arena.array(observedAtMicroseconds)
    return unsafe c
  }
}
