internal import ArgumentParser
internal import Formats
internal import Wire

// `sluice import`: files of telemetry into the gateway.

struct ImportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Write the values of CSV or line protocol files.",
    discussion: """
      CSV is wide (a column for each attribute) or long (entity, attribute, time, value and perhaps \
      type); the header says which. Entities and attributes that do not exist are created. A line \
      that cannot be read is skipped, counted and shown, unless --strict says to stop there.

      With --state or --spool an import that was interrupted, even by kill -9, goes on when it is \
      started again with the same input and options, and every value is written once. An input that \
      has changed is refused.

      Examples:
        sluice import cpu.csv --entity web1 --hot all --unit cpu=%
        sluice import readings.csv --time-column at --precision ms --types state=label
        sluice import cpu.csv --entity web1 --state cpu.state
        sluice import metrics.lp --entity-tag host --hot cpu.idle
        zcat old.csv.gz | sluice import - --format csv --json

      Exit codes: 0 every value was written; 65 some were not, or a file cannot be imported; 66 no \
      such file; 69 no gateway.
      """
  )

  @Argument(help: "Files to read in turn; - is standard input.")
  var files: [String]

  @OptionGroup(title: "Input") var format: FormatOptions

  @Option(
    help: ArgumentHelp(
      "Rename an attribute of the input; may be repeated.",
      valueName: "old=new,…"
    )
  )
  var rename: [String] = []

  @Option(
    help: ArgumentHelp(
      "Attributes to make hot when they are created, or all; may be repeated.",
      valueName: "name,…"
    )
  )
  var hot: [String] = []

  @Option(
    help: ArgumentHelp("Units of attributes that are created.", valueName: "name=unit,…")
  )
  var unit: [String] = []

  @Flag(help: "Acknowledge values when they are staged; they become durable a moment later.")
  var staged = false

  @Flag(help: "Stop at the first line that cannot be read; what stands before it is written.")
  var strict = false

  @Option(
    help: ArgumentHelp(
      "Write as this producer, 32 hexadecimal digits (default: a new one).",
      valueName: "hex"
    )
  )
  var producerID: String?

  @Option(
    help: ArgumentHelp(
      "Remember in a file how far the import has come; started again it goes on there.",
      valueName: "file"
    )
  )
  var state: String?

  @Option(
    help: ArgumentHelp(
      "Keep the state in this folder, under a name made of the files and options.",
      valueName: "dir"
    )
  )
  var spool: String?

  @Flag(inversion: .prefixedNo, help: "Show the progress (default: when it is a terminal).")
  var progress: Bool?

  @Flag(help: "Print the summary as JSON.")
  var json = false

  @OptionGroup(title: "Gateway") var gateway: GatewayOptions

  func validate() throws {
    guard [producerID, state, spool].count(where: { $0 != nil }) <= 1 else {
      throw ValidationError("choose one of --producer-id, --state and --spool")
    }
    guard producerID.map({ Hexadecimal.bytes($0)?.count == 16 }) ?? true else {
      throw ValidationError("--producer-id is 32 hexadecimal digits")
    }
    guard files.count(where: { $0 == "-" }) <= 1 else {
      throw ValidationError("standard input can be read only once")
    }
    _ = try Assignments.parse(rename, "--rename")
    for (name, text) in try Assignments.parse(unit, "--unit") {
      guard text.utf8.count <= WireLimits.unitBytesMax else {
        throw ValidationError(
          "--unit: that of \(name) is longer than \(WireLimits.unitBytesMax) bytes"
        )
      }
    }
  }

  func run() throws {
    let plan = try ImportPlan(self)
    let command = self
    try GatewaySession.run(gateway, prepare: { $0 }) { session, loop in
      let file = command.state ?? command.spool.map { "\($0)/\(command.stateName)" }
      let identity = try ProducerIdentity(hex: command.producerID, file: file)
      var plan = plan
      var state: ImportState?
      if let file {
        let opened = try ImportState(beside: file, now: Environment.now)
        plan.use(now: opened.now, command)
        state = opened
      }
      let report = try await ImportRun(plan, session, identity, state, loop).run()
      StandardStream.error.note(report.ledger?.lostText ?? "")
      try command.finish(report)
    }
  }

  /// The same for the same input; if it is not, the batches will tell.
  private var stateName: String {
    let words = files + rename + hot + unit
    let bytes = Array(words.joined(separator: "\n").utf8)
    // Bytes of bytes: nothing is reinterpreted.
    let number = unsafe crc32c(bytes.span.bytes)
    let name = (files[0].split(separator: "/").last ?? "input").map { character in
      character.isASCII && (character.isLetter || character.isNumber || "._-".contains(character))
        ? String(character) : "_"
    }
    return "import-\(name.joined())-\(String(number, radix: 16)).state"
  }

  /// Prints what happened, and fails when something was left out.
  private func finish(_ report: ImportReport) throws {
    try StandardStream.output.write(json ? report.json() : report.table())
    if !json { StandardStream.error.note(report.problemText()) }
    if let failure = report.failure { throw failure }
    guard report.skippedCount + report.rejectedCount == 0 else {
      throw CommandFailure(
        "\(report.leftOutText); mend them and import those again",
        .data
      )
    }
  }
}
