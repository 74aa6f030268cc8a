internal import CProto

// Attributes as the catalog shows them. Proto/sluice/v1/catalog.proto

/// An attribute of the catalog.
public struct Attribute: WireMessage, Equatable {
  /// Its id in columns.
  public var attributeID: UInt32

  /// Unique within the tenant.
  public var name: String

  /// The type of its values, for ever.
  public var valueType: ValueType

  /// UCUM code or any text.
  public var unit: String

  /// Whether its newest values are in the hot projection.
  public var isHot: Bool

  /// Makes a message; what is left out has its default.
  public init(
    attributeID: UInt32 = 0,
    name: String = "",
    valueType: ValueType = .unspecified,
    unit: String = "",
    isHot: Bool = false
  ) {
    self.attributeID = attributeID
    self.name = name
    self.valueType = valueType
    self.unit = unit
    self.isHot = isHot
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__attribute__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__Attribute>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    attributeID = unsafe c.pointee.attribute_id
    name = try unsafe Field.string(c.pointee.name, "name")
    valueType = unsafe Field.told(c.pointee.value_type.rawValue, or: .unspecified)
    unit = try unsafe Field.string(c.pointee.unit, "unit")
    isHot = unsafe c.pointee.is_hot != 0
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__Attribute> {
    let c = try unsafe arena.make(sluice__v1__attribute__init)
    unsafe c.pointee.attribute_id = attributeID
    unsafe c.pointee.name = try arena.string(name)
    unsafe c.pointee.value_type = Sluice__V1__ValueType(rawValue: UInt32(valueType.rawValue))
    unsafe c.pointee.unit = try arena.string(unit)
    unsafe c.pointee.is_hot = isHot ? 1 : 0
    return unsafe c
  }
}

/// Asks for a page of attributes.
public struct ListAttributesRequest: WireMessage, Equatable {
  /// 0 is the default of 1,000; more than 10,000 is 10,000.
  public var pageSize: Int32

  /// From the last answer, empty at first.
  public var pageToken: [UInt8]

  /// Only names that start with this.
  public var namePrefix: String

  /// Makes a message; what is left out has its default.
  public init(
    pageSize: Int32 = 0,
    pageToken: [UInt8] = [],
    namePrefix: String = ""
  ) {
    self.pageSize = pageSize
    self.pageToken = pageToken
    self.namePrefix = namePrefix
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__list_attributes_request__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__ListAttributesRequest>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    pageSize = unsafe c.pointee.page_size
    pageToken = unsafe Field.bytes(c.pointee.page_token)
    namePrefix = try unsafe Field.text(c.pointee.name_prefix, "name_prefix")
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__ListAttributesRequest> {
    let c = try unsafe arena.make(sluice__v1__list_attributes_request__init)
    unsafe c.pointee.page_size = pageSize
    unsafe c.pointee.page_token = try arena.binary(pageToken)
    unsafe c.pointee.name_prefix = try arena.binary(namePrefix)
    return unsafe c
  }
}

/// A page of attributes.
public struct ListAttributesResponse: WireMessage, Equatable {
  /// In the order of their names.
  public var attributes: [Attribute]

  /// Empty at the end.
  public var nextPageToken: [UInt8]

  /// Makes a message; what is left out has its default.
  public init(
    attributes: [Attribute] = [],
    nextPageToken: [UInt8] = []
  ) {
    self.attributes = attributes
    self.nextPageToken = nextPageToken
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__list_attributes_response__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__ListAttributesResponse>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    attributes = try unsafe Field.messages(
      c.pointee.attributes,
      c.pointee.n_attributes,
      "attributes"
    ) {
      (c) throws(MessageError) in try unsafe Attribute(c)
    }
    nextPageToken = unsafe Field.bytes(c.pointee.next_page_token)
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__ListAttributesResponse> {
    let c = try unsafe arena.make(sluice__v1__list_attributes_response__init)
    unsafe c.pointee.n_attributes = attributes.count
    unsafe c.pointee.attributes = try arena.messages(attributes) { (element) throws(MessageError) in
      try unsafe element.build(in: arena)
    }
    unsafe c.pointee.next_page_token = try arena.binary(nextPageToken)
    return unsafe c
  }
}

/// Changes an attribute.
public struct UpdateAttributeRequest: WireMessage, Equatable {
  /// Which attribute.
  public var name: String

  /// Whether to fold it into the hot projection from now on.
  public var isHot: Bool

  /// Its new unit.
  public var unit: String

  /// Makes a message; what is left out has its default.
  public init(
    name: String = "",
    isHot: Bool = false,
    unit: String = ""
  ) {
    self.name = name
    self.isHot = isHot
    self.unit = unit
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__update_attribute_request__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__UpdateAttributeRequest>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    name = try unsafe Field.text(c.pointee.name, "name")
    isHot = unsafe c.pointee.is_hot != 0
    unit = try unsafe Field.text(c.pointee.unit, "unit")
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__UpdateAttributeRequest> {
    let c = try unsafe arena.make(sluice__v1__update_attribute_request__init)
    unsafe c.pointee.name = try arena.binary(name)
    unsafe c.pointee.is_hot = isHot ? 1 : 0
    unsafe c.pointee.unit = try arena.binary(unit)
    return unsafe c
  }
}
