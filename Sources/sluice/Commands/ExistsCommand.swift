internal import ArgumentParser
internal import Formats
internal import Wire

// `sluice exists`: whether entities have stored values in a range.

struct ExistsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "exists",
    abstract: "Say which entities have stored values in a range of time.",
    discussion: """
      Values are not read, only looked for, until the first one of each entity is found.

      Examples:
        sluice exists web1 web2 --from -5m
        sluice exists web1 --attribute cpu_percent --from 2014-02-14 --to 2014-02-15 && echo "it was up"

      Exit codes: 0 each of them has values; 1 one or more have none; 64 wrong arguments, or too \
      much to scan; 66 there is no such entity or attribute; 69 no gateway, or none fresh enough.
      """
  )

  @Argument(help: "Keys of entities, or #id.")
  var entities: [String]

  @Option(
    parsing: .singleValue,
    help: ArgumentHelp(
      "Values of this attribute; may be repeated; default: any.",
      valueName: "name"
    )
  )
  var attribute: [String] = []

  @OptionGroup(title: "Range") var time: TimeRangeOptions
  @OptionGroup var cost: CostOptions
  @OptionGroup(title: "Freshness") var level: ReadLevelOptions
  @OptionGroup(title: "Output") var output: OutputOptions
  @OptionGroup(title: "Gateway") var gateway: GatewayOptions

  func run() throws {
    let range = try time.range()
    let command = self
    try GatewaySession.run(gateway, isMonotonic: level.isMonotonic) { session in
      let entities = try await session.entities(command.entities)
      let names = command.attribute
      let attributes = names.isEmpty ? [] : try await session.attributes(names)
      let response = try await session.existsInRange(
        ExistsInRangeRequest(
          entityIDs: entities.map(\.id),
          attributeIDs: attributes.map(\.attributeID),
          startMicroseconds: range.lowerBound,
          endMicroseconds: range.upperBound,
          read: command.level.options,
          allowExpensive: command.cost.allowExpensive
        )
      )
      let printer = ExistsPrinter(
        entities: entities,
        found: Set(response.entityIDs),
        freshness: response.freshness
      )
      try printer.print(command.output.format)
      guard printer.isComplete else { throw CommandFailure.no }
    }
  }
}

/// Prints which entities have values.
private struct ExistsPrinter {
  let entities: [GatewaySession.NamedEntity]
  let found: Set<Int64>
  let freshness: Freshness?

  var isComplete: Bool { entities.allSatisfy { found.contains($0.id) } }

  func print(_ format: OutputFormat) throws {
    switch format {
    case .table:
      var table = Table(["entity", "values"], alignments: [.left, .left], columnWidthMax: 60)
      for entity in entities {
        table.append([entity.key, found.contains(entity.id) ? "yes" : "no"])
      }
      try StandardStream.output.write(table.render() + "\n\(FreshnessText.line(freshness))\n")
    case .json: try StandardStream.output.write(json())
    case .csv:
      var csv = CSVWriter()
      csv.write(["entity", "exists"])
      for entity in entities { csv.write([entity.key, "\(found.contains(entity.id))"]) }
      try StandardStream.output.write(csv.take())
      StandardStream.error.note(FreshnessText.line(freshness) + "\n")
    }
  }

  private func json() -> String {
    var json = JSONWriter(indentation: 2)
    json.beginObject()
    json.key("entities")
    json.beginArray()
    for entity in entities {
      json.beginObject()
      json.key("entity")
      json.value(entity.key)
      json.key("entity_id")
      json.value(entity.id)
      json.key("exists")
      json.value(found.contains(entity.id))
      json.endObject()
    }
    json.endArray()
    json.key("freshness")
    FreshnessText.write(freshness, to: &json)
    json.endObject()
    return json.take()
  }
}
