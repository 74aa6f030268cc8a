internal import CProto

// Reading many entities at once. Proto/sluice/v1/entity.proto

/// An entity by either name.
public struct EntityName: WireMessage, Equatable {
  /// The name.
  public var by: GetEntityRequest.Key

  /// Makes a message.
  public init(_ by: GetEntityRequest.Key) {
    self.by = by
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__entity_name__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__EntityName>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    switch unsafe c.pointee.by_case {
    case SLUICE__V1__ENTITY_NAME__BY_ENTITY_ID:
      by = unsafe .entityID(c.pointee.entity_id)
    case SLUICE__V1__ENTITY_NAME__BY_EXTERNAL_KEY:
      by = .externalKey(try unsafe Field.text(c.pointee.external_key, "external_key"))
    default: throw .notSet(field: "by")
    }
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__EntityName> {
    let c = try unsafe arena.make(sluice__v1__entity_name__init)
    switch by {
    case .entityID(let id):
      unsafe c.pointee.by_case = SLUICE__V1__ENTITY_NAME__BY_ENTITY_ID
      unsafe c.pointee.entity_id = id
    case .externalKey(let key):
      unsafe c.pointee.by_case = SLUICE__V1__ENTITY_NAME__BY_EXTERNAL_KEY
      unsafe c.pointee.external_key = try arena.binary(key)
    }
    return unsafe c
  }
}

/// Asks for the newest values of many entities.
public struct BatchGetEntitiesRequest: WireMessage, Equatable {
  /// 1 to 1000; repeats are answered each time.
  public var entities: [EntityName]

  /// How fresh the answer must be.
  public var read: ReadOptions

  /// Makes a message; what is left out has its default.
  public init(entities: [EntityName] = [], read: ReadOptions = ReadOptions()) {
    self.entities = entities
    self.read = read
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__batch_get_entities_request__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__BatchGetEntitiesRequest>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    entities = try unsafe Field.messages(c.pointee.entities, c.pointee.n_entities, "entities") {
      (c) throws(MessageError) in try unsafe EntityName(c)
    }
    read =
      try unsafe Field.message(c.pointee.read, "read") { (c) throws(MessageError) in
        try unsafe ReadOptions(c)
      } ?? ReadOptions()
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__BatchGetEntitiesRequest> {
    let c = try unsafe arena.make(sluice__v1__batch_get_entities_request__init)
    unsafe c.pointee.n_entities = entities.count
    unsafe c.pointee.entities = try arena.messages(entities) { (element) throws(MessageError) in
      try unsafe element.build(in: arena)
    }
    unsafe c.pointee.read = try read.build(in: arena)
    return unsafe c
  }
}

/// The newest values of many entities.
public struct BatchGetEntitiesResponse: WireMessage, Equatable {
  /// Those that exist, in the order of the request.
  public var entities: [Entity]

  /// Places in the request of those that do not exist.
  public var missing: [UInt32]

  /// How many names of the request, from its start, this answers.
  public var answered: UInt32

  /// Proof of the age of the answer.
  public var freshness: Freshness?

  /// Makes a message; what is left out has its default.
  public init(
    entities: [Entity] = [],
    missing: [UInt32] = [],
    answered: UInt32 = 0,
    freshness: Freshness? = nil
  ) {
    self.entities = entities
    self.missing = missing
    self.answered = answered
    self.freshness = freshness
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__batch_get_entities_response__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__BatchGetEntitiesResponse>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    entities = try unsafe Field.messages(c.pointee.entities, c.pointee.n_entities, "entities") {
      (c) throws(MessageError) in try unsafe Entity(c)
    }
    missing = unsafe Field.array(c.pointee.missing, c.pointee.n_missing)
    answered = unsafe c.pointee.answered
    freshness = try unsafe Field.message(c.pointee.freshness, "freshness") {
      (c) throws(MessageError) in
      try unsafe Freshness(c)
    }
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__BatchGetEntitiesResponse> {
    let c = try unsafe arena.make(sluice__v1__batch_get_entities_response__init)
    unsafe c.pointee.n_entities = entities.count
    unsafe c.pointee.entities = try arena.messages(entities) { (element) throws(MessageError) in
      try unsafe element.build(in: arena)
    }
    unsafe c.pointee.n_missing = missing.count
    unsafe c.pointee.missing = try arena.array(missing)
    unsafe c.pointee.answered = answered
    if let freshness { unsafe c.pointee.freshness = try freshness.build(in: arena) }
    return unsafe c
  }
}
