internal import Client
internal import Formats
internal import Wire

// Ids of the names that an import or an agent has met, asked for in bulk and once.

/// Names to ids, with what has to be said when an attribute is created.
struct CatalogCache {
  /// Entities remembered at most: 1 M of some 100 bytes; then all are forgotten and asked for
  /// again.
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
  /// - Throws: `ClientError`.
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
    do throws(ClientError) {
      for (spec, attribute) in zip(wanted, try await client.resolveAttributes(wanted)) {
        attributes[spec.name] = attribute
      }
    } catch {
      guard Self.isTypeMismatch(error) else { throw error }
      for spec in wanted { try await resolveSingly(spec) }
    }
  }

  /// Learns an attribute even if it exists with another type: its values decide what then.
  private mutating func resolveSingly(_ spec: AttributeSpec) async throws(ClientError) {
    var spec = spec
    do throws(ClientError) {
      attributes[spec.name] = try await client.resolveAttributes([spec]).first
    } catch {
      guard Self.isTypeMismatch(error) else { throw error }
      spec.valueType = .unspecified
      attributes[spec.name] = try await client.resolveAttributes([spec]).first
    }
  }

  private static func isTypeMismatch(_ error: ClientError) -> Bool {
    guard case .status(let status) = error else { return false }
    return status.reason == "ATTRIBUTE_TYPE_MISMATCH"
  }

  /// Takes over an id that was learnt by an earlier process; what is known stays.
  mutating func adopt(entity key: String, id: Int64) {
    if entities[key] == nil { entities[key] = id }
  }

  /// Takes over an attribute that was learnt by an earlier process; what is known stays.
  mutating func adopt(_ attribute: Attribute) {
    if attributes[attribute.name] == nil { attributes[attribute.name] = attribute }
  }

  /// Every attribute that is known.
  var knownAttributes: some Collection<Attribute> { attributes.values }

  /// The id of an entity, once it was resolved.
  func entity(_ key: String) -> Int64? { entities[key] }

  /// An attribute, once it was resolved.
  func attribute(_ name: String) -> Attribute? { attributes[name] }
}
