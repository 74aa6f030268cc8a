internal import ArgumentParser
internal import Formats
internal import Wire

// `sluice get`: the newest values of an entity.

struct GetCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "get",
    abstract: "Show the newest value of every hot attribute of an entity.",
    discussion: """
      The last line says where the answer came from and how old it can be at most. Attributes that \
      are not hot have no newest value: see 'sluice catalog set --hot true' and 'sluice history'.

      Examples:
        sluice get web1
        sluice get '#17' --strong
        sluice get web1 --json | jq .values

      Exit codes: 0 done; 66 there is no such entity; 69 no gateway, or none fresh enough.
      """
  )

  @Argument(help: "The entity's key, or #id.")
  var entity: String

  @OptionGroup(title: "Freshness") var level: ReadLevelOptions
  @OptionGroup(title: "Output") var output: OutputOptions
  @OptionGroup(title: "Gateway") var gateway: GatewayOptions

  func run() throws {
    let request = GetEntityRequest(by: GatewaySession.entityKey(entity), read: level.options)
    let format = output.format
    // One read.
    try GatewaySession.run(gateway, isMonotonic: false) { session in
      let response = try await session.getEntity(request)
      let entity = response.entity ?? Entity()
      let catalog = await Self.catalog(of: entity, session)
      let printer = EntityPrinter(entity: entity, catalog: catalog, freshness: response.freshness)
      try printer.print(format)
    }
  }
}

extension GetCommand {
  /// The attributes of an entity's values, in their order.
  ///
  /// The answer is there already, perhaps from a replica or the cache while the primary is away: it
  /// is shown without its units rather than not at all.
  private static func catalog(
    of entity: Entity,
    _ session: GatewaySession
  ) async -> [Attribute] {
    do {
      return try await session.attributes(entity.values.map(\.name), within: .seconds(2))
    } catch {
      let reason = CommandFailure(error)
      StandardStream.error.note("the units of the values cannot be shown: \(reason)\n")
      return entity.values.map {
        Attribute(attributeID: $0.attributeID, name: $0.name, valueType: ValueType($0.value))
      }
    }
  }
}

/// Prints an entity with its newest values.
private struct EntityPrinter {
  let entity: Entity
  /// The attributes of the values, in their order.
  let catalog: [Attribute]
  let freshness: Freshness?

  func print(_ format: OutputFormat) throws {
    switch format {
    case .table:
      try StandardStream.output.write(table() + "\n\(FreshnessText.line(freshness))\n")
    case .json: try StandardStream.output.write(json())
    case .csv:
      try StandardStream.output.write(csv())
      StandardStream.error.note(FreshnessText.line(freshness) + "\n")
    }
  }

  private func table() -> String {
    var text = ValueText.title(entity.externalKey, id: entity.entityID) + "\n\n"
    guard !entity.values.isEmpty else {
      return text + "no hot values; make attributes hot with 'sluice catalog set NAME --hot true'\n"
    }
    var table = Table(
      ["attribute", "value", "unit", "observed at"],
      alignments: [.left, .right],
      columnWidthMax: 60
    )
    for (value, attribute) in zip(entity.values, catalog) {
      let shown = value.value.map { ValueText.cell(PointValue($0)) } ?? "?"
      table.append([value.name, shown, attribute.unit, Self.time(value)])
    }
    text += table.render()
    return text
  }

  private func json() -> String {
    var json = JSONWriter(indentation: 2)
    json.beginObject()
    json.key("entity")
    json.value(entity.externalKey)
    json.key("entity_id")
    json.value(entity.entityID)
    json.key("version")
    json.value(entity.version)
    json.key("values")
    json.beginArray()
    for (value, attribute) in zip(entity.values, catalog) {
      json.beginObject()
      json.key("attribute")
      json.value(value.name)
      json.key("attribute_id")
      json.value(value.attributeID)
      json.key("type")
      json.value(attribute.valueType.name)
      json.key("value")
      if let value = value.value { json.value(PointValue(value)) } else { json.null() }
      json.key("unit")
      json.value(attribute.unit)
      json.key("observed_at")
      json.value(Self.time(value))
      json.endObject()
    }
    json.endArray()
    json.key("freshness")
    FreshnessText.write(freshness, to: &json)
    json.endObject()
    return json.take()
  }

  private func csv() -> String {
    var csv = CSVWriter()
    csv.write(["entity", "attribute", "time", "value", "type", "unit"])
    for (value, attribute) in zip(entity.values, catalog) {
      csv.write([
        entity.externalKey, value.name, Self.time(value),
        value.value.map { PointValue($0).description } ?? "", attribute.valueType.name,
        attribute.unit,
      ])
    }
    return csv.take()
  }

  private static func time(_ value: HotValue) -> String {
    Timestamp(microseconds: value.observedAtMicroseconds).description
  }
}
