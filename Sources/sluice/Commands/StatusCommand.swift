internal import ArgumentParser
internal import Formats
internal import Wire

// `sluice status`: what a gateway is and has counted.

struct StatusCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status",
    abstract: "Show what the gateway is doing and has counted.",
    discussion: """
      The first table shows the servers that answer reads: the state of their circuit breaker, the \
      log position up to which everything is proven to be visible there, how old that is at most, \
      and what they did. The cache has a line there, too; its hit rate, the reasons of its misses, \
      its epochs and what it was told stand among the figures (cache.…). CSV has the figures only.

      Examples:
        sluice status
        sluice status --gateway 10.0.0.5:7171 --json

      Exit codes: 0 it serves; 69 no gateway answers, or it is about to stop.
      """
  )

  @OptionGroup(title: "Output") var output: OutputOptions
  @OptionGroup(title: "Gateway") var gateway: GatewayOptions

  func run() throws {
    let format = output.format
    try GatewaySession.run(gateway) { session in
      let status = try await session.status()
      switch format {
      case .table: try StandardStream.output.write(Self.table(status))
      case .json: try StandardStream.output.write(Self.json(status))
      case .csv: try StandardStream.output.write(Self.csv(status))
      }
      guard status.state == "SERVING" else {
        throw CommandFailure("the gateway is \(status.state.lowercased())", .unavailable)
      }
    }
  }

  private static func table(_ status: GetStatusResponse) -> String {
    let uptime = Quantity.duration(.milliseconds(status.uptimeMilliseconds))
    var table = Table(["figure", "value", "meaning"], alignments: [.left, .right, .left])
    for figure in status.figures {
      table.append([figure.name, cell(figure), figure.description])
    }
    let trouble = status.trouble.isEmpty ? "" : "trying again: \(status.trouble)\n"
    return "sluice \(status.version), \(status.state.lowercased()) for \(uptime)\n\(trouble)\n"
      + NodeText.table(status.nodes) + "\n" + table.render()
  }

  private static func cell(_ figure: Figure) -> String {
    guard let whole = Int64(exactly: figure.value) else {
      let unit = figure.unit == "1" ? "" : " \(figure.unit)"
      return ValueText.cell(figure.value) + unit
    }
    if figure.unit == "By" { return Quantity.bytes(whole) }
    return Quantity.grouped(whole) + (figure.unit == "1" ? "" : " \(figure.unit)")
  }

  private static func json(_ status: GetStatusResponse) -> String {
    var json = JSONWriter(indentation: 2)
    json.beginObject()
    json.key("version")
    json.value(status.version)
    json.key("state")
    json.value(status.state)
    json.key("trouble")
    json.value(status.trouble)
    json.key("uptime_ms")
    json.value(status.uptimeMilliseconds)
    json.key("nodes")
    json.beginArray()
    for node in status.nodes { NodeText.write(node, to: &json) }
    json.endArray()
    json.key("figures")
    json.beginArray()
    for figure in status.figures {
      json.beginObject()
      json.key("name")
      json.value(figure.name)
      json.key("value")
      json.value(figure.value)
      json.key("unit")
      json.value(figure.unit)
      json.key("description")
      json.value(figure.description)
      json.endObject()
    }
    json.endArray()
    json.endObject()
    return json.take()
  }

  private static func csv(_ status: GetStatusResponse) -> String {
    var csv = CSVWriter()
    csv.write(["name", "value", "unit", "description"])
    for figure in status.figures {
      csv.write([
        figure.name, JSONWriter.text(of: figure.value), figure.unit, figure.description,
      ])
    }
    return csv.take()
  }
}
