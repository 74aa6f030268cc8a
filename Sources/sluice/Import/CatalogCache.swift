internal import Client
internal import Formats
internal import Wire

// Ids of the names that an import or an agent has met, asked for in bulk and once.

/// Names to ids, with what has to be said when an attribute is created.
struct CatalogCache {
  /// Entities remembered at most: 1 M of some 100 bytes; then all are forgotten and asked for again.
  static let entitiesMax = 1_000_000

  private let client: SluiceClient
  private var entities: [String: Int64] = [:]
  private var attributes: [String: Attribute] = [:]

  init(_ client: SluiceClient) {
    self.client = client
  }

  /// Learns the ids of all names that are not known yet; what does not exist is created.
  ///
  /// - Parameters:
  ///   - keys: keys of entities.
  ///   - specs: attributes by name, with what to create.
  /// - Throws: `ClientError`; ATTRIBUTE_TYPE_MISMATCH when one exists with another type.
  mutating func resolve(
    entities keys: some Sequence<String>,
    attributes specs: [AttributeSpec]
  ) async throws(ClientError) {
    if entities.count > Self.entitiesMax { entities.removeAll() }
    var wantedKeys: [String] = []
    for key in Set(keys) where entities[key] == nil { wantedKeys.append(key) }
    if !wantedKeys.isEmpty {
      wantedKeys.sort()
      for (key, id) in zip(wantedKeys, try await client.resolveEntities(wantedKeys)) {
        entities[key] = id
      }
    }
    let wanted = specs.filter { attributes[$0.name] == nil }
    guard !wanted.isEmpty else { return }
    for (spec, attribute) in zip(wanted, try await client.resolveAttributes(wanted)) {
      attributes[spec.name] = attribute
    }
  }

  /// The id of an entity, once it was resolved.
  func entity(_ key: String) -> Int64? { entities[key] }

  /// An attribute, once it was resolved.
  func attribute(_ name: String) -> Attribute? { attributes[name] }
}
