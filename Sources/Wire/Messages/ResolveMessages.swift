internal import CProto

// Names to ids. Proto/sluice/v1/catalog.proto

/// External keys whose ids are wanted.
public struct ResolveEntitiesRequest: WireMessage, Equatable {
  /// UTF-8, 1 to 512 bytes each.
  public var externalKeys: [String]

  /// NOT_FOUND instead of creating.
  public var existingOnly: Bool

  /// Makes a message; what is left out has its default.
  public init(
    externalKeys: [String] = [],
    existingOnly: Bool = false
  ) {
    self.externalKeys = externalKeys
    self.existingOnly = existingOnly
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__resolve_entities_request__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__ResolveEntitiesRequest>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    externalKeys = try unsafe Field.texts(
      c.pointee.external_key,
      c.pointee.n_external_key,
      "external_key"
    )
    existingOnly = unsafe c.pointee.existing_only != 0
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__ResolveEntitiesRequest> {
    let c = try unsafe arena.make(sluice__v1__resolve_entities_request__init)
    unsafe c.pointee.n_external_key = externalKeys.count
    unsafe c.pointee.external_key = try arena.binaries(externalKeys)
    unsafe c.pointee.existing_only = existingOnly ? 1 : 0
    return unsafe c
  }
}

/// The ids of entities.
public struct ResolveEntitiesResponse: WireMessage, Equatable {
  /// In the order of the request.
  public var entityIDs: [Int64]

  /// Makes a message; what is left out has its default.
  public init(
    entityIDs: [Int64] = []
  ) {
    self.entityIDs = entityIDs
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__resolve_entities_response__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__ResolveEntitiesResponse>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    entityIDs = unsafe Field.array(c.pointee.entity_id, c.pointee.n_entity_id)
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__ResolveEntitiesResponse> {
    let c = try unsafe arena.make(sluice__v1__resolve_entities_response__init)
    unsafe c.pointee.n_entity_id = entityIDs.count
    unsafe c.pointee.entity_id = try arena.array(entityIDs)
    return unsafe c
  }
}

/// An attribute that is wanted, and how to create it.
public struct AttributeSpec: WireMessage, Equatable {
  /// UTF-8, 1 to 256 bytes.
  public var name: String

  /// UNSPECIFIED: only an existing one is meant; NOT_FOUND otherwise.
  public var valueType: ValueType

  /// UCUM code or any text, at most 64 bytes; used on creation.
  public var unit: String

  /// Keep the newest value of each entity in the hot projection; used on creation.
  public var isHot: Bool

  /// Makes a message; what is left out has its default.
  public init(
    name: String = "",
    valueType: ValueType = .unspecified,
    unit: String = "",
    isHot: Bool = false
  ) {
    self.name = name
    self.valueType = valueType
    self.unit = unit
    self.isHot = isHot
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__attribute_spec__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__AttributeSpec>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    name = try unsafe Field.text(c.pointee.name, "name")
    valueType = try unsafe Field.chosen(c.pointee.value_type.rawValue, "value_type")
    unit = try unsafe Field.text(c.pointee.unit, "unit")
    isHot = unsafe c.pointee.is_hot != 0
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__AttributeSpec> {
    let c = try unsafe arena.make(sluice__v1__attribute_spec__init)
    unsafe c.pointee.name = try arena.binary(name)
    unsafe c.pointee.value_type = Sluice__V1__ValueType(rawValue: UInt32(valueType.rawValue))
    unsafe c.pointee.unit = try arena.binary(unit)
    unsafe c.pointee.is_hot = isHot ? 1 : 0
    return unsafe c
  }
}

/// Attributes that are wanted.
public struct ResolveAttributesRequest: WireMessage, Equatable {
  /// At most 1,000.
  public var attributes: [AttributeSpec]

  /// Makes a message; what is left out has its default.
  public init(
    attributes: [AttributeSpec] = []
  ) {
    self.attributes = attributes
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__resolve_attributes_request__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__ResolveAttributesRequest>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    attributes = try unsafe Field.messages(
      c.pointee.attributes,
      c.pointee.n_attributes,
      "attributes"
    ) {
      (c) throws(MessageError) in try unsafe AttributeSpec(c)
    }
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__ResolveAttributesRequest> {
    let c = try unsafe arena.make(sluice__v1__resolve_attributes_request__init)
    unsafe c.pointee.n_attributes = attributes.count
    unsafe c.pointee.attributes = try arena.messages(attributes) { (element) throws(MessageError) in
      try unsafe element.build(in: arena)
    }
    return unsafe c
  }
}

/// The attributes.
public struct ResolveAttributesResponse: WireMessage, Equatable {
  /// In the order of the request.
  public var attributes: [Attribute]

  /// Makes a message; what is left out has its default.
  public init(
    attributes: [Attribute] = []
  ) {
    self.attributes = attributes
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__resolve_attributes_response__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__ResolveAttributesResponse>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    attributes = try unsafe Field.messages(
      c.pointee.attributes,
      c.pointee.n_attributes,
      "attributes"
    ) {
      (c) throws(MessageError) in try unsafe Attribute(c)
    }
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__ResolveAttributesResponse> {
    let c = try unsafe arena.make(sluice__v1__resolve_attributes_response__init)
    unsafe c.pointee.n_attributes = attributes.count
    unsafe c.pointee.attributes = try arena.messages(attributes) { (element) throws(MessageError) in
      try unsafe element.build(in: arena)
    }
    return unsafe c
  }
}
