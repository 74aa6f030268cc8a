internal import CProto

// For operators. Proto/sluice/v1/admin.proto

/// Asks what the gateway is and has counted.
public struct GetStatusRequest: WireMessage, Equatable {
  /// Makes a message.
  public init() {}

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__get_status_request__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__GetStatusRequest>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__GetStatusRequest> {
    try unsafe arena.make(sluice__v1__get_status_request__init)
  }
}

/// What the gateway is and has counted.
public struct GetStatusResponse: WireMessage, Equatable {
  /// Of the gateway.
  public var version: String

  /// SERVING or DRAINING.
  public var state: String

  /// Since the gateway started.
  public var uptimeMilliseconds: Int64

  /// In a fixed order, all workers added up.
  public var figures: [Figure]

  /// The primary, the replicas, the warehouse.
  public var nodes: [Node]

  /// What the gateway cannot do at this moment and tries again; empty when all goes well.
  public var trouble: String

  /// Makes a message; what is left out has its default.
  public init(
    version: String = "",
    state: String = "",
    uptimeMilliseconds: Int64 = 0,
    figures: [Figure] = [],
    nodes: [Node] = [],
    trouble: String = ""
  ) {
    self.version = version
    self.state = state
    self.uptimeMilliseconds = uptimeMilliseconds
    self.figures = figures
    self.nodes = nodes
    self.trouble = trouble
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__get_status_response__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__GetStatusResponse>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    version = try unsafe Field.string(c.pointee.version, "version")
    state = try unsafe Field.string(c.pointee.state, "state")
    uptimeMilliseconds = unsafe c.pointee.uptime_ms
    figures = try unsafe Field.messages(c.pointee.figures, c.pointee.n_figures, "figures") {
      (c) throws(MessageError) in try unsafe Figure(c)
    }
    nodes = try unsafe Field.messages(c.pointee.nodes, c.pointee.n_nodes, "nodes") {
      (c) throws(MessageError) in try unsafe Node(c)
    }
    trouble = try unsafe Field.string(c.pointee.trouble, "trouble")
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__GetStatusResponse> {
    let c = try unsafe arena.make(sluice__v1__get_status_response__init)
    unsafe c.pointee.version = try arena.string(version)
    unsafe c.pointee.state = try arena.string(state)
    unsafe c.pointee.uptime_ms = uptimeMilliseconds
    unsafe c.pointee.n_figures = figures.count
    unsafe c.pointee.figures = try arena.messages(figures) { (element) throws(MessageError) in
      try unsafe element.build(in: arena)
    }
    unsafe c.pointee.n_nodes = nodes.count
    unsafe c.pointee.nodes = try arena.messages(nodes) { (element) throws(MessageError) in
      try unsafe element.build(in: arena)
    }
    unsafe c.pointee.trouble = try arena.string(trouble)
    return unsafe c
  }
}

/// One counter or gauge.
public struct Figure: WireMessage, Equatable {
  /// "ingest.values_written".
  public var name: String

  /// How much.
  public var value: Double

  /// UCUM: "1", "By", "ms".
  public var unit: String

  /// What it counts, in one sentence.
  public var description: String

  /// Makes a message; what is left out has its default.
  public init(
    name: String = "",
    value: Double = 0,
    unit: String = "",
    description: String = ""
  ) {
    self.name = name
    self.value = value
    self.unit = unit
    self.description = description
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__figure__unpack) { (c) throws(MessageError) in
      try unsafe Self(c)
    }
  }

  /// Builds the message for packing, in the arena.
  @_lifetime(borrow arena)
  public func prepare(in arena: MessageArena) throws(MessageError) -> PreparedMessage {
    let message = try unsafe build(in: arena)
    return unsafe PreparedMessage(message, in: arena)
  }

  init(_ c: UnsafeMutablePointer<Sluice__V1__Figure>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    name = try unsafe Field.string(c.pointee.name, "name")
    value = unsafe c.pointee.value
    unit = try unsafe Field.string(c.pointee.unit, "unit")
    description = try unsafe Field.string(c.pointee.description, "description")
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__Figure> {
    let c = try unsafe arena.make(sluice__v1__figure__init)
    unsafe c.pointee.name = try arena.string(name)
    unsafe c.pointee.value = value
    unsafe c.pointee.unit = try arena.string(unit)
    unsafe c.pointee.description = try arena.string(description)
    return unsafe c
  }
}
