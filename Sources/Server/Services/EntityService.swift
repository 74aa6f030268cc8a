internal import Storage
internal import Wire

// sluice.v1.EntityService

/// The hot projection. Proto/sluice/v1/entity.proto
enum EntityService {
  private static let pageDefault = 1_000
  private static let pageMax = 10_000

  static func getEntity(
    _ message: GetEntityRequest,
    _ call: Call
  ) async throws(Status) -> GetEntityResponse {
    let requirement = try ReadRequirement(message.read, call)
    let key = try key(message.by, "external_key")
    let (found, proof) = try await call.storage { () throws(StorageError) in
      try await call.context.storage.entities.entity(
        key,
        tenant: call.tenant,
        requirement,
        deadline: call.request.deadline
      )
    }
    return try response(found, proof)
  }

  /// The same without a task that waits, where that can be.
  ///
  /// - Parameters:
  ///   - message: the request.
  ///   - call: its call.
  ///   - done: is called once, at once or in a later turn of the loop.
  /// - Returns: false when it cannot be, as what is staged is wanted: nothing was done.
  /// - Throws: the status that says what is wrong with the request.
  static func getEntity(
    _ message: GetEntityRequest,
    _ call: Call,
    _ done: @escaping (Result<GetEntityResponse, Status>) -> Void
  ) throws(Status) -> Bool {
    let requirement = try ReadRequirement(message.read, call)
    let key = try key(message.by, "external_key")
    guard !requirement.includesStaged else { return false }
    call.context.storage.entities.ask(
      key,
      tenant: call.tenant,
      requirement,
      deadline: call.request.deadline
    ) { answer in
      done(
        Result { () throws(Status) in
          switch answer {
          case .success(let (found, proof)): try response(found, proof)
          case .failure(let error): throw call.status(of: error)
          }
        }
      )
    }
    return true
  }

  private static func response(
    _ found: HotEntity,
    _ proof: ReadProof
  ) throws(Status) -> GetEntityResponse {
    guard found.answerBytes <= RequestLimits.answerBytesMax else { throw Status(.valueTooLarge) }
    return GetEntityResponse(entity: Entity(found), freshness: Freshness(proof))
  }

  static func batchGetEntities(
    _ message: BatchGetEntitiesRequest,
    _ call: Call
  ) async throws(Status) -> BatchGetEntitiesResponse {
    let requirement = try ReadRequirement(message.read, call)
    guard !requirement.includesStaged else {
      throw .invalid("read.include_staged", "is only possible for one entity")
    }
    let names = message.entities
    try Status.check("entities", count: names.count, 1...RequestLimits.entitiesMax)
    var keys: [EntityReader.Key] = []
    for (index, name) in names.enumerated() {
      keys.append(try key(name.by, "entities[\(index)].external_key"))
    }
    let (found, proof) = try await call.storage { () throws(StorageError) in
      try await call.context.storage.entities.entities(
        named: keys,
        bytesMax: RequestLimits.answerBytesMax,
        tenant: call.tenant,
        requirement,
        deadline: call.request.deadline
      )
    }
    return try response(found, proof)
  }

  /// As much of an answer as fits: names make it larger than what is stored.
  private static func response(
    _ found: [HotEntity?],
    _ proof: ReadProof
  ) throws(Status) -> BatchGetEntitiesResponse {
    var response = BatchGetEntitiesResponse(freshness: Freshness(proof))
    var bytes = 0
    for (place, entity) in found.enumerated() {
      bytes += entity?.answerBytes ?? 4
      guard bytes <= RequestLimits.answerBytesMax else {
        guard place > 0 else { throw Status(.valueTooLarge) }
        break
      }
      if let entity {
        response.entities.append(Entity(entity))
      } else {
        response.missing.append(UInt32(place))
      }
      response.answered += 1
    }
    return response
  }

  private static func key(
    _ name: GetEntityRequest.Key,
    _ field: String
  ) throws(Status) -> EntityReader.Key {
    switch name {
    case .entityID(let id): return .id(id)
    case .externalKey(let text):
      try Status.check(field, text, bytes: RequestLimits.keyBytes)
      return .externalKey(text)
    }
  }

  static func listEntities(
    _ message: ListEntitiesRequest,
    _ call: Call
  ) async throws(Status) -> ListEntitiesResponse {
    let requirement = try ReadRequirement(message.read, call)
    guard !requirement.includesStaged else {
      throw .invalid("read.include_staged", "is not possible in lists")
    }
    let limit = try Status.pageSize(message.pageSize, default: pageDefault, max: pageMax)
    let list = try list(message, call)
    let tokenBytes = list.order.attributeID == nil ? 0 : RequestLimits.orderTokenBytes
    let bytesMax = RequestLimits.answerBytesMax - tokenBytes
    let page = try await call.storage("filter.steps") { () throws(StorageError) in
      try await call.context.storage.entities.entities(
        list,
        pageToken: message.pageToken,
        limit: limit,
        bytesMax: bytesMax,
        requirement,
        deadline: call.request.deadline
      )
    }
    // Names make an answer larger than what is stored.
    var bytes = 0
    let fitting = page.entities.prefix {
      bytes += $0.answerBytes
      return bytes <= bytesMax
    }
    guard let last = fitting.last else {
      guard page.entities.isEmpty else { throw Status(.valueTooLarge) }
      return ListEntitiesResponse(freshness: Freshness(page.proof))
    }
    let hasMore = page.hasMore || fitting.count < page.entities.count
    return ListEntitiesResponse(
      entities: fitting.map { Entity($0) },
      nextPageToken: hasMore ? list.pageToken(after: last) : [],
      freshness: Freshness(page.proof)
    )
  }

  private static func list(
    _ message: ListEntitiesRequest,
    _ call: Call
  ) throws(Status) -> EntityList {
    let prefix = message.externalKeyPrefix
    try Status.check("external_key_prefix", prefix, bytes: 0...RequestLimits.keyBytes.upperBound)
    var list = EntityList(tenant: call.tenant, prefix: prefix)
    let attributeID = message.orderByAttributeID
    list.order = EntityOrder(
      attributeID: attributeID == 0 ? nil : attributeID,
      isDescending: message.isDescending
    )
    guard let filter = message.filter else { return list }
    let range = 1...Storage.EntityFilter.stepsMax
    try Status.check("filter.steps", count: filter.steps.count, range)
    var steps: [Storage.EntityFilter.Step] = []
    for (index, step) in filter.steps.enumerated() {
      switch step {
      case .comparison(let comparison):
        guard let relation = Storage.EntityFilter.Relation(comparison.relation) else {
          throw .invalid("filter.steps[\(index)].comparison.relation", "is not set")
        }
        let value = comparison.value.map { StoredValue($0) }
        steps.append(.comparison(attributeID: comparison.attributeID, relation, value))
      case .all(let count): steps.append(.all(Int(count)))
      case .any(let count): steps.append(.any(Int(count)))
      case .not: steps.append(.not)
      }
    }
    list.filter = Storage.EntityFilter(steps)
    return list
  }
}

extension HotEntity {
  /// What it needs in an answer, rounded up: tags, lengths and numbers of a value are under 40
  /// bytes.
  fileprivate var answerBytes: Int {
    values.reduce(32 + externalKey.utf8.count) { sum, value in
      sum + 40 + value.name.utf8.count + value.value.textBytes
    }
  }
}

extension Entity {
  fileprivate init(_ entity: HotEntity) {
    self.init(
      entityID: entity.id,
      externalKey: entity.externalKey,
      version: entity.version,
      values: entity.values.map { HotValue($0) }
    )
  }
}

extension HotValue {
  fileprivate init(_ newest: NewestValue) {
    let value: Value =
      switch newest.value {
      case .number(let number): .number(number)
      case .integer(let integer): .integer(integer)
      case .flag(let flag): .flag(flag)
      case .label(let text): .label(text)
      case .document(let json): .document(json)
      }
    self.init(
      attributeID: newest.attributeID,
      name: newest.name,
      value: value,
      observedAtMicroseconds: newest.observedAtMicroseconds
    )
  }
}

extension Storage.EntityFilter.Relation {
  /// nil for what is not said.
  fileprivate init?(_ relation: Relation) {
    switch relation {
    case .unspecified: return nil
    case .exists: self = .exists
    case .equal: self = .equal
    case .notEqual: self = .notEqual
    case .less: self = .less
    case .lessOrEqual: self = .lessOrEqual
    case .greater: self = .greater
    case .greaterOrEqual: self = .greaterOrEqual
    case .prefix: self = .prefix
    }
  }
}
