internal import CProto

// How fresh an answer must be, and the proof of how fresh it is. Proto/sluice/v1/read.proto

/// How fresh an answer must be.
public enum ReadLevel: Int32, Sendable, CaseIterable {
  /// EVENTUAL with the gateway's default bound.
  case unspecified = 0
  /// Every write acknowledged before the read arrived, by any gateway.
  case strong = 1
  /// Everything up to `token`.
  case atLeast = 2
  /// At most `max_staleness_ms` old.
  case eventual = 3
  /// The same from the warehouse, never from the primary.
  case analytics = 4
}

/// Where an answer came from.
public enum ReadSource: Int32, Sendable, CaseIterable {
  /// Not said.
  case unspecified = 0
  /// The primary.
  case primary = 1
  /// A streaming replica.
  case replica = 2
  /// Redis.
  case cache = 3
  /// The warehouse.
  case analytics = 4
}

/// What the cache had to do with an answer.
public enum CacheUse: Int32, Sendable, CaseIterable {
  /// Not said.
  case unspecified = 0
  /// It had the answer.
  case hit = 1
  /// It did not.
  case miss = 2
  /// It was not asked.
  case bypass = 3
}

/// How fresh an answer must be.
public struct ReadOptions: WireMessage, Equatable {
  /// How fresh the answer must be.
  public var level: ReadLevel

  /// For AT_LEAST: a token from an Ack, an upsert or an earlier answer.
  ///
  /// Opaque.
  public var token: [UInt8]

  /// For EVENTUAL (default 3000) and ANALYTICS (default 300000): 250 to 3600000; 0 is the default.
  public var maxStalenessMilliseconds: Int64

  /// Rather an older answer, marked degraded, than none.
  public var allowDegraded: Bool

  /// Also values of the STAGED lane that are not durable yet; runs on the primary.
  public var includeStaged: Bool

  /// Tokens whose writes must be in the answer as well, at any level; at most 2048.
  public var floorTokens: [[UInt8]]

  /// The answer's token will be a floor of later reads, which must show nothing older.
  public var isMonotonic: Bool

  /// Makes a message; what is left out has its default.
  public init(
    level: ReadLevel = .unspecified,
    token: [UInt8] = [],
    maxStalenessMilliseconds: Int64 = 0,
    allowDegraded: Bool = false,
    includeStaged: Bool = false,
    floorTokens: [[UInt8]] = [],
    isMonotonic: Bool = false
  ) {
    self.level = level
    self.token = token
    self.maxStalenessMilliseconds = maxStalenessMilliseconds
    self.allowDegraded = allowDegraded
    self.includeStaged = includeStaged
    self.floorTokens = floorTokens
    self.isMonotonic = isMonotonic
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__read_options__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__ReadOptions>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    level = try unsafe Field.chosen(c.pointee.level.rawValue, "level")
    token = unsafe Field.bytes(c.pointee.token)
    maxStalenessMilliseconds = unsafe c.pointee.max_staleness_ms
    allowDegraded = unsafe c.pointee.allow_degraded != 0
    includeStaged = unsafe c.pointee.include_staged != 0
    floorTokens = unsafe Field.byteStrings(c.pointee.floor_tokens, c.pointee.n_floor_tokens)
    isMonotonic = unsafe c.pointee.is_monotonic != 0
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__ReadOptions> {
    let c = try unsafe arena.make(sluice__v1__read_options__init)
    unsafe c.pointee.level = Sluice__V1__ReadLevel(rawValue: UInt32(level.rawValue))
    unsafe c.pointee.token = try arena.binary(token)
    unsafe c.pointee.max_staleness_ms = maxStalenessMilliseconds
    unsafe c.pointee.allow_degraded = allowDegraded ? 1 : 0
    unsafe c.pointee.include_staged = includeStaged ? 1 : 0
    unsafe c.pointee.n_floor_tokens = floorTokens.count
    unsafe c.pointee.floor_tokens = try arena.binaries(floorTokens)
    unsafe c.pointee.is_monotonic = isMonotonic ? 1 : 0
    return unsafe c
  }
}

/// Proof of an answer's age.
public struct Freshness: WireMessage, Equatable {
  /// Where the answer came from.
  public var source: ReadSource

  /// Name of the node that answered: "primary", "replica-1".
  public var node: String

  /// Everything up to this token is in the answer.
  ///
  /// Give it to a later AT_LEAST read; empty where `estimated`.
  public var asOfToken: [UInt8]

  /// Upper bound of the answer's age when it was read: an estimate only where `estimated` says so.
  public var stalenessBoundMilliseconds: Int64

  /// The level that was asked for could not be met and allow_degraded was set.
  public var degraded: Bool

  /// How long the read waited for a source to catch up.
  public var waitedMilliseconds: Int64

  /// What the cache had to do with it.
  public var cache: CacheUse

  /// Nothing is proven: the warehouse's feed keeps no order, and the age is what is likely.
  public var estimated: Bool

  /// Makes a message; what is left out has its default.
  public init(
    source: ReadSource = .unspecified,
    node: String = "",
    asOfToken: [UInt8] = [],
    stalenessBoundMilliseconds: Int64 = 0,
    degraded: Bool = false,
    waitedMilliseconds: Int64 = 0,
    cache: CacheUse = .unspecified,
    estimated: Bool = false
  ) {
    self.source = source
    self.node = node
    self.asOfToken = asOfToken
    self.stalenessBoundMilliseconds = stalenessBoundMilliseconds
    self.degraded = degraded
    self.waitedMilliseconds = waitedMilliseconds
    self.cache = cache
    self.estimated = estimated
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, sluice__v1__freshness__unpack) {
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

  init(_ c: UnsafeMutablePointer<Sluice__V1__Freshness>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    source = unsafe Field.told(c.pointee.source.rawValue, or: .unspecified)
    node = try unsafe Field.string(c.pointee.node, "node")
    asOfToken = unsafe Field.bytes(c.pointee.as_of_token)
    stalenessBoundMilliseconds = unsafe c.pointee.staleness_bound_ms
    degraded = unsafe c.pointee.degraded != 0
    waitedMilliseconds = unsafe c.pointee.waited_ms
    cache = unsafe Field.told(c.pointee.cache.rawValue, or: .unspecified)
    estimated = unsafe c.pointee.estimated != 0
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Sluice__V1__Freshness> {
    let c = try unsafe arena.make(sluice__v1__freshness__init)
    unsafe c.pointee.source = Sluice__V1__Source(rawValue: UInt32(source.rawValue))
    unsafe c.pointee.node = try arena.string(node)
    unsafe c.pointee.as_of_token = try arena.binary(asOfToken)
    unsafe c.pointee.staleness_bound_ms = stalenessBoundMilliseconds
    unsafe c.pointee.degraded = degraded ? 1 : 0
    unsafe c.pointee.waited_ms = waitedMilliseconds
    unsafe c.pointee.cache = Sluice__V1__CacheUse(rawValue: UInt32(cache.rawValue))
    unsafe c.pointee.estimated = estimated ? 1 : 0
    return unsafe c
  }
}
