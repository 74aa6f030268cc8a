internal import CProto

// One value of any type, and the types. Proto/sluice/v1/columns.proto

/// What type the values of an attribute have.
///
/// An attribute has one type for ever.
public enum ValueType: Int32, Sendable, CaseIterable {
  /// Not said.
  case unspecified = 0
  /// IEEE 754 double; NaN, infinities and -0.0 come back as they were.
  case number = 1
  /// 64 bits, signed.
  case integer = 2
  /// True or false.
  case flag = 3
  /// UTF-8 text without NUL.
  case label = 4
  /// JSON, in UTF-8; stored as jsonb.
  case document = 5
}

/// One value of any type.
public enum Value: WireMessage, Equatable {
  /// IEEE 754 double.
  case number(Double)
  /// 64 bits, signed.
  case integer(Int64)
  /// True or false.
  case flag(Bool)
  /// Text.
  case label(String)
  /// JSON.
  case document(String)

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__value__unpack) { (c) throws(MessageError) in
      try unsafe Self(c)
    }
  }

  /// Builds the message for packing, in the arena.
  @_lifetime(borrow arena)
  public func prepare(in arena: MessageArena) throws(MessageError) -> PreparedMessage {
    let message = try unsafe build(in: arena)
    return unsafe PreparedMessage(message, in: arena)
  }

  init(_ c: UnsafeMutablePointer<Sluice__V1__Value>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    switch unsafe c.pointee.kind_case {
    case SLUICE__V1__VALUE__KIND_NUMBER: self = unsafe .number(c.pointee.number)
    case SLUICE__V1__VALUE__KIND_INTEGER: self = unsafe .integer(c.pointee.integer)
    case SLUICE__V1__VALUE__KIND_FLAG: self = unsafe .flag(c.pointee.flag != 0)
    case SLUICE__V1__VALUE__KIND_LABEL:
      self = .label(try unsafe Field.text(c.pointee.label, "label"))
    case SLUICE__V1__VALUE__KIND_DOCUMENT:
      self = .document(try unsafe Field.text(c.pointee.document, "document"))
    default: throw .notSet(field: "kind")
    }
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__Value> {
    let c = try unsafe arena.make(sluice__v1__value__init)
    switch self {
    case .number(let number):
      unsafe c.pointee.kind_case = SLUICE__V1__VALUE__KIND_NUMBER
      unsafe c.pointee.number = number
    case .integer(let integer):
      unsafe c.pointee.kind_case = SLUICE__V1__VALUE__KIND_INTEGER
      unsafe c.pointee.integer = integer
    case .flag(let flag):
      unsafe c.pointee.kind_case = SLUICE__V1__VALUE__KIND_FLAG
      unsafe c.pointee.flag = flag ? 1 : 0
    case .label(let label):
      unsafe c.pointee.kind_case = SLUICE__V1__VALUE__KIND_LABEL
      unsafe c.pointee.label = try arena.binary(label)
    case .document(let document):
      unsafe c.pointee.kind_case = SLUICE__V1__VALUE__KIND_DOCUMENT
      unsafe c.pointee.document = try arena.binary(document)
    }
    return unsafe c
  }
}
