internal import ArgumentParser
internal import EventLoop
internal import Formats
internal import Wire

// `sluice aggregate`: figures of stored values by time bucket.

struct AggregateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "aggregate",
    abstract: "Show counts, extremes, averages and percentiles of stored values by time bucket.",
    discussion: """
      For attributes of type number or integer. Buckets start at multiples of their width since \
      1970 in UTC; with --zone at those since local midnight. Days, weeks, months, quarters and \
      years are those of the calendar there: a day has 23 or 25 hours when clocks are changed. \
      Starts of buckets are printed in UTC with any --zone; --from and --to are UTC unless a zone \
      is written.

      Examples:
        sluice aggregate web1 cpu_percent --every 1h --from -24h
        sluice aggregate web1 cpu_percent load --every 1d --from 2014-02-14 --to 2014-03-01 --json
        sluice aggregate web1 latency --every 5m --percentiles 50,95,99.9 --stddev
        sluice aggregate web1 energy --every month --zone Europe/Berlin --from 2014-01-01 --fill empty
        sluice aggregate web1 cpu_percent --every 1h --from -7d --fill previous --chart

      Exit codes: 0 done, also when nothing was stored; 64 wrong arguments, or too much to scan; \
      66 there is no such entity or attribute; 69 no gateway, or none fresh enough.
      """
  )

  @OptionGroup var series: SeriesOptions

  @Option(
    help: ArgumentHelp(
      "Width of a bucket, 1ms or more, or day, week, month, quarter or year.",
      valueName: "duration|unit"
    )
  )
  var every = BucketOption.width(.seconds(3_600))

  @Option(help: ArgumentHelp("Time zone of the IANA database; default: UTC.", valueName: "name"))
  var zone = ""

  @Option(
    help: ArgumentHelp("Percentiles, 0 to 100, separated by commas.", valueName: "percent,…"),
    transform: PercentList.init
  )
  var percentiles = PercentList()

  @Flag(help: "Also the standard deviation.")
  var stddev = false

  @Option(help: "Buckets without values: none leaves them out, empty shows them, previous repeats.")
  var fill = FillOption.none

  @Flag(help: "Draw the averages of one attribute.")
  var chart = false

  @OptionGroup(title: "Range") var time: TimeRangeOptions
  @OptionGroup var cost: CostOptions
  @OptionGroup(title: "Freshness") var level: ReadLevelOptions
  @OptionGroup(title: "Output") var output: OutputOptions
  @OptionGroup(title: "Gateway") var gateway: GatewayOptions

  func validate() throws {
    guard !chart || series.entities.count == 1 && series.attributes.count == 1 else {
      throw ValidationError("a chart shows one attribute of one entity; name one of each")
    }
    guard !chart || output.format == .table else {
      throw ValidationError("--chart does not go with --json or --csv")
    }
  }

  func run() throws {
    let range = try time.range()
    let command = self
    try GatewaySession.run(gateway, isMonotonic: level.isMonotonic) { session in
      let entities = try await session.entities(command.series.entities)
      let attributes = try await session.attributes(command.series.attributes)
      let response = try await session.aggregateHistory(
        command.request(range, entities, attributes)
      )
      let printer = try BucketPrinter(
        entities: entities,
        attributes: attributes,
        percents: command.percentiles.percents,
        hasDeviation: command.stddev,
        response: response
      )
      try command.chart ? printer.draw() : printer.print(command.output.format)
    }
  }

  private func request(
    _ range: Range<Int64>,
    _ entities: [GatewaySession.NamedEntity],
    _ attributes: [Attribute]
  ) -> AggregateHistoryRequest {
    var request = AggregateHistoryRequest(
      entityIDs: entities.map(\.id),
      attributeIDs: attributes.map(\.attributeID),
      startMicroseconds: range.lowerBound,
      endMicroseconds: range.upperBound,
      read: level.options,
      timeZone: zone,
      percentiles: percentiles.percents.map { $0 / 100 },
      stddev: stddev,
      fill: fill.onWire,
      allowExpensive: cost.allowExpensive
    )
    switch every {
    case .width(let width): request.bucketWidthMicroseconds = width.wholeMicroseconds
    case .calendar(let unit): request.bucketUnit = unit
    }
    return request
  }
}

/// What `--every` says.
enum BucketOption: ExpressibleByArgument, Equatable, Sendable {
  case width(Duration)
  case calendar(CalendarUnit)

  init?(argument: String) {
    if let unit = CalendarUnit.allCases.first(where: { "\($0)" == argument && $0 != .unspecified })
    {
      self = .calendar(unit)
    } else if let width = try? DurationText.parse(argument), width >= .milliseconds(1) {
      // The parser says what was expected, whatever is wrong with it.
      self = .width(width)
    } else {
      return nil
    }
  }

  var defaultValueDescription: String {
    switch self {
    case .width(.seconds(3_600)): "1h"
    case .width(let width): Quantity.duration(width)
    case .calendar(let unit): "\(unit)"
    }
  }
}

/// What `--fill` says.
enum FillOption: String, ExpressibleByArgument, CaseIterable, Sendable {
  case none
  case empty
  case previous

  var onWire: HistoryFill {
    switch self {
    case .none: .none
    case .empty: .empty
    case .previous: .previous
    }
  }
}

/// Percentiles as people write them: 50,95,99.9.
struct PercentList: Sendable {
  /// From 0 to 100.
  var percents: [Double] = []

  init() {}

  init(_ text: String) throws {
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      guard let percent = Double(part), (0...100).contains(percent) else {
        throw ValidationError("'\(part)' is no percentile from 0 to 100")
      }
      percents.append(percent)
    }
  }
}
