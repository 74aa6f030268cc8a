internal import ArgumentParser
internal import EventLoop
internal import Formats
internal import Wire

// `sluice aggregate`: figures of stored values by time bucket.

struct AggregateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "aggregate",
    abstract: "Show counts, extremes and averages of stored values by time bucket.",
    discussion: """
      For attributes of type number or integer. Buckets without values are left out; they start at \
      multiples of their width since 1970, in UTC.

      Examples:
        sluice aggregate web1 cpu_percent --every 1h --from -24h
        sluice aggregate web1 cpu_percent load --every 1d --from 2014-02-14 --to 2014-03-01 --json

      Exit codes: 0 done, also when nothing was stored; 64 wrong arguments; 66 there is no such \
      entity or attribute; 69 no gateway, or none fresh enough.
      """
  )

  @Argument(help: "The entity's key, or #id.")
  var entity: String

  @Argument(help: "Names of attributes.")
  var attributes: [String]

  @Option(
    help: ArgumentHelp("Width of a bucket, 1ms or more.", valueName: "duration"),
    transform: OptionText.duration
  )
  var every: Duration = .seconds(3_600)

  @OptionGroup(title: "Range") var time: TimeRangeOptions
  @OptionGroup(title: "Freshness") var level: ReadLevelOptions
  @OptionGroup(title: "Output") var output: OutputOptions
  @OptionGroup(title: "Gateway") var gateway: GatewayOptions

  func validate() throws {
    guard every >= .milliseconds(1) else { throw ValidationError("--every is at least 1ms") }
  }

  func run() throws {
    let range = try time.range()
    let command = self
    try GatewaySession.run(gateway) { session in
      let entity = try await session.entity(command.entity)
      let attributes = try await session.attributes(command.attributes)
      let request = AggregateHistoryRequest(
        entityIDs: [entity.id],
        attributeIDs: attributes.map(\.attributeID),
        startMicroseconds: range.lowerBound,
        endMicroseconds: range.upperBound,
        bucketWidthMicroseconds: command.every.wholeMilliseconds * 1_000,
        read: command.level.options
      )
      let response = try await session.aggregateHistory(request)
      let printer = try BucketPrinter(
        entity: entity.key,
        attributes: attributes,
        response: response
      )
      try printer.print(command.output.format)
    }
  }
}

/// Prints time buckets.
private struct BucketPrinter {
  private static let figures = ["count", "min", "average", "max", "sum", "first", "last"]

  let entity: String
  let names: [UInt32: String]
  let response: AggregateHistoryResponse

  init(entity: String, attributes: [Attribute], response: AggregateHistoryResponse) throws {
    let count = response.bucketStartsMicroseconds.count
    let columns = [
      response.attributeIDs.count, response.counts.count, response.minima.count,
      response.maxima.count, response.averages.count, response.sums.count, response.firsts.count,
      response.lasts.count,
    ]
    guard columns.allSatisfy({ $0 == count }) else {
      throw CommandFailure("the gateway's answer has columns of different lengths", .internal)
    }
    self.entity = entity
    self.response = response
    names = Dictionary(attributes.map { ($0.attributeID, $0.name) }, uniquingKeysWith: { $1 })
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

  private func name(_ index: Int) -> String { names[response.attributeIDs[index]] ?? "?" }

  private func time(_ index: Int) -> String {
    Timestamp(microseconds: response.bucketStartsMicroseconds[index]).description
  }

  /// The doubles of a bucket in the order of `figures`, the count apart.
  private func values(_ index: Int) -> [Double] {
    [
      response.minima[index], response.averages[index], response.maxima[index],
      response.sums[index], response.firsts[index], response.lasts[index],
    ]
  }

  private func table() -> String {
    let indices = response.bucketStartsMicroseconds.indices
    guard !indices.isEmpty else {
      return "no values in this range; choose another one with --from and --to\n"
        + "\(FreshnessText.line(response.freshness))\n"
    }
    let hasNames = names.count > 1
    let titles = ["from"] + (hasNames ? ["attribute"] : []) + Self.figures
    var table = Table(
      titles,
      alignments: titles.map { Self.figures.contains($0) ? .right : .left }
    )
    for index in indices {
      let figures = values(index).map(Self.cell)
      table.append(
        [time(index)] + (hasNames ? [name(index)] : []) + ["\(response.counts[index])"] + figures
      )
    }
    return table.render()
      + "\n\(Quantity.grouped(indices.count)) buckets; \(FreshnessText.line(response.freshness))\n"
  }

  /// With the three digits after the point that a table has room for, where they say enough.
  private static func cell(_ number: Double) -> String {
    let isPlain = number == 0 || (abs(number) >= 0.1 && abs(number) < 1e12)
    return isPlain
      ? Quantity.decimal(number, digits: 3, keepsZeros: true) : ValueText.cell(number)
  }

  private func json() -> String {
    var json = JSONWriter()
    json.beginObject()
    json.key("entity")
    json.value(entity)
    json.key("buckets")
    json.beginArray()
    for index in response.bucketStartsMicroseconds.indices {
      json.beginObject()
      json.key("from")
      json.value(time(index))
      json.key("attribute")
      json.value(name(index))
      json.key("count")
      json.value(response.counts[index])
      for (title, value) in zip(Self.figures.dropFirst(), values(index)) {
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
    csv.write(["from", "entity", "attribute"] + Self.figures)
    for index in response.bucketStartsMicroseconds.indices {
      let figures = values(index).map { JSONWriter.text(of: $0) }
      csv.write([time(index), entity, name(index), "\(response.counts[index])"] + figures)
    }
    return csv.take()
  }
}
