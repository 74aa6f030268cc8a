internal import ArgumentParser
internal import Formats
internal import Wire

// `sluice set`: writes values of an entity and waits until they are durable.

struct UpsertCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "set",
    abstract: "Write values of an entity, and wait until they are durable.",
    discussion: """
      All values are written in one transaction, or none. An entity and attributes that do not exist \
      are created: attributes as hot ones, of the type the value looks like (number, flag or label), \
      or of --type. Without --at the values become the newest ones; with it, newer ones stay.

      Examples:
        sluice set web1 site=berlin cpu.limit=0.8
        sluice set '#17' maintenance=true --json | jq .version
        sluice set web1 tags='["a", "b"]' --type tags=document
        sluice set web1 --unset maintenance

      Exit codes: 0 done; 64 wrong arguments, or the gateway refused a value; 65 an attribute has \
      another type; 66 there is no such entity id; 69 no gateway, or it is not known whether the \
      values were written.
      """
  )

  @Argument(help: "The entity's key, or #id.")
  var entity: String

  @Argument(help: ArgumentHelp("Values to write.", valueName: "attribute=value"))
  var values: [String] = []

  @Option(
    parsing: .singleValue,
    help: ArgumentHelp(
      "Take an attribute out of the newest values; its history stays.",
      valueName: "attribute"
    )
  )
  var unset: [String] = []

  @Option(
    parsing: .singleValue,
    help: ArgumentHelp(
      "The type of a new attribute: number, integer, flag, label or document.",
      valueName: "attribute=type"
    )
  )
  var type: [String] = []

  // Unconditional, because "-5m" would be taken for an option.
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "When the values were observed: 2014-02-14T14:30:00Z, -5m.",
      valueName: "time"
    )
  )
  var at: String?

  @OptionGroup(title: "Output") var output: OutputOptions
  @OptionGroup(title: "Gateway") var gateway: GatewayOptions

  func validate() throws {
    guard !values.isEmpty || !unset.isEmpty else {
      throw ValidationError("say what to write: attribute=value, or --unset attribute")
    }
    _ = try assignments()
  }

  func run() throws {
    let assignments = try assignments()
    let observedAt = try at.map {
      try TimeRangeOptions.time($0, "--at", Environment.now).microseconds
    }
    let (entity, format) = (entity, output.format)
    try GatewaySession.run(gateway) { session in
      var request = UpsertEntityRequest(
        by: GatewaySession.entityKey(entity),
        observedAtMicroseconds: observedAt
      )
      var found: [Attribute?] = []
      for assignment in assignments {
        let mustExist = assignment.newType == nil
        found.append(try await session.attribute(assignment.name, mustExist: mustExist))
      }
      let (values, missing) = try Assignment.read(assignments, found: found)
      var made = try await session.makeAttributes(missing)[...]
      let attributes = found.compactMap { $0 ?? made.popFirst() }
      request.values = zip(attributes, values).map {
        AttributeValue(attributeID: $0.attributeID, value: $1)
      }
      let response = try await session.upsertEntity(request)
      let printer = UpsertPrinter(
        entity: entity,
        request: request,
        attributes: attributes,
        response: response
      )
      try printer.print(format)
    }
  }

  /// What is to be written, as the user put it.
  private func assignments() throws -> [Assignment] {
    var types: [String: PointType] = [:]
    for (name, text) in try type.map({ try Self.pair($0, "--type") }) {
      guard let type = PointType(name: text) else {
        throw ValidationError("--type \(name): '\(text)' is not a type")
      }
      types[name] = type
    }
    var assignments = try values.map { try Self.pair($0, "a value") }.map { name, text in
      Assignment(name: name, text: text, newType: types[name] ?? PointType(looksOf: text))
    }
    assignments += unset.map { Assignment(name: $0, text: nil, newType: nil) }
    var seen: Set<String> = []
    for assignment in assignments where !seen.insert(assignment.name).inserted {
      throw ValidationError("'\(assignment.name)' is there twice")
    }
    return assignments
  }

  /// The two sides of the first equals sign: values may have more of them.
  private static func pair(_ text: String, _ what: String) throws -> (String, String) {
    guard let equals = text.firstIndex(of: "="), equals > text.startIndex else {
      throw ValidationError("\(what): '\(text)' is not attribute=value")
    }
    return (String(text[..<equals]), String(text[text.index(after: equals)...]))
  }
}

/// Prints what was written.
private struct UpsertPrinter {
  let entity: String
  let request: UpsertEntityRequest
  /// The attributes of the values, in their order.
  let attributes: [Attribute]
  let response: UpsertEntityResponse

  func print(_ format: OutputFormat) throws {
    switch format {
    case .table: try StandardStream.output.write(table())
    case .json: try StandardStream.output.write(json())
    case .csv: try StandardStream.output.write(csv())
    }
  }

  private var rows: [(attribute: Attribute, value: PointValue?, time: String)] {
    zip(attributes, zip(request.values, response.observedAtMicroseconds)).map { attribute, pair in
      let time = Timestamp(microseconds: pair.1).description
      return (attribute, pair.0.value.map { PointValue($0) }, time)
    }
  }

  private func table() -> String {
    var table = Table(
      ["attribute", "value", "observed at"],
      alignments: [.left, .right],
      columnWidthMax: 60
    )
    for row in rows {
      table.append([row.attribute.name, row.value.map { ValueText.cell($0) } ?? "-", row.time])
    }
    let cold = attributes.contains { !$0.isHot }
    let title = ValueText.title(entity, id: response.entityID)
    return table.render() + "\n\(title), version \(response.version)"
      + ", token \(Hexadecimal.text(response.token))\n"
      + (cold ? "attributes that are not hot went to history only\n" : "")
  }

  private func json() -> String {
    var json = JSONWriter(indentation: 2)
    json.beginObject()
    json.key("entity")
    json.value(entity)
    json.key("entity_id")
    json.value(response.entityID)
    json.key("version")
    json.value(response.version)
    json.key("token")
    json.value(Hexadecimal.text(response.token))
    json.key("values")
    json.beginArray()
    for row in rows {
      json.beginObject()
      json.key("attribute")
      json.value(row.attribute.name)
      json.key("value")
      if let value = row.value { json.value(value) } else { json.null() }
      json.key("hot")
      json.value(row.attribute.isHot)
      json.key("observed_at")
      json.value(row.time)
      json.endObject()
    }
    json.endArray()
    json.endObject()
    return json.take()
  }

  private func csv() -> String {
    var csv = CSVWriter()
    csv.write(["entity", "attribute", "time", "value"])
    for row in rows {
      csv.write([entity, row.attribute.name, row.time, row.value?.description ?? ""])
    }
    return csv.take()
  }
}
