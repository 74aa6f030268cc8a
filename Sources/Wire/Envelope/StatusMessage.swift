internal import CProto

/// google.rpc.Status on the wire: code and message, and up to three details, each packed into an
/// Any.
extension Status: WireMessage {
  private static let typePrefix = "type.googleapis.com/"

  /// Unpacks a status; details of unknown types are skipped.
  public init(decoding bytes: RawSpan, arena: MessageArena) throws(MessageError) {
    self = try unsafe arena.unpack(bytes, google__rpc__status__unpack) {
      (c) throws(MessageError) in try unsafe Self(c, arena)
    }
  }

  /// Builds the status for packing, in the arena.
  @_lifetime(borrow arena)
  public func prepare(in arena: MessageArena) throws(MessageError) -> PreparedMessage {
    let message = try unsafe build(in: arena)
    return unsafe PreparedMessage(message, in: arena)
  }

  private init(
    _ c: UnsafeMutablePointer<Google__Rpc__Status>,
    _ arena: MessageArena
  ) throws(MessageError) {
    try unsafe Field.check(c.pointee.base)
    let code = unsafe Code(rawValue: c.pointee.code) ?? .unknown
    self.init(code, try unsafe Field.string(c.pointee.message, "message"))
    let details = try unsafe Field.messages(c.pointee.details, c.pointee.n_details, "details") {
      (any) throws(MessageError) in
      (
        type: try unsafe Field.string(any.pointee.type_url, "type_url"),
        value: unsafe Field.bytes(any.pointee.value)
      )
    }
    for detail in details { try read(detail.type, unsafe detail.value.span.bytes, arena) }
  }

  private mutating func read(
    _ type: String,
    _ bytes: RawSpan,
    _ arena: MessageArena
  ) throws(MessageError) {
    switch type {
    case Self.typePrefix + "google.rpc.ErrorInfo":
      (reason, metadata) = try unsafe arena.unpack(bytes, google__rpc__error_info__unpack) {
        (c) throws(MessageError) in
        (
          try unsafe Field.string(c.pointee.reason, "reason"),
          try unsafe Field.messages(c.pointee.metadata, c.pointee.n_metadata, "metadata") {
            (entry) throws(MessageError) in
            KeyValue(
              try unsafe Field.string(entry.pointee.key, "key"),
              try unsafe Field.string(entry.pointee.value, "value")
            )
          }
        )
      }
    case Self.typePrefix + "google.rpc.RetryInfo":
      retryAfterMilliseconds = try unsafe arena.unpack(bytes, google__rpc__retry_info__unpack) {
        (c) throws(MessageError) in
        guard let delay = unsafe c.pointee.retry_delay else { return 0 }
        // The longest Duration there is: 10,000 years.
        let seconds = unsafe min(max(delay.pointee.seconds, 0), 315_576_000_000)
        return unsafe seconds * 1_000 + Int64(delay.pointee.nanos) / 1_000_000
      }
    case Self.typePrefix + "google.rpc.BadRequest":
      fieldViolations = try unsafe arena.unpack(bytes, google__rpc__bad_request__unpack) {
        (c) throws(MessageError) in
        try unsafe Field.messages(
          c.pointee.field_violations,
          c.pointee.n_field_violations,
          "field_violations"
        ) { (violation) throws(MessageError) in
          FieldViolation(
            field: try unsafe Field.string(violation.pointee.field, "field"),
            description: try unsafe Field.string(violation.pointee.description, "description")
          )
        }
      }
    default: break
    }
  }

  func build(
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Google__Rpc__Status> {
    let c = try unsafe arena.make(google__rpc__status__init)
    unsafe c.pointee.code = code.rawValue
    unsafe c.pointee.message = try arena.string(message)
    let details = try unsafe buildDetails(in: arena)
    unsafe c.pointee.n_details = details.count
    unsafe c.pointee.details = try arena.messages(details) { (detail) in unsafe detail }
    return unsafe c
  }

  private func buildDetails(
    in arena: MessageArena
  ) throws(MessageError) -> [UnsafeMutablePointer<Google__Protobuf__Any>] {
    var details = unsafe [UnsafeMutablePointer<Google__Protobuf__Any>]()
    if !reason.isEmpty {
      let info = try unsafe arena.make(google__rpc__error_info__init)
      unsafe info.pointee.reason = try arena.string(reason)
      unsafe info.pointee.domain = try arena.string(Self.domain)
      unsafe info.pointee.n_metadata = metadata.count
      unsafe info.pointee.metadata = try arena.messages(metadata) { (entry) throws(MessageError) in
        let c = try unsafe arena.make(google__rpc__error_info__metadata_entry__init)
        unsafe c.pointee.key = try arena.string(entry.key)
        unsafe c.pointee.value = try arena.string(entry.value)
        return unsafe c
      }
      unsafe details.append(try Self.any("google.rpc.ErrorInfo", info, in: arena))
    }
    if let retryAfterMilliseconds {
      let delay = try unsafe arena.make(google__protobuf__duration__init)
      unsafe delay.pointee.seconds = retryAfterMilliseconds / 1_000
      unsafe delay.pointee.nanos = Int32(retryAfterMilliseconds % 1_000) * 1_000_000
      let info = try unsafe arena.make(google__rpc__retry_info__init)
      unsafe info.pointee.retry_delay = delay
      unsafe details.append(try Self.any("google.rpc.RetryInfo", info, in: arena))
    }
    if !fieldViolations.isEmpty {
      let bad = try unsafe arena.make(google__rpc__bad_request__init)
      unsafe bad.pointee.n_field_violations = fieldViolations.count
      unsafe bad.pointee.field_violations = try arena.messages(fieldViolations) {
        (violation) throws(MessageError) in
        let c = try unsafe arena.make(google__rpc__bad_request__field_violation__init)
        unsafe c.pointee.field = try arena.string(violation.field)
        unsafe c.pointee.description = try arena.string(violation.description)
        return unsafe c
      }
      unsafe details.append(try Self.any("google.rpc.BadRequest", bad, in: arena))
    }
    return unsafe details
  }

  private static func any<C>(
    _ type: String,
    _ message: UnsafeMutablePointer<C>,
    in arena: MessageArena
  ) throws(MessageError) -> UnsafeMutablePointer<Google__Protobuf__Any> {
    let any = try unsafe arena.make(google__protobuf__any__init)
    unsafe any.pointee.type_url = try arena.string(typePrefix + type)
    unsafe any.pointee.value = try arena.packed(message)
    return unsafe any
  }
}
