internal import ArgumentParser
internal import Formats
internal import Wire

// `sluice history`: stored values as they were written.

struct HistoryCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "history",
    abstract: "Show stored values of entities, one by one.",
    discussion: """
      Times are those at which values were observed. One numeric attribute is drawn as a chart when \
      the output is a terminal; --no-chart shows its values. What --csv prints, 'sluice import' \
      reads back.

      Examples:
        sluice history web1 cpu_percent --from -2h
        sluice history web1 cpu_percent load --from 2014-02-14 --to 2014-02-15 --csv
        sluice history web1 cpu_percent --entity web2 --entity web3 --from -5m
        sluice history web1 cpu_percent --from now-7d --order desc --limit 10 --no-chart

      Exit codes: 0 done, also when nothing was stored; 64 wrong arguments; 66 there is no such \
      entity or attribute; 69 no gateway, or none fresh enough.
      """
  )

  @OptionGroup var series: SeriesOptions
  @OptionGroup(title: "Range") var time: TimeRangeOptions

  @Option(
    help: ArgumentHelp(
      "Show at most so many values (default: 1000 in a table, else all).",
      valueName: "n"
    ),
    transform: OptionText.positive
  )
  var limit: Int?

  @Option(help: ArgumentHelp("asc: oldest first; desc: newest first.", valueName: "asc|desc"))
  var order = RowOrder.asc

  @Flag(inversion: .prefixedNo, help: "Draw the values of one numeric attribute.")
  var chart: Bool?

  @OptionGroup var cost: CostOptions
  @OptionGroup(title: "Freshness") var level: ReadLevelOptions
  @OptionGroup(title: "Output") var output: OutputOptions
  @OptionGroup(title: "Gateway") var gateway: GatewayOptions

  func validate() throws {
    guard chart != true || isOneSeries else {
      throw ValidationError(
        "a chart shows one attribute of one entity; name one of each, or leave --chart out"
      )
    }
    guard chart != true || output.format == .table else {
      throw ValidationError("--chart does not go with --json or --csv")
    }
  }

  func run() throws {
    let range = try time.range()
    let command = self
    try GatewaySession.run(gateway, isMonotonic: level.isMonotonic) { session in
      let entities = try await session.entities(command.series.entities)
      let attributes = try await session.attributes(command.series.attributes)
      let isChart = try command.drawsChart(attributes)
      let limit =
        command.limit ?? (isChart ? 200_000 : command.output.format == .table ? 1_000 : .max)
      var printer = HistoryPrinter(
        entities: entities,
        attributes: attributes,
        form: isChart ? .chart : .rows(command.output.format)
      )
      var request = QueryHistoryRequest(
        entityIDs: entities.map(\.id),
        attributeIDs: attributes.map(\.attributeID),
        startMicroseconds: range.lowerBound,
        endMicroseconds: range.upperBound,
        order: command.order == .asc ? .ascending : .descending,
        read: command.level.options,
        allowExpensive: command.cost.allowExpensive
      )
      var remaining = limit
      var freshness: Freshness?
      try printer.begin()
      repeat {
        request.pageSize = Int32(min(remaining, 10_000))
        let page = try await session.queryHistory(request)
        freshness = FreshnessText.older(freshness, page.freshness)
        let rows = HistoryRow.rows(of: page.columns, newestFirst: command.order == .desc)
        try printer.add(rows.prefix(remaining))
        remaining -= min(rows.count, remaining)
        request.pageToken = page.nextPageToken
      } while !request.pageToken.isEmpty && remaining > 0
      try printer.end(range, isCut: !request.pageToken.isEmpty, freshness)
    }
  }

  private var isOneSeries: Bool { series.entities.count == 1 && series.attributes.count == 1 }

  private func drawsChart(_ attributes: [Attribute]) throws -> Bool {
    let isNumeric =
      isOneSeries && [.number, .integer].contains(attributes[0].valueType)
    guard isNumeric || chart != true else {
      throw CommandFailure(
        "'\(attributes[0].name)' is a \(attributes[0].valueType.name) and cannot be drawn;"
          + " leave --chart out",
        .usage
      )
    }
    let isWanted = chart ?? (StandardStream.output.isTerminal && limit == nil)
    return isNumeric && output.format == .table && isWanted
  }
}

/// The order of rows by time.
enum RowOrder: String, ExpressibleByArgument, CaseIterable, Sendable {
  case asc
  case desc
}
