internal import CProto

// grpc.health.v1, as it is. Proto/grpc/health/v1/health.proto

/// Whether a service serves.
public enum ServingStatus: Int32, Sendable, CaseIterable {
  /// Not said.
  case unknown = 0
  /// It takes calls.
  case serving = 1
  /// It takes no calls.
  case notServing = 2
  /// Used only by the Watch method.
  case serviceUnknown = 3
}

/// Asks whether a service serves.
public struct HealthCheckRequest: WireMessage, Equatable {
  /// Full name of the service; empty for the whole gateway.
  public var service: String

  /// Makes a message; what is left out has its default.
  public init(
    service: String = ""
  ) {
    self.service = service
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, grpc__health__v1__health_check_request__unpack) {
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

  init(_ c: UnsafeMutablePointer<Grpc__Health__V1__HealthCheckRequest>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    service = try unsafe Field.string(c.pointee.service, "service")
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Grpc__Health__V1__HealthCheckRequest> {
    let c = try unsafe arena.make(grpc__health__v1__health_check_request__init)
    unsafe c.pointee.service = try arena.string(service)
    return unsafe c
  }
}

/// Whether a service serves.
public struct HealthCheckResponse: WireMessage, Equatable {
  /// Whether it serves.
  public var status: ServingStatus

  /// Makes a message; what is left out has its default.
  public init(
    status: ServingStatus = .unknown
  ) {
    self.status = status
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, grpc__health__v1__health_check_response__unpack) {
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

  init(_ c: UnsafeMutablePointer<Grpc__Health__V1__HealthCheckResponse>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    status = unsafe Field.told(c.pointee.status.rawValue, or: .unknown)
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Grpc__Health__V1__HealthCheckResponse> {
    let c = try unsafe arena.make(grpc__health__v1__health_check_response__init)
    unsafe c.pointee.status = Grpc__Health__V1__HealthCheckResponse__ServingStatus(
      rawValue: UInt32(status.rawValue)
    )
    return unsafe c
  }
}

/// Asks for the status of every service.
public struct HealthListRequest: WireMessage, Equatable {
  /// Makes a message.
  public init() {}

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, grpc__health__v1__health_list_request__unpack) {
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

  init(_ c: UnsafeMutablePointer<Grpc__Health__V1__HealthListRequest>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Grpc__Health__V1__HealthListRequest> {
    try unsafe arena.make(grpc__health__v1__health_list_request__init)
  }
}

/// The status of every service.
public struct HealthListResponse: WireMessage, Equatable {
  /// By full name of the service, in the order given.
  public var statuses: [Entry]

  /// One service and its status.
  public struct Entry: Sendable, Equatable {
    /// Full name; empty for the whole gateway.
    public var service: String
    /// Whether it serves.
    public var status: ServingStatus

    /// Pairs a service with its status.
    public init(service: String, status: ServingStatus) {
      self.service = service
      self.status = status
    }
  }

  /// Makes a message.
  public init(statuses: [Entry] = []) {
    self.statuses = statuses
  }

  /// Unpacks a message and copies it out.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, grpc__health__v1__health_list_response__unpack) {
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

  init(_ c: UnsafeMutablePointer<Grpc__Health__V1__HealthListResponse>) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    statuses = try unsafe Field.messages(c.pointee.statuses, c.pointee.n_statuses, "statuses") {
      (c) throws(MessageError) in
      try unsafe Field.check(c.pointee.base)
      let response = try unsafe Field.message(c.pointee.value, "value") {
        (c) throws(MessageError) in try unsafe HealthCheckResponse(c)
      }
      return Entry(
        service: try unsafe Field.string(c.pointee.key, "key"),
        status: response?.status ?? .unknown
      )
    }
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Grpc__Health__V1__HealthListResponse> {
    let c = try unsafe arena.make(grpc__health__v1__health_list_response__init)
    unsafe c.pointee.n_statuses = statuses.count
    unsafe c.pointee.statuses = try arena.messages(statuses) { (entry) throws(MessageError) in
      let c = try unsafe arena.make(grpc__health__v1__health_list_response__statuses_entry__init)
      unsafe c.pointee.key = try arena.string(entry.service)
      unsafe c.pointee.value = try HealthCheckResponse(status: entry.status).build(in: arena)
      return unsafe c
    }
    return unsafe c
  }
}
