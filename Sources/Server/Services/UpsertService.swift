internal import EventLoop
internal import Storage
internal import Wire

// sluice.v1.EntityService, the rpc that writes.

/// Values of one entity. Proto/sluice/v1/entity.proto
enum UpsertService {
  static func upsertEntity(
    _ message: UpsertEntityRequest,
    _ call: Call
  ) async throws(Status) -> UpsertEntityResponse {
    try check(message)
    let storage = call.context.storage
    var upsert = upsert(message, call)
    try await call.storage { () throws(StorageError) in
      try await storage.catalog.learn(
        tenant: call.tenant,
        entityIDs: [upsert.entityID],
        attributeIDs: upsert.values.map(\.attributeID),
        deadline: call.request.deadline
      )
    }
    switch message.by {
    case .externalKey(let key):
      // What is wrong with the values is found before an entity is made for them.
      try check(&upsert, isNamed: true, call)
      upsert.entityID = try await call.storage("external_key") { () throws(StorageError) in
        try await storage.catalog.resolveEntities(
          tenant: call.tenant,
          keys: [key],
          existingOnly: false,
          deadline: call.request.deadline
        )[0]
      }
    case .entityID: try check(&upsert, isNamed: false, call)
    }
    let (wanted, deadline) = (upsert, call.request.deadline)
    // Until here nothing was written; from here on only the lane knows.
    guard call.context.loop.now < deadline else { throw .deadlineExceeded }
    call.takeDeadline()
    let outcome = try await call.storage { () throws(StorageError) in
      try await storage.upserts.write(wanted, deadline: deadline)
    }
    return response(wanted, outcome, call)
  }

  /// The same without a task that waits, where that can be.
  ///
  /// - Parameters:
  ///   - message: the request.
  ///   - call: its call.
  ///   - done: is called once, at once or in a later turn of the loop.
  /// - Returns: false when it cannot be, as ids or names must be asked for: nothing was done.
  /// - Throws: the status that says what is wrong with the request.
  static func upsertEntity(
    _ message: UpsertEntityRequest,
    _ call: Call,
    _ done: @escaping (Result<UpsertEntityResponse, Status>) -> Void
  ) throws(Status) -> Bool {
    guard case .entityID = message.by else { return false }
    try check(message)
    var upsert = upsert(message, call)
    let isKnown = call.context.storage.catalog.knows(
      tenant: call.tenant,
      entityIDs: [upsert.entityID],
      attributeIDs: upsert.values.map(\.attributeID)
    )
    guard isKnown else { return false }
    try check(&upsert, isNamed: false, call)
    call.takeDeadline()
    let wanted = upsert
    call.context.storage.upserts.ask(wanted, deadline: call.request.deadline) { outcome in
      switch outcome {
      case .success(let outcome): done(.success(response(wanted, outcome, call)))
      case .failure(let error): done(.failure(call.status(of: error)))
      }
    }
    return true
  }

  /// What is asked for; of a named entity without its id.
  private static func upsert(_ message: UpsertEntityRequest, _ call: Call) -> Upsert {
    var upsert = Upsert(
      tenant: call.tenant,
      entityID: 0,
      values: message.values.map {
        UpsertValue(attributeID: $0.attributeID, value: $0.value.map { StoredValue($0) })
      },
      observedAtMicroseconds: message.observedAtMicroseconds
    )
    if case .entityID(let id) = message.by { upsert.entityID = id }
    return upsert
  }

  private static func response(
    _ upsert: Upsert,
    _ outcome: UpsertOutcome,
    _ call: Call
  ) -> UpsertEntityResponse {
    call.noteDurable(outcome.token)
    return UpsertEntityResponse(
      entityID: upsert.entityID,
      version: outcome.version,
      token: outcome.token.bytes,
      observedAtMicroseconds: outcome.observedAtMicroseconds
    )
  }

  /// What can be told from the message alone.
  private static func check(_ message: UpsertEntityRequest) throws(Status) {
    if case .externalKey(let text) = message.by {
      try Status.check("external_key", text, bytes: RequestLimits.keyBytes)
    }
    try Status.check("values", count: message.values.count, 1...UpsertLimits.valuesMax)
    var seen: Set<UInt32> = []
    var textBytes = 0
    for (index, value) in message.values.enumerated() {
      guard seen.insert(value.attributeID).inserted else {
        throw .invalid("values[\(index)].attribute_id", "is there twice")
      }
      textBytes += value.value.map { StoredValue($0).textBytes } ?? 0
    }
    guard textBytes <= UpsertLimits.textBytesMax else {
      throw .invalid("values", "have more than \(UpsertLimits.textBytesMax) bytes of text")
    }
  }

  /// What only the catalog and the clock can tell; also finds out whether all of it is hot.
  private static func check(
    _ upsert: inout Upsert,
    isNamed: Bool,
    _ call: Call
  ) throws(Status) {
    var catalog = call.context.storage.catalog.index(of: call.tenant)
    var checked = upsert
    if isNamed {
      // With an id that is known, only the values can be at fault.
      checked.entityID = 1
      catalog.addEntity(1)
    } else if !catalog.hasEntity(upsert.entityID) {
      throw Status(.entityNotFound(index: 0))
    }
    upsert.isHot = upsert.values.allSatisfy { catalog.isHot($0.attributeID) }
    let finding = UpsertCheck.finding(
      checked,
      catalog,
      call.context.storage.valueLimits,
      nowUnixMicroseconds: call.context.wallClockMicroseconds
    )
    if let finding { throw Status(finding) }
  }
}

extension Status {
  /// The answer for a value that may not be written.
  fileprivate init(_ finding: UpsertCheck.Finding) {
    let (reason, words) = Status.words(finding.reason)
    switch finding.reason {
    case .unknownAttribute:
      self.init(.attributeNotFound(index: finding.index), field: "values")
    case .unknownEntity: self.init(.entityNotFound(index: 0))
    case .timeOutOfRange, .timeInFuture:
      self = .invalid("observed_at_unix_us", words, reason: reason)
    case .wrongType, .textNotUTF8, .textHasNUL, .tooLong, .notJSON, .jsonTooDeep,
      .refusedByDatabase:
      self = .invalid("values[\(finding.index)].value", words, reason: reason)
    }
  }

  private static func words(_ reason: Storage.RejectReason) -> (reason: String, words: String) {
    switch reason {
    case .unknownEntity: ("UNKNOWN_ENTITY", "belongs to an entity that does not exist")
    case .unknownAttribute: ("UNKNOWN_ATTRIBUTE", "belongs to an attribute that does not exist")
    case .wrongType: ("WRONG_TYPE", "is not of the attribute's type")
    case .timeOutOfRange: ("TIME_OUT_OF_RANGE", "is before the year 1")
    case .timeInFuture: ("TIME_IN_FUTURE", "is too far in the future")
    case .textNotUTF8: ("TEXT_NOT_UTF8", "is not UTF-8")
    case .textHasNUL: ("TEXT_HAS_NUL", "has a NUL")
    case .tooLong: ("TOO_LONG", "is too long")
    case .notJSON: ("NOT_JSON", "is not JSON that the database can keep")
    case .jsonTooDeep: ("JSON_TOO_DEEP", "is nested too deeply")
    case .refusedByDatabase: ("REFUSED_BY_DATABASE", "was refused by the database")
    }
  }
}

extension StoredValue {
  /// A value that a client sent.
  init(_ value: Value) {
    switch value {
    case .number(let number): self = .number(number)
    case .integer(let integer): self = .integer(integer)
    case .flag(let flag): self = .flag(flag)
    case .label(let text): self = .label(text)
    case .document(let json): self = .document(json)
    }
  }
}
