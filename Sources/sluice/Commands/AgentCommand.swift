internal import ArgumentParser
internal import Client
internal import EventLoop
internal import Formats

// `sluice agent`: streams the telemetry of this host.

struct AgentCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "agent",
    abstract: "Stream processor, memory, disk, network and load figures of this host.",
    discussion: """
      Reads /proc at an interval and sends every figure. A gateway that goes away is waited for: \
      what was not confirmed is kept and sent again. SIGTERM and SIGINT end the agent when \
      everything is durable.

      With --spool every look is kept on disk until it is durable: it outlives the agent, kill -9 \
      included, and a gateway that is away for however long. When --spool-max is reached the agent \
      says so and looks again once there is room; it drops nothing. What a power cut can take is \
      the last 0.1 s, nothing with --spool-sync always.

      Examples:
        sluice agent
        sluice agent --interval 5s --entity rack7.web1 --gateway gw1:7171,gw2:7171
        sluice agent --spool /var/lib/sluice
        sluice agent --duration 10s --json

      Exit codes: 0 stopped as asked, everything durable or in the spool; 69 no gateway at the \
      start, or values were left unconfirmed at the end, both without --spool; 65 the spool is \
      damaged; 74 it cannot be used.
      """
  )

  @Option(
    help: ArgumentHelp("Time between two looks (default: 1s).", valueName: "duration"),
    transform: OptionText.duration
  )
  var interval: Duration = .seconds(1)

  @Option(
    help: ArgumentHelp("Stop after this time (default: never).", valueName: "duration"),
    transform: OptionText.duration
  )
  var duration: Duration?

  @Option(help: ArgumentHelp("The entity's key (default: host.NAME).", valueName: "key"))
  var entity: String?

  @Option(
    help: ArgumentHelp(
      "Keep the producer's id in a file (default: one for each entity and gateway below"
        + " ~/.local/state/sluice).",
      valueName: "file"
    )
  )
  var producer: String?

  @Option(
    help: ArgumentHelp(
      "Keep what is not durable in this folder, over restarts; other agents may share it.",
      valueName: "dir"
    )
  )
  var spool: String?

  @Option(
    help: ArgumentHelp(
      "Size of the spool at most, with K, M or G (default: 1G).",
      valueName: "size"
    ),
    transform: SpoolArguments.bytes
  )
  var spoolMax = 1 << 30

  @Option(
    help: ArgumentHelp(
      "When the spool is synced: always (before sending) or interval (every 100 ms).",
      valueName: "when"
    ),
    transform: SpoolArguments.sync
  )
  var spoolSync = SpoolOptions.Sync.interval(.milliseconds(100))

  @Option(
    help: ArgumentHelp(
      "Attributes to make hot when they are created: all, none, or names.",
      valueName: "name,…"
    )
  )
  var hot = "all"

  @Flag(help: "Acknowledge values when they are staged; they become durable a moment later.")
  var staged = false

  @Flag(help: "Print the summary at the end as JSON.")
  var json = false

  @OptionGroup(title: "Gateway") var gateway: GatewayOptions

  func validate() throws {
    guard interval >= .milliseconds(10) else {
      throw ValidationError("--interval is at least 10ms")
    }
    guard spool == nil || producer == nil else {
      throw ValidationError("choose one of --spool, which keeps the producer's id, and --producer")
    }
  }

  func run() throws {
    let key = entity ?? "host.\(Environment.hostName)"
    let address = try gateway.addresses()[0]
    let file = producer ?? defaultFile(key, gateway: "\(address)")
    let command = self
    try GatewaySession.run(gateway, prepare: { try StopSignals($0) }) { session, signals in
      defer { signals.close() }
      let storage: AgentStorage
      if let folder = command.spool {
        storage = .spool(
          try Spool.claim(
            SpoolOptions(
              folder: folder,
              name: "agent \(key)",
              bytesMax: command.spoolMax,
              sync: command.spoolSync
            )
          ),
          try AgentCatalogFile("\(folder)/\(Self.fileName(key, "\(address)")).catalog")
        )
      } else {
        storage = .memory(try ProducerIdentity(hex: nil, file: file))
      }
      let run = AgentRun(command, key, session, storage, signals)
      let report = try await run.run()
      try StandardStream.output.write(command.json ? report.json() : report.text())
      StandardStream.error.note(report.ledger?.lostText ?? "")
      if report.keptCount > 0 {
        let count = Quantity.count(report.keptCount, "value")
        StandardStream.error.note(
          "not durable yet: \(count); the next start sends them from the spool\n"
        )
      }
      guard report.unconfirmedCount == 0 || report.isSpooled else {
        throw CommandFailure(
          "not confirmed before the end, and lost: "
            + Quantity.count(report.unconfirmedCount, "value"),
          .unavailable
        )
      }
    }
  }

  /// XDG_STATE_HOME, else ~/.local/state, else /tmp for users without a home.
  private func defaultFile(_ key: String, gateway: String) -> String {
    let environment = Environment.variables
    return "\(Self.stateFolder(environment))/sluice/\(Self.fileName(key, gateway)).producer"
  }

  /// The folder for state; an empty variable counts as unset.
  ///
  /// Source: XDG Base Directory Specification, "Environment variables".
  static func stateFolder(_ environment: [String: String]) -> String {
    func value(_ name: String) -> String? {
      environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }
    return value("XDG_STATE_HOME") ?? value("HOME").map { $0 + "/.local/state" } ?? "/tmp"
  }

  private static func fileName(_ key: String, _ gateway: String) -> String {
    let name = "agent-\(key)-\(gateway)".map { character in
      character.isASCII && (character.isLetter || character.isNumber || "._-".contains(character))
        ? String(character) : "_"
    }
    return name.joined()
  }
}
