internal import Client
internal import Wire

// The values of every measurement: value `i` is the same whoever writes it.

/// Entities and attributes, and what value `i` is.
///
/// Neighbours differ in their entity, as when many devices report; every entity has ten attributes,
/// and of a hundred values `hotPercent` go to attributes of the hot projection.
struct Series: Sendable {
  static let attributeCount = 10
  /// Between one value and the next.
  static let stepMicroseconds: Int64 = 100

  struct Row {
    let entity: Int64
    let attribute: UInt32
    let observedAt: Int64
    let number: Double
  }

  let entities: [Int64]
  let hotPercent: UInt32
  let base: Int64
  /// Attributes outside the hot projection.
  var coldAttributes: [UInt32] { cold }
  /// Attributes of the hot projection.
  var hotAttributes: [UInt32] { hot }
  private let cold: [UInt32]
  private let hot: [UInt32]

  /// Finds or makes the names.
  ///
  /// - Throws: `ClientError`, `ArgumentError`.
  init(_ client: SluiceClient, _ arguments: Arguments) async throws {
    let count = try arguments.int("entities", 1_000)
    entities = try await client.resolveEntities((0..<count).map { "bench-\($0)" })
    cold = try await Series.attributes("cold", isHot: false, client)
    hot = try await Series.attributes("hot", isHot: true, client)
    hotPercent = UInt32(try arguments.int("hot", 0))
    base = Int64(try arguments.int("base", 1_700_000_000_000_000))
  }

  private static func attributes(
    _ name: String,
    isHot: Bool,
    _ client: SluiceClient
  ) async throws(ClientError) -> [UInt32] {
    let specs = (0..<attributeCount).map {
      AttributeSpec(name: "bench.\(name).\($0)", valueType: .number, unit: "1", isHot: isHot)
    }
    return try await client.resolveAttributes(specs).map(\.attributeID)
  }

  /// Value `index`.
  func row(_ index: Int) -> Row {
    // A multiplicative hash, so that hot values fall on all entities alike.
    let mixed = (UInt32(truncatingIfNeeded: index) &* 2_654_435_761) >> 16
    let attributes = mixed % 100 < hotPercent ? hot : cold
    return Row(
      entity: entities[index % entities.count],
      attribute: attributes[index / entities.count % Series.attributeCount],
      observedAt: base + Int64(index) * Series.stepMicroseconds,
      number: Double(index) * 0.5
    )
  }

  /// Values `range` as a batch.
  func batch(_ range: Range<Int>) -> ColumnsBuilder {
    var columns = ColumnsBuilder()
    for index in range {
      let row = row(index)
      columns.appendNumber(
        row.number,
        entityID: row.entity,
        attributeID: row.attribute,
        observedAtMicroseconds: row.observedAt
      )
    }
    return columns
  }
}
