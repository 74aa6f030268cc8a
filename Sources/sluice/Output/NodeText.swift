internal import Formats
internal import Wire

// The servers that answer reads, for people and for programs.

/// Prints `Node`.
enum NodeText {
  /// Takes a node out or back and shows it.
  static func set(
    _ name: String,
    isDrained: Bool,
    _ gateway: GatewayOptions,
    _ format: OutputFormat
  ) throws {
    try GatewaySession.run(gateway) { session in
      let node = try await session.setNodeDrained(name, isDrained: isDrained)
      switch format {
      case .table: try StandardStream.output.write(table([node]))
      case .json:
        var json = JSONWriter(indentation: 2)
        write(node, to: &json)
        try StandardStream.output.write(json.take())
      case .csv: try StandardStream.output.write(csv([node]))
      }
    }
  }

  /// A line for each node.
  static func table(_ nodes: [Node]) -> String {
    var table = Table(
      [
        "node", "state", "proven", "at most", "reads", "in flight", "reroutes", "conflicts",
        "failures", "fallbacks",
      ],
      alignments: [.left, .left, .left] + Array(repeating: .right, count: 7)
    )
    for node in nodes {
      table.append(
        [
          node.name, state(node), proven(node), age(node),
        ] + counters(node).map { Quantity.grouped(Int64(clamping: $0.value)) }
      )
    }
    let troubles = nodes.filter { !$0.trouble.isEmpty }.map { "\($0.name): \($0.trouble)\n" }
    return table.render() + troubles.joined()
  }

  /// One object of JSON.
  static func write(_ node: Node, to json: inout JSONWriter) {
    json.beginObject()
    json.key("name")
    json.value(node.name)
    json.key("state")
    json.value(state(node))
    json.key("proven_lsn")
    if node.provenLSN.isEmpty { json.null() } else { json.value(node.provenLSN) }
    json.key("staleness_bound_ms")
    if node.stalenessBoundMilliseconds < 0 {
      json.null()
    } else {
      json.value(node.stalenessBoundMilliseconds)
    }
    json.key("estimated")
    json.value(node.estimated)
    json.key("trouble")
    if node.trouble.isEmpty { json.null() } else { json.value(node.trouble) }
    for (name, value) in counters(node) {
      json.key(name)
      json.value(Int64(clamping: value))
    }
    json.endObject()
  }

  /// A row for each node; what is not known is empty.
  static func csv(_ nodes: [Node]) -> String {
    var csv = CSVWriter()
    csv.write(
      ["name", "state", "proven_lsn", "staleness_bound_ms", "trouble"]
        + counters(Node()).map(\.name) + ["estimated"]
    )
    for node in nodes {
      let bound = node.stalenessBoundMilliseconds
      csv.write(
        [node.name, state(node), node.provenLSN, bound < 0 ? "" : "\(bound)", node.trouble]
          + counters(node).map { "\($0.value)" } + ["\(node.estimated)"]
      )
    }
    return csv.take()
  }

  private static func counters(_ node: Node) -> [(name: String, value: UInt64)] {
    [
      ("reads", node.reads), ("reads_in_flight", node.readsInFlight), ("reroutes", node.reroutes),
      ("conflicts", node.conflicts), ("failures", node.failures), ("fallbacks", node.fallbacks),
    ]
  }

  private static func state(_ node: Node) -> String {
    switch node.state {
    case .unspecified: "unknown"
    case .closed: "CLOSED"
    case .halfOpen: "HALF_OPEN"
    case .open: "OPEN"
    case .drained: "DRAINED"
    }
  }

  private static func proven(_ node: Node) -> String {
    node.provenLSN.isEmpty ? "nothing" : about(node) + node.provenLSN
  }

  private static func age(_ node: Node) -> String {
    let bound = node.stalenessBoundMilliseconds
    guard bound >= 0 else { return "unknown" }
    let text = bound < 1_000 ? "\(bound) ms" : Quantity.duration(.milliseconds(bound))
    return about(node) + text
  }

  private static func about(_ node: Node) -> String { node.estimated ? "about " : "" }
}
