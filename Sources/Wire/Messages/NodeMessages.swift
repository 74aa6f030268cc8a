internal import CProto

// Servers that answer reads, for operators. Proto/sluice/v1/admin.proto

/// What a node's circuit breaker lets through.
public enum BreakerState: Int32, Sendable, CaseIterable {
  /// Not said.
  case unspecified = 0
  /// Everything.
  case closed = 1
  /// A probe, then a few reads.
  case halfOpen = 2
  /// Nothing, until a pause is over.
  case open = 3
  /// Nothing, until an operator takes it back.
  case drained = 4
}

/// A server that answers reads.
public struct Node: WireMessage, Equatable {
  /// "primary", "replica-1", "warehouse".
  public var name: String

  /// What kind of server.
  public var source: ReadSource

  /// The worst of all workers; always closed for the primary, which has none.
  public var state: BreakerState

  /// Everything up to this log position is visible there; empty when it proves nothing now.
  public var provenLSN: String

  /// Upper bound of the age of what it holds; -1 when that is not known.
  public var stalenessBoundMilliseconds: Int64

  /// Reads it answered.
  public var reads: UInt64

  /// Reads it is busy with.
  public var readsInFlight: UInt64

  /// Answers that were dropped because their proof fell short.
  public var reroutes: UInt64

  /// Statements that replay cancelled.
  public var conflicts: UInt64

  /// Reads that it failed.
  public var failures: UInt64

  /// On the primary: reads of other levels than STRONG that no replica could answer.
  public var fallbacks: UInt64

  /// Why no read is sent there now, in one sentence; empty while reads are.
  public var trouble: String

  /// `proven_lsn` and `staleness_bound_ms` are estimates.
  public var estimated: Bool

  /// Makes a message; what is left out has its default.
  public init(
    name: String = "",
    source: ReadSource = .unspecified,
    state: BreakerState = .unspecified,
    provenLSN: String = "",
    stalenessBoundMilliseconds: Int64 = 0,
    reads: UInt64 = 0,
    readsInFlight: UInt64 = 0,
    reroutes: UInt64 = 0,
    conflicts: UInt64 = 0,
    failures: UInt64 = 0,
    fallbacks: UInt64 = 0,
    trouble: String = "",
    estimated: Bool = false
  ) {
    self.name = name
    self.source = source
    self.state = state
    self.provenLSN = provenLSN
    self.stalenessBoundMilliseconds = stalenessBoundMilliseconds
    self.reads = reads
    self.readsInFlight = readsInFlight
    self.reroutes = reroutes
    self.conflicts = conflicts
    self.failures = failures
    self.fallbacks = fallbacks
    self.trouble = trouble
    self.estimated = estimated
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__node__unpack) { (c) throws(MessageError) in
      try unsafe Self(c)
    }
  }

  /// Builds the message for packing, in the arena.
  @_lifetime(borrow arena)
  public func prepare(in arena: MessageArena) throws(MessageError) -> PreparedMessage {
    let message = try unsafe build(in: arena)
    return unsafe PreparedMessage(message, in: arena)
  }

  init(_ c: UnsafeMutablePointer<Sluice__V1__Node>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    name = try unsafe Field.string(c.pointee.name, "name")
    source = unsafe Field.told(c.pointee.source.rawValue, or: .unspecified)
    state = unsafe Field.told(c.pointee.state.rawValue, or: .unspecified)
    provenLSN = try unsafe Field.string(c.pointee.proven_lsn, "proven_lsn")
    stalenessBoundMilliseconds = unsafe c.pointee.staleness_bound_ms
    reads = unsafe c.pointee.reads
    readsInFlight = unsafe c.pointee.reads_in_flight
    reroutes = unsafe c.pointee.reroutes
    conflicts = unsafe c.pointee.conflicts
    failures = unsafe c.pointee.failures
    fallbacks = unsafe c.pointee.fallbacks
    trouble = try unsafe Field.string(c.pointee.trouble, "trouble")
    estimated = unsafe c.pointee.estimated != 0
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__Node> {
    let c = try unsafe arena.make(sluice__v1__node__init)
    unsafe c.pointee.name = try arena.string(name)
    unsafe c.pointee.source = Sluice__V1__Source(rawValue: UInt32(source.rawValue))
    unsafe c.pointee.state = Sluice__V1__BreakerState(rawValue: UInt32(state.rawValue))
    unsafe c.pointee.proven_lsn = try arena.string(provenLSN)
    unsafe c.pointee.staleness_bound_ms = stalenessBoundMilliseconds
    unsafe c.pointee.reads = reads
    unsafe c.pointee.reads_in_flight = readsInFlight
    unsafe c.pointee.reroutes = reroutes
    unsafe c.pointee.conflicts = conflicts
    unsafe c.pointee.failures = failures
    unsafe c.pointee.fallbacks = fallbacks
    unsafe c.pointee.trouble = try arena.string(trouble)
    unsafe c.pointee.estimated = estimated ? 1 : 0
    return unsafe c
  }
}

/// Takes a node out of the reads of a gateway, or back in.
public struct SetNodeDrainedRequest: WireMessage, Equatable {
  /// As GetStatus names it.
  public var node: String

  /// Out or in.
  public var drained: Bool

  /// Makes a message; what is left out has its default.
  public init(node: String = "", drained: Bool = false) {
    self.node = node
    self.drained = drained
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__set_node_drained_request__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__SetNodeDrainedRequest>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    node = try unsafe Field.string(c.pointee.node, "node")
    drained = unsafe c.pointee.drained != 0
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__SetNodeDrainedRequest> {
    let c = try unsafe arena.make(sluice__v1__set_node_drained_request__init)
    unsafe c.pointee.node = try arena.string(node)
    unsafe c.pointee.drained = drained ? 1 : 0
    return unsafe c
  }
}
