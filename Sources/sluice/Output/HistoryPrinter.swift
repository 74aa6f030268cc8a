internal import Formats
internal import Wire

// Prints stored values page by page, so that a long history is not held in memory.

/// Prints the answer of `sluice history`.
struct HistoryPrinter {
  /// What becomes of the values.
  enum Form {
    case rows(OutputFormat)
    case chart
  }

  private let entities: [GatewaySession.NamedEntity]
  private let keys: [Int64: String]
  private let attributes: [Attribute]
  private let byID: [UInt32: Attribute]
  private let form: Form
  private var count = 0
  private var json = JSONWriter()
  private var csv = CSVWriter()
  private var table: Table
  private var samples: [ChartSample] = []

  init(entities: [GatewaySession.NamedEntity], attributes: [Attribute], form: Form) {
    self.entities = entities
    keys = Dictionary(entities.map { ($0.id, $0.key) }, uniquingKeysWith: { $1 })
    self.attributes = attributes
    self.form = form
    byID = Dictionary(attributes.map { ($0.attributeID, $0) }, uniquingKeysWith: { $1 })
    let titles =
      ["observed at"] + (entities.count > 1 ? ["entity"] : [])
      + (attributes.count > 1 ? ["attribute"] : [])
    table = Table(
      titles + ["value", "unit"],
      alignments: titles.map { _ in .left } + [.right],
      columnWidthMax: 60
    )
  }

  /// Prints what stands before the values.
  mutating func begin() throws {
    switch form {
    case .chart, .rows(.table): return
    case .rows(.csv): csv.write(["time", "entity", "attribute", "value", "type"])
    case .rows(.json):
      json.beginObject()
      json.key("entities")
      json.beginArray()
      for entity in entities {
        json.beginObject()
        json.key("entity")
        json.value(entity.key)
        json.key("entity_id")
        json.value(entity.id)
        json.endObject()
      }
      json.endArray()
      json.key("attributes")
      json.beginArray()
      for attribute in attributes { CatalogText.write(attribute, to: &json) }
      json.endArray()
      json.key("values")
      json.beginArray()
    }
  }

  /// Takes the next values and prints them where that is possible already.
  mutating func add(_ rows: some Sequence<HistoryRow>) throws {
    for row in rows {
      count += 1
      let attribute = byID[row.attributeID] ?? Attribute(attributeID: row.attributeID)
      let entity = keys[row.entityID] ?? "#\(row.entityID)"
      switch form {
      case .chart:
        if let value = row.value.chartValue {
          samples.append(ChartSample(time: row.time, value: value))
        }
      case .rows(.table):
        let names =
          (entities.count > 1 ? [entity] : []) + (attributes.count > 1 ? [attribute.name] : [])
        table.append([row.time.description] + names + [ValueText.cell(row.value), attribute.unit])
      case .rows(.csv):
        csv.write([
          row.time.description, entity, attribute.name, row.value.description,
          attribute.valueType.name,
        ])
      case .rows(.json):
        json.beginObject()
        json.key("time")
        json.value(row.time.description)
        json.key("entity")
        json.value(entity)
        json.key("attribute")
        json.value(attribute.name)
        json.key("value")
        json.value(row.value)
        json.endObject()
      }
    }
    try flush()
  }

  /// Prints what is left, and how fresh it is.
  mutating func end(_ range: Range<Int64>, isCut: Bool, _ freshness: Freshness?) throws {
    switch form {
    case .rows(.json):
      json.endArray()
      json.key("is_cut")
      json.value(isCut)
      json.key("freshness")
      FreshnessText.write(freshness, to: &json)
      json.endObject()
      try flush()
    case .rows(.csv):
      try flush()
      StandardStream.error.note(FreshnessText.line(freshness) + "\n")
    case .rows(.table):
      let body = count == 0 ? "" : table.render() + "\n"
      try StandardStream.output.write(body + footer(range, isCut: isCut, freshness))
    case .chart:
      try StandardStream.output.write(drawn() + footer(range, isCut: isCut, freshness))
    }
  }

  private mutating func flush() throws {
    let text = json.take() + csv.take()
    if !text.isEmpty { try StandardStream.output.write(text) }
  }

  private func footer(_ range: Range<Int64>, isCut: Bool, _ freshness: Freshness?) -> String {
    guard count > 0 else {
      let start = Timestamp(microseconds: range.lowerBound)
      let end = Timestamp(microseconds: range.upperBound)
      return "no values from \(start) to \(end); choose another range with --from and --to\n"
        + "\(FreshnessText.line(freshness))\n"
    }
    let cut = isCut ? ", and there are more: raise --limit" : ""
    return "\(Quantity.count(count, "value"))\(cut); \(FreshnessText.line(freshness))\n"
  }

  private func drawn() -> String {
    guard let attribute = attributes.first, let entity = entities.first?.key, !samples.isEmpty
    else {
      return ""
    }
    let unit = attribute.unit.isEmpty ? "" : " (\(attribute.unit))"
    let values = samples.map(\.value).filter(\.isFinite)
    let chart = ChartText.render(samples, title: "\(entity)  \(attribute.name)\(unit)")
    guard let low = values.min(), let high = values.max() else { return chart }
    let average = values.reduce(0, +) / Double(values.count)
    let others = samples.count - values.count
    return chart
      + "\nlowest \(ValueText.cell(low)), average \(ValueText.cell(average)),"
      + " highest \(ValueText.cell(high))"
      + (others > 0 ? "; \(Quantity.count(others, "value")) NaN or infinite, not drawn\n" : "\n")
  }
}

/// Charts as wide as the terminal.
enum ChartText {
  /// A title, which may have names out of data, and the chart below it.
  static func render(_ samples: [ChartSample], title: String) -> String {
    let chart = Chart(
      width: min(StandardStream.output.width, 120),
      height: 12,
      style: StandardStream.isAscii ? .ascii : .braille
    )
    return DisplayWidth.visible(title) + "\n\n" + chart.render(samples)
  }
}
