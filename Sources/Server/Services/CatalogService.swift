internal import Storage
internal import Wire

// sluice.v1.CatalogService

/// Names to ids. Proto/sluice/v1/catalog.proto
enum CatalogService {
  private static let pageDefault = 1_000
  private static let pageMax = 10_000
  private static let nameBytes = 1...WireLimits.attributeNameBytesMax
  private static let unitBytes = 0...WireLimits.unitBytesMax

  static func resolveEntities(
    _ message: ResolveEntitiesRequest,
    _ call: Call
  ) async throws(Status) -> ResolveEntitiesResponse {
    let keys = message.externalKeys
    try Status.check("external_key", count: keys.count, 0...RequestLimits.keysMax)
    for (index, key) in keys.enumerated()
    where !RequestLimits.keyBytes.contains(key.utf8.count) {
      try Status.check("external_key[\(index)]", key, bytes: RequestLimits.keyBytes)
    }
    guard !keys.isEmpty else { return ResolveEntitiesResponse() }
    let ids = try await call.storage("external_key") { () throws(StorageError) in
      try await call.context.storage.catalog.resolveEntities(
        tenant: call.tenant,
        keys: keys,
        existingOnly: message.existingOnly,
        deadline: call.request.deadline
      )
    }
    return ResolveEntitiesResponse(entityIDs: ids)
  }

  static func resolveAttributes(
    _ message: ResolveAttributesRequest,
    _ call: Call
  ) async throws(Status) -> ResolveAttributesResponse {
    let specs = message.attributes
    try Status.check("attributes", count: specs.count, 0...RequestLimits.namesMax)
    var wanted: [WantedAttribute] = []
    for (index, spec) in specs.enumerated() {
      try Status.check("attributes[\(index)].name", spec.name, bytes: nameBytes)
      try Status.check("attributes[\(index)].unit", spec.unit, bytes: unitBytes)
      wanted.append(
        WantedAttribute(
          name: spec.name,
          type: Storage.ValueType(spec.valueType),
          unit: spec.unit,
          isHot: spec.isHot
        )
      )
    }
    guard !wanted.isEmpty else { return ResolveAttributesResponse() }
    let attributes = try await call.storage("attributes") { () throws(StorageError) in
      try await call.context.storage.catalog.resolveAttributes(
        tenant: call.tenant,
        wanted,
        deadline: call.request.deadline
      )
    }
    return ResolveAttributesResponse(attributes: attributes.map { Attribute($0) })
  }

  static func listAttributes(
    _ message: ListAttributesRequest,
    _ call: Call
  ) async throws(Status) -> ListAttributesResponse {
    let limit = try Status.pageSize(message.pageSize, default: pageDefault, max: pageMax)
    try Status.check("name_prefix", message.namePrefix, bytes: 0...nameBytes.upperBound)
    let (kind, prefix) = ("attributes", message.namePrefix)
    var attributes = try await call.storage { () throws(StorageError) in
      let after = try PageToken.text(
        message.pageToken,
        kind: kind,
        tenant: call.tenant,
        prefix: prefix
      )
      return try await call.context.storage.catalog.attributes(
        of: call.tenant,
        prefix: prefix,
        after: after,
        limit: limit + 1,
        deadline: call.request.deadline
      )
    }
    guard attributes.count > limit else {
      return ListAttributesResponse(attributes: attributes.map { Attribute($0) })
    }
    attributes.removeLast(attributes.count - limit)
    let token = PageToken.seal(
      text: attributes[limit - 1].name,
      kind: kind,
      tenant: call.tenant,
      prefix: prefix
    )
    return ListAttributesResponse(
      attributes: attributes.map { Attribute($0) },
      nextPageToken: token
    )
  }

  static func updateAttribute(
    _ message: UpdateAttributeRequest,
    _ call: Call
  ) async throws(Status) -> Attribute {
    try Status.check("name", message.name, bytes: nameBytes)
    try Status.check("unit", message.unit, bytes: unitBytes)
    let attribute = try await call.storage { () throws(StorageError) in
      try await call.context.storage.catalog.updateAttribute(
        tenant: call.tenant,
        name: message.name,
        isHot: message.isHot,
        unit: message.unit,
        deadline: call.request.deadline
      )
    }
    return Attribute(attribute)
  }
}

extension Storage.ValueType {
  /// nil for what is not said.
  fileprivate init?(_ type: Wire.ValueType) {
    switch type {
    case .unspecified: return nil
    case .number: self = .number
    case .integer: self = .integer
    case .flag: self = .flag
    case .label: self = .label
    case .document: self = .document
    }
  }
}

extension Wire.ValueType {
  fileprivate init(_ type: Storage.ValueType) {
    switch type {
    case .number: self = .number
    case .integer: self = .integer
    case .flag: self = .flag
    case .label: self = .label
    case .document: self = .document
    }
  }
}

extension Attribute {
  fileprivate init(_ attribute: CatalogAttribute) {
    self.init(
      attributeID: attribute.id,
      name: attribute.name,
      valueType: Wire.ValueType(attribute.type),
      unit: attribute.unit,
      isHot: attribute.isHot
    )
  }
}
