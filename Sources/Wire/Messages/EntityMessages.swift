internal import CProto

// The hot projection. Proto/sluice/v1/entity.proto

/// The newest values of an entity.
public struct GetEntityResponse: WireMessage, Equatable {
  /// The entity that was asked for.
  public var entity: Entity?

  /// Proof of the age of the answer.
  public var freshness: Freshness?

  /// Makes a message; what is left out has its default.
  public init(
    entity: Entity? = nil,
    freshness: Freshness? = nil
  ) {
    self.entity = entity
    self.freshness = freshness
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__get_entity_response__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__GetEntityResponse>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    entity = try unsafe Field.message(c.pointee.entity, "entity") { (c) throws(MessageError) in
      try unsafe Entity(c)
    }
    freshness = try unsafe Field.message(c.pointee.freshness, "freshness") {
      (c) throws(MessageError) in
      try unsafe Freshness(c)
    }
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__GetEntityResponse> {
    let c = try unsafe arena.make(sluice__v1__get_entity_response__init)
    if let entity { unsafe c.pointee.entity = try entity.build(in: arena) }
    if let freshness { unsafe c.pointee.freshness = try freshness.build(in: arena) }
    return unsafe c
  }
}

/// An entity with its newest values.
public struct Entity: WireMessage, Equatable {
  /// Its id in columns.
  public var entityID: Int64

  /// What its owner calls it.
  public var externalKey: String

  /// Rises with every change of the projection; 0 when nothing was folded yet.
  public var version: Int64

  /// The newest value of every hot attribute.
  public var values: [HotValue]

  /// Makes a message; what is left out has its default.
  public init(
    entityID: Int64 = 0,
    externalKey: String = "",
    version: Int64 = 0,
    values: [HotValue] = []
  ) {
    self.entityID = entityID
    self.externalKey = externalKey
    self.version = version
    self.values = values
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__entity__unpack) { (c) throws(MessageError) in
      try unsafe Self(c)
    }
  }

  /// Builds the message for packing, in the arena.
  @_lifetime(borrow arena)
  public func prepare(in arena: MessageArena) throws(MessageError) -> PreparedMessage {
    let message = try unsafe build(in: arena)
    return unsafe PreparedMessage(message, in: arena)
  }

  init(_ c: UnsafeMutablePointer<Sluice__V1__Entity>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    entityID = unsafe c.pointee.entity_id
    externalKey = try unsafe Field.string(c.pointee.external_key, "external_key")
    version = unsafe c.pointee.version
    values = try unsafe Field.messages(c.pointee.values, c.pointee.n_values, "values") {
      (c) throws(MessageError) in try unsafe HotValue(c)
    }
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__Entity> {
    let c = try unsafe arena.make(sluice__v1__entity__init)
    unsafe c.pointee.entity_id = entityID
    unsafe c.pointee.external_key = try arena.string(externalKey)
    unsafe c.pointee.version = version
    unsafe c.pointee.n_values = values.count
    unsafe c.pointee.values = try arena.messages(values) { (element) throws(MessageError) in
      try unsafe element.build(in: arena)
    }
    return unsafe c
  }
}

/// The newest value of one attribute.
public struct HotValue: WireMessage, Equatable {
  /// Which attribute.
  public var attributeID: UInt32

  /// Name of the attribute.
  public var name: String

  /// The value; `nil` when a later version wrote another kind.
  public var value: Value?

  /// When it was observed, in microseconds since 1970.
  public var observedAtMicroseconds: Int64

  /// Makes a message; what is left out has its default.
  public init(
    attributeID: UInt32 = 0,
    name: String = "",
    value: Value? = nil,
    observedAtMicroseconds: Int64 = 0
  ) {
    self.attributeID = attributeID
    self.name = name
    self.value = value
    self.observedAtMicroseconds = observedAtMicroseconds
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__hot_value__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__HotValue>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    attributeID = unsafe c.pointee.attribute_id
    name = try unsafe Field.string(c.pointee.name, "name")
    value = try unsafe Field.message(c.pointee.value, "value") { (c) throws(MessageError) in
      try unsafe Value(c)
    }
    observedAtMicroseconds = unsafe c.pointee.observed_at_unix_us
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__HotValue> {
    let c = try unsafe arena.make(sluice__v1__hot_value__init)
    unsafe c.pointee.attribute_id = attributeID
    unsafe c.pointee.name = try arena.string(name)
    if let value { unsafe c.pointee.value = try value.build(in: arena) }
    unsafe c.pointee.observed_at_unix_us = observedAtMicroseconds
    return unsafe c
  }
}

/// Asks for a page of entities.
public struct ListEntitiesRequest: WireMessage, Equatable {
  /// 0 is the default of 1,000; more than 10,000 is 10,000.
  public var pageSize: Int32

  /// From the last answer, empty at first.
  public var pageToken: [UInt8]

  /// Only keys that start with this.
  public var externalKeyPrefix: String

  /// How fresh the answer must be.
  public var read: ReadOptions

  /// Only entities that meet this condition.
  public var filter: EntityFilter?

  /// What entities are ordered by; 0 is the external key.
  public var orderByAttributeID: UInt32

  /// Largest first.
  public var isDescending: Bool

  /// Makes a message; what is left out has its default.
  public init(
    pageSize: Int32 = 0,
    pageToken: [UInt8] = [],
    externalKeyPrefix: String = "",
    read: ReadOptions = ReadOptions(),
    filter: EntityFilter? = nil,
    orderByAttributeID: UInt32 = 0,
    isDescending: Bool = false
  ) {
    self.pageSize = pageSize
    self.pageToken = pageToken
    self.externalKeyPrefix = externalKeyPrefix
    self.read = read
    self.filter = filter
    self.orderByAttributeID = orderByAttributeID
    self.isDescending = isDescending
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__list_entities_request__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__ListEntitiesRequest>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    pageSize = unsafe c.pointee.page_size
    pageToken = unsafe Field.bytes(c.pointee.page_token)
    externalKeyPrefix = try unsafe Field.text(c.pointee.external_key_prefix, "external_key_prefix")
    read =
      try unsafe Field.message(c.pointee.read, "read") { (c) throws(MessageError) in
        try unsafe ReadOptions(c)
      } ?? ReadOptions()
    filter = try unsafe Field.message(c.pointee.filter, "filter") { (c) throws(MessageError) in
      try unsafe EntityFilter(c)
    }
    orderByAttributeID = unsafe c.pointee.order_by_attribute_id
    isDescending = unsafe c.pointee.descending != 0
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__ListEntitiesRequest> {
    let c = try unsafe arena.make(sluice__v1__list_entities_request__init)
    unsafe c.pointee.page_size = pageSize
    unsafe c.pointee.page_token = try arena.binary(pageToken)
    unsafe c.pointee.external_key_prefix = try arena.binary(externalKeyPrefix)
    unsafe c.pointee.read = try read.build(in: arena)
    if let filter { unsafe c.pointee.filter = try filter.build(in: arena) }
    unsafe c.pointee.order_by_attribute_id = orderByAttributeID
    unsafe c.pointee.descending = isDescending ? 1 : 0
    return unsafe c
  }
}

/// A page of entities.
public struct ListEntitiesResponse: WireMessage, Equatable {
  /// In the order of their external keys.
  public var entities: [Entity]

  /// Empty at the end.
  public var nextPageToken: [UInt8]

  /// Proof of the age of the answer.
  public var freshness: Freshness?

  /// Makes a message; what is left out has its default.
  public init(
    entities: [Entity] = [],
    nextPageToken: [UInt8] = [],
    freshness: Freshness? = nil
  ) {
    self.entities = entities
    self.nextPageToken = nextPageToken
    self.freshness = freshness
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__list_entities_response__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__ListEntitiesResponse>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    entities = try unsafe Field.messages(c.pointee.entities, c.pointee.n_entities, "entities") {
      (c) throws(MessageError) in try unsafe Entity(c)
    }
    nextPageToken = unsafe Field.bytes(c.pointee.next_page_token)
    freshness = try unsafe Field.message(c.pointee.freshness, "freshness") {
      (c) throws(MessageError) in
      try unsafe Freshness(c)
    }
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__ListEntitiesResponse> {
    let c = try unsafe arena.make(sluice__v1__list_entities_response__init)
    unsafe c.pointee.n_entities = entities.count
    unsafe c.pointee.entities = try arena.messages(entities) { (element) throws(MessageError) in
      try unsafe element.build(in: arena)
    }
    unsafe c.pointee.next_page_token = try arena.binary(nextPageToken)
    if let freshness { unsafe c.pointee.freshness = try freshness.build(in: arena) }
    return unsafe c
  }
}

/// Asks for the newest values of one entity.
public struct GetEntityRequest: WireMessage, Equatable {
  /// Which entity.
  public var by: Key

  /// How fresh the answer must be.
  public var read: ReadOptions

  /// How an entity is named.
  public enum Key: Sendable, Equatable {
    /// By its id.
    case entityID(Int64)
    /// By its external key.
    case externalKey(String)
  }

  /// Makes a message.
  public init(by: Key, read: ReadOptions = ReadOptions()) {
    self.by = by
    self.read = read
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__get_entity_request__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__GetEntityRequest>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    switch unsafe c.pointee.by_case {
    case SLUICE__V1__GET_ENTITY_REQUEST__BY_ENTITY_ID:
      by = unsafe .entityID(c.pointee.entity_id)
    case SLUICE__V1__GET_ENTITY_REQUEST__BY_EXTERNAL_KEY:
      by = .externalKey(try unsafe Field.text(c.pointee.external_key, "external_key"))
    default: throw .notSet(field: "by")
    }
    read =
      try unsafe Field.message(c.pointee.read, "read") { (c) throws(MessageError) in
        try unsafe ReadOptions(c)
      } ?? ReadOptions()
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__GetEntityRequest> {
    let c = try unsafe arena.make(sluice__v1__get_entity_request__init)
    switch by {
    case .entityID(let id):
      unsafe c.pointee.by_case = SLUICE__V1__GET_ENTITY_REQUEST__BY_ENTITY_ID
      unsafe c.pointee.entity_id = id
    case .externalKey(let key):
      unsafe c.pointee.by_case = SLUICE__V1__GET_ENTITY_REQUEST__BY_EXTERNAL_KEY
      unsafe c.pointee.external_key = try arena.binary(key)
    }
    unsafe c.pointee.read = try read.build(in: arena)
    return unsafe c
  }
}
