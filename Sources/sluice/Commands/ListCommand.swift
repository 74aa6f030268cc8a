internal import ArgumentParser
internal import Formats
internal import Wire

// `sluice list`: entities that meet a condition on their newest values.

struct ListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list",
    abstract: "List entities by key or by a newest value, those that meet a condition.",
    discussion: """
      A condition compares hot attributes: = != < <= > >=, 'starts with', 'exists', put together by \
      and, or, not and parentheses. Texts stand in quotes, names with unusual characters in \
      backquotes. A comparison is false of an entity that has no such value.

      Examples:
        sluice list --where 'site = "berlin" and temperature > 20' --order-by temperature --descending
        sluice list --prefix host. --where 'not (maintenance = true or version starts with "1.")'
        sluice list --where '`disk free` < 1e9' --show model --limit 10 --json

      A condition that no index serves reads the newest values of all entities.

      Exit codes: 0 done; 64 the condition cannot be read; 66 there is no such attribute; 69 no \
      gateway, or none fresh enough.
      """
  )

  @Option(help: ArgumentHelp("Only keys that start with this.", valueName: "text"))
  var prefix = ""

  @Option(name: .customLong("where"), help: ArgumentHelp("The condition.", valueName: "condition"))
  var condition: String?

  @Option(help: ArgumentHelp("Order by this attribute.", valueName: "attribute"))
  var orderBy: String?

  @Flag(help: "Largest first.")
  var descending = false

  @Option(
    parsing: .singleValue,
    help: ArgumentHelp("Show this attribute, too.", valueName: "attribute")
  )
  var show: [String] = []

  @Option(help: ArgumentHelp("At most so many entities.", valueName: "count"))
  var limit: Int?

  @OptionGroup(title: "Freshness") var level: ReadLevelOptions
  @OptionGroup(title: "Output") var output: OutputOptions
  @OptionGroup(title: "Gateway") var gateway: GatewayOptions

  func validate() throws {
    guard limit.map({ $0 > 0 }) ?? true else { throw ValidationError("--limit must be positive") }
    _ = try parsed()
  }

  func run() throws {
    let command = self
    let condition = try parsed()
    try GatewaySession.run(gateway, isMonotonic: level.isMonotonic) { session in
      let names = command.names(condition)
      let found = names.isEmpty ? [] : try await session.attributes(names)
      let attributes = Dictionary(zip(names, found)) { first, _ in first }
      let filter = try condition.map { try ListFilter.steps($0, attributes) }
      let order = command.orderBy.flatMap { attributes[$0]?.attributeID } ?? 0
      var request = ListEntitiesRequest(
        externalKeyPrefix: command.prefix,
        read: command.level.options,
        filter: filter.map { EntityFilter(steps: $0) },
        orderByAttributeID: order,
        isDescending: command.descending
      )
      var printer = ListPrinter(
        command.output.format,
        ["entity", "id"] + names,
        "entities",
        singular: "entity"
      )
      var left = command.limit ?? .max
      var freshness: Freshness?
      repeat {
        request.pageSize = Int32(clamping: min(left, 1_000))
        let page = try await session.listEntities(request)
        freshness = FreshnessText.older(freshness, page.freshness)
        for entity in page.entities {
          printer.add(ListRow.cells(entity, found)) { ListRow.write(entity, to: &$0) }
        }
        try printer.flush()
        left -= page.entities.count
        request.pageToken = page.nextPageToken
      } while !request.pageToken.isEmpty && left > 0
      try printer.end(freshness: .some(freshness))
    }
  }

  private func parsed() throws -> WhereText? {
    guard let condition else { return nil }
    do throws(WhereError) {
      return try WhereText(condition)
    } catch {
      throw ValidationError("--where: \(error)")
    }
  }

  /// Every attribute that matters, each once.
  private func names(_ condition: WhereText?) -> [String] {
    var names: [String] = []
    for name in (condition?.names ?? []) + (orderBy.map { [$0] } ?? []) + show
    where !names.contains(name) {
      names.append(name)
    }
    return names
  }
}

/// A condition for the gateway.
enum ListFilter {
  /// The steps with ids for names, and values of the attributes' types for texts.
  ///
  /// - Throws: `CommandFailure` when a text is no value of its attribute's type.
  static func steps(
    _ condition: WhereText,
    _ attributes: [String: Attribute]
  ) throws(CommandFailure) -> [FilterStep] {
    var steps: [FilterStep] = []
    for step in condition.steps {
      switch step {
      case .all(let count): steps.append(.all(UInt32(count)))
      case .any(let count): steps.append(.any(UInt32(count)))
      case .not: steps.append(.not)
      case .comparison(let name, let relation, let literal):
        guard let attribute = attributes[name] else {
          throw CommandFailure("there is no attribute '\(name)'", .notFound)
        }
        var comparison = Comparison(
          attributeID: attribute.attributeID,
          relation: Relation(relation)
        )
        if let literal { comparison.value = try value(literal, name, attribute.valueType) }
        steps.append(.comparison(comparison))
      }
    }
    return steps
  }

  private static func value(
    _ literal: String,
    _ name: String,
    _ type: ValueType
  ) throws(CommandFailure) -> Value {
    guard let type = PointType(type) else {
      throw CommandFailure("'\(name)' has a type this program does not know", .data)
    }
    do throws(PointValueError) {
      return Value(try PointValue(parsing: literal, as: type))
    } catch {
      throw CommandFailure("'\(literal)' cannot be compared with '\(name)': \(error)", .usage)
    }
  }
}

extension Relation {
  fileprivate init(_ relation: WhereText.Relation) {
    switch relation {
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

/// One entity of a list.
enum ListRow {
  /// Key, id and the values of some attributes.
  static func cells(_ entity: Entity, _ attributes: [Attribute]) -> [String] {
    [entity.externalKey, "\(entity.entityID)"]
      + attributes.map { attribute in
        let newest = entity.values.first { $0.attributeID == attribute.attributeID }
        return newest?.value.map { ValueText.cell(PointValue($0)) } ?? ""
      }
  }

  /// Everything there is of an entity.
  static func write(_ entity: Entity, to json: inout JSONWriter) {
    json.beginObject()
    json.key("entity")
    json.value(entity.externalKey)
    json.key("entity_id")
    json.value(entity.entityID)
    json.key("version")
    json.value(entity.version)
    json.key("values")
    json.beginArray()
    for value in entity.values {
      json.beginObject()
      json.key("attribute")
      json.value(value.name)
      json.key("value")
      if let value = value.value { json.value(PointValue(value)) } else { json.null() }
      json.key("observed_at")
      json.value(Timestamp(microseconds: value.observedAtMicroseconds).description)
      json.endObject()
    }
    json.endArray()
    json.endObject()
  }
}
