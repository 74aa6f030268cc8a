internal import Formats
internal import Wire

// Prints figures by time bucket: as a table, JSON, CSV or a chart.

/// Prints the answer of `sluice aggregate`.
struct BucketPrinter {
  private let keys: [Int64: String]
  private let names: [UInt32: String]
  private let integers: Set<UInt32>
  private let figures: [String]
  private let percentCount: Int
  private let response: AggregateHistoryResponse

  /// - Throws: when the answer is not what was asked for.
  init(
    entities: [GatewaySession.NamedEntity],
    attributes: [Attribute],
    percents: [Double],
    hasDeviation: Bool,
    response: AggregateHistoryResponse
  ) throws {
    let count = response.bucketStartsMicroseconds.count
    let columns = [
      response.entityIDs.count, response.attributeIDs.count, response.counts.count,
      response.minima.count, response.maxima.count, response.averages.count, response.sums.count,
      response.firsts.count, response.lasts.count,
    ]
    let exact = [
      response.integerMinima.count, response.integerMaxima.count, response.integerFirsts.count,
      response.integerLasts.count,
    ]
    let integers = attributes.filter { $0.valueType == .integer }.map(\.attributeID)
    guard columns.allSatisfy({ $0 == count }),
      integers.isEmpty || exact.allSatisfy({ $0 == count }),
      response.stddevs.count == (hasDeviation ? count : 0),
      response.percentiles.count == count * percents.count
    else {
      throw CommandFailure("the gateway's answer has columns of different lengths", .internal)
    }
    keys = Dictionary(entities.map { ($0.id, $0.key) }, uniquingKeysWith: { $1 })
    names = Dictionary(attributes.map { ($0.attributeID, $0.name) }, uniquingKeysWith: { $1 })
    self.integers = Set(integers)
    figures =
      ["count", "min", "average", "max", "sum", "first", "last"] + (hasDeviation ? ["stddev"] : [])
      + percents.map { "p" + ValueText.cell($0) }
    percentCount = percents.count
    self.response = response
  }

  func print(_ format: OutputFormat) throws {
    switch format {
    case .table: try StandardStream.output.write(table())
    case .json: try StandardStream.output.write(json())
    case .csv:
      try StandardStream.output.write(csv())
      StandardStream.error.note(FreshnessText.line(response.freshness) + "\n")
    }
  }

  /// Draws the averages of the one series there is.
  func draw() throws {
    let samples = indices.map {
      ChartSample(
        time: Timestamp(microseconds: response.bucketStartsMicroseconds[$0]),
        value: response.averages[$0]
      )
    }
    guard samples.contains(where: \.value.isFinite) else { return try print(.table) }
    let title = "\(keys.values.first ?? "")  average of \(names.values.first ?? "")"
    try StandardStream.output.write(
      ChartText.render(samples, title: title)
        + "\n\(Quantity.count(samples.count, "bucket")); \(freshness)\n"
    )
  }

  // MARK: Rows

  private var indices: Range<Int> { response.bucketStartsMicroseconds.indices }

  private var freshness: String { FreshnessText.line(response.freshness) }

  private func entity(_ index: Int) -> String { keys[response.entityIDs[index]] ?? "?" }

  private func name(_ index: Int) -> String { names[response.attributeIDs[index]] ?? "?" }

  private func time(_ index: Int) -> String {
    Timestamp(microseconds: response.bucketStartsMicroseconds[index]).description
  }

  /// What is known of a bucket in the order of `figures`, the count apart.
  private func values(_ index: Int) -> [PointValue] {
    let isInteger = integers.contains(response.attributeIDs[index])
    func figure(_ numbers: [Double], _ exact: [Int64]) -> PointValue {
      isInteger && !numbers[index].isNaN ? .integer(exact[index]) : .number(numbers[index])
    }
    let first = index * percentCount
    let others =
      response.stddevs.dropFirst(index).prefix(1)
      + response.percentiles[first..<first + percentCount]
    return [
      figure(response.minima, response.integerMinima), .number(response.averages[index]),
      figure(response.maxima, response.integerMaxima), .number(response.sums[index]),
      figure(response.firsts, response.integerFirsts),
      figure(response.lasts, response.integerLasts),
    ] + others.map { .number($0) }
  }

  // MARK: Forms

  private func table() -> String {
    guard !indices.isEmpty else {
      return "no values in this range; choose another one with --from and --to\n\(freshness)\n"
    }
    let (hasKeys, hasNames) = (keys.count > 1, names.count > 1)
    let titles =
      ["from"] + (hasKeys ? ["entity"] : []) + (hasNames ? ["attribute"] : []) + figures
    var table = Table(
      titles,
      alignments: titles.map { figures.contains($0) ? .right : .left }
    )
    for index in indices {
      let isEmpty = response.counts[index] == 0
      let cells = values(index).map { Self.cell($0, isEmpty: isEmpty) }
      table.append(
        [time(index)] + (hasKeys ? [entity(index)] : []) + (hasNames ? [name(index)] : [])
          + ["\(response.counts[index])"] + cells
      )
    }
    return table.render() + "\n\(Quantity.count(indices.count, "bucket")); \(freshness)\n"
  }

  /// With the three digits after the point that a table has room for, where they say enough.
  private static func cell(_ value: PointValue, isEmpty: Bool) -> String {
    guard case .number(let number) = value else { return ValueText.cell(value) }
    guard !isEmpty || !number.isNaN else { return "" }
    let isPlain = number == 0 || (abs(number) >= 0.1 && abs(number) < 1e12)
    return isPlain
      ? Quantity.decimal(number, digits: 3, keepsZeros: true) : ValueText.cell(number)
  }

  private func json() -> String {
    var json = JSONWriter()
    json.beginObject()
    json.key("buckets")
    json.beginArray()
    for index in indices {
      json.beginObject()
      json.key("from")
      json.value(time(index))
      json.key("entity")
      json.value(entity(index))
      json.key("attribute")
      json.value(name(index))
      json.key("count")
      json.value(response.counts[index])
      for (title, value) in zip(figures.dropFirst(), values(index)) {
        json.key(title)
        json.value(value)
      }
      json.endObject()
    }
    json.endArray()
    json.key("freshness")
    FreshnessText.write(response.freshness, to: &json)
    json.endObject()
    return json.take()
  }

  private func csv() -> String {
    var csv = CSVWriter()
    csv.write(["from", "entity", "attribute"] + figures)
    for index in indices {
      let cells = values(index).map { $0.description }
      csv.write([time(index), entity(index), name(index), "\(response.counts[index])"] + cells)
    }
    return csv.take()
  }
}
