internal import CProto

// Conditions on the hot projection. Proto/sluice/v1/entity.proto

/// How the newest value of an attribute is compared.
public enum Relation: Int32, Sendable, CaseIterable {
  /// Not said: refused.
  case unspecified = 0
  /// There is one.
  case exists = 1
  /// It is the same.
  case equal = 2
  /// There is one, and it is another.
  case notEqual = 3
  /// It is smaller.
  case less = 4
  /// It is smaller or the same.
  case lessOrEqual = 5
  /// It is greater.
  case greater = 6
  /// It is greater or the same.
  case greaterOrEqual = 7
  /// It is a label that starts so.
  case prefix = 8
}

/// A condition in postfix order.
public struct EntityFilter: WireMessage, Equatable {
  /// 1 to 100; exactly one result is left at the end.
  public var steps: [FilterStep]

  /// Makes a message; what is left out has its default.
  public init(steps: [FilterStep] = []) {
    self.steps = steps
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__entity_filter__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__EntityFilter>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    steps = try unsafe Field.messages(c.pointee.steps, c.pointee.n_steps, "steps") {
      (c) throws(MessageError) in try unsafe FilterStep(c)
    }
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__EntityFilter> {
    let c = try unsafe arena.make(sluice__v1__entity_filter__init)
    unsafe c.pointee.n_steps = steps.count
    unsafe c.pointee.steps = try arena.messages(steps) { (element) throws(MessageError) in
      try unsafe element.build(in: arena)
    }
    return unsafe c
  }
}

/// One step of a condition: takes results of earlier steps and leaves one.
public enum FilterStep: WireMessage, Equatable {
  /// Compares.
  case comparison(Comparison)
  /// Whether all of so many last results are true.
  case all(UInt32)
  /// Whether any of so many last results is true.
  case any(UInt32)
  /// Whether the last result is not true.
  case not

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__filter_step__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__FilterStep>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    switch unsafe c.pointee.step_case {
    case SLUICE__V1__FILTER_STEP__STEP_COMPARISON:
      let comparison = try unsafe Field.message(c.pointee.comparison, "comparison") {
        (c) throws(MessageError) in try unsafe Comparison(c)
      }
      guard let comparison else { throw .notSet(field: "comparison") }
      self = .comparison(comparison)
    case SLUICE__V1__FILTER_STEP__STEP_ALL: self = unsafe .all(c.pointee.all)
    case SLUICE__V1__FILTER_STEP__STEP_ANY: self = unsafe .any(c.pointee.any)
    case SLUICE__V1__FILTER_STEP__STEP_NEGATION:
      guard unsafe c.pointee.negation != 0 else { throw .notSet(field: "negation") }
      self = .not
    default: throw .notSet(field: "step")
    }
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__FilterStep> {
    let c = try unsafe arena.make(sluice__v1__filter_step__init)
    switch self {
    case .comparison(let comparison):
      unsafe c.pointee.step_case = SLUICE__V1__FILTER_STEP__STEP_COMPARISON
      unsafe c.pointee.comparison = try comparison.build(in: arena)
    case .all(let count):
      unsafe c.pointee.step_case = SLUICE__V1__FILTER_STEP__STEP_ALL
      unsafe c.pointee.all = count
    case .any(let count):
      unsafe c.pointee.step_case = SLUICE__V1__FILTER_STEP__STEP_ANY
      unsafe c.pointee.any = count
    case .not:
      unsafe c.pointee.step_case = SLUICE__V1__FILTER_STEP__STEP_NEGATION
      unsafe c.pointee.negation = 1
    }
    return unsafe c
  }
}

/// Compares the newest value of an attribute; false of an entity that has none.
public struct Comparison: WireMessage, Equatable {
  /// Which attribute.
  public var attributeID: UInt32

  /// How.
  public var relation: Relation

  /// With what, of the attribute's type; nil for `exists` alone.
  public var value: Value?

  /// Makes a message; what is left out has its default.
  public init(
    attributeID: UInt32 = 0,
    relation: Relation = .unspecified,
    value: Value? = nil
  ) {
    self.attributeID = attributeID
    self.relation = relation
    self.value = value
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__comparison__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__Comparison>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    attributeID = unsafe c.pointee.attribute_id
    relation = try unsafe Field.chosen(c.pointee.relation.rawValue, "relation")
    value = try unsafe Field.message(c.pointee.value, "value") { (c) throws(MessageError) in
      try unsafe Value(c)
    }
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__Comparison> {
    let c = try unsafe arena.make(sluice__v1__comparison__init)
    unsafe c.pointee.attribute_id = attributeID
    unsafe c.pointee.relation = Sluice__V1__Relation(rawValue: UInt32(relation.rawValue))
    if let value { unsafe c.pointee.value = try value.build(in: arena) }
    return unsafe c
  }
}
