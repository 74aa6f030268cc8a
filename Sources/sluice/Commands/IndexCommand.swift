internal import ArgumentParser
internal import EventLoop
internal import Formats
internal import Server

// `sluice index`: indexes on newest values, for conditions that are asked again and again.

struct IndexCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "index",
    abstract: "Create, list and drop indexes on the newest values of attributes.",
    discussion: """
      Without an index 'sluice list --where' reads the newest values of all entities. An index on a \
      hot attribute finds those that meet a condition: numbers, integers and labels by = < <= > >=, \
      exists and --order-by (with a condition on the same attribute), labels also by 'starts with' \
      (PostgreSQL 15 and later), flags by = and exists, documents by = alone.

      Mind what it costs: with the first index every write of a newest value, whichever attribute \
      it is of, makes a new entry in each index of its entity, because PostgreSQL's heap-only (HOT) \
      updates end when a column is indexed. Create one where 'list' is proven slow, and drop those \
      whose scans stay 0; each server counts its own scans, a replica's are shown with --dsn.

      Works in the database, like migrate, and as the user who owns the schema; gateways go on \
      meanwhile and need no restart.

      Examples:
        sluice index
        sluice index create site --dsn postgresql://owner@db/sluice
        sluice index drop site
      """,
    subcommands: [ListIndexes.self, CreateIndex.self, DropIndex.self],
    defaultSubcommand: ListIndexes.self
  )

  struct ListIndexes: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "list",
      abstract: "List the indexes of attributes (the default).",
      discussion: """
        Indexes that somebody else made are not shown. An invalid one is what a build that failed \
        has left: it costs writes and serves no read; 'create' builds it anew, 'drop' removes it.
        """
    )

    @OptionGroup(title: "Database") var database: DatabaseOptions
    @OptionGroup(title: "Output") var output: OutputOptions

    func run() throws {
      let indexes = try Gateway.indexes(try database.primary())
      try IndexText.print(indexes, "indexes", singular: "index", output.format)
      let invalid = indexes.count { $0.state == "invalid" }
      guard invalid > 0 else { return }
      StandardStream.error.note(
        "\(invalid) invalid, left by a build that failed: 'sluice index create' builds it anew,"
          + " 'sluice index drop' removes it\n"
      )
    }
  }

  struct CreateIndex: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "create",
      abstract: "Build the index of a hot attribute while gateways go on writing.",
      discussion: """
        Does nothing when there is one. Waits for transactions that are older than the build. When \
        it fails, what is left is dropped. When the command is stopped, the build goes on in the \
        server.

        Exit codes: 0 there is one; 65 the attribute is not hot, another build is at work, or it \
        failed; 66 there is no such attribute; 69 the database cannot be used.
        """
    )

    @Argument(help: "Name of the attribute.") var attribute: String
    @OptionGroup(title: "Database") var database: DatabaseOptions
    @OptionGroup(title: "Output") var output: OutputOptions

    func run() throws {
      let progress = BuildProgress()
      let creation: IndexCreation
      do {
        creation = try Gateway.createIndex(try database.primary(), attribute: attribute) {
          progress.draw($0)
        }
      } catch {
        progress.clear()
        throw error
      }
      progress.clear()
      switch creation {
      case .wasThere(let index):
        StandardStream.error.note("there is an index already\n")
        try IndexText.print([index], "indexes", singular: "index", output.format)
      case .built(let index, let hasReplaced):
        if hasReplaced { StandardStream.error.note("an invalid index was dropped first\n") }
        try IndexText.print([index], "indexes", singular: "index", output.format)
      }
    }
  }

  struct DropIndex: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "drop",
      abstract: "Drop the index of an attribute while gateways go on writing.",
      discussion: """
        Waits for transactions that use it.

        Exit codes: 0 dropped; 65 another build is at work; 66 the attribute has no index; 69 the \
        database cannot be used.
        """
    )

    @Argument(help: "Name of the attribute.") var attribute: String
    @OptionGroup(title: "Database") var database: DatabaseOptions
    @OptionGroup(title: "Output") var output: OutputOptions

    func run() throws {
      let index = try Gateway.dropIndex(try database.primary(), attribute: attribute)
      try IndexText.print([index], "dropped", singular: "dropped", output.format)
    }
  }
}

/// Prints indexes.
private enum IndexText {
  static func print(
    _ indexes: [AttributeIndex],
    _ noun: String,
    singular: String,
    _ format: OutputFormat
  ) throws {
    let titles = ["attribute", "hot", "index", "kind", "size", "state", "scans"]
    var printer = ListPrinter(format, titles, noun, singular: singular)
    for index in indexes {
      printer.add(
        [
          index.attribute ?? "", index.isHot ? "true" : "false", index.name, index.kind,
          format == .csv ? "\(index.bytes)" : Quantity.bytes(index.bytes), index.state,
          format == .csv ? "\(index.scans)" : Quantity.grouped(index.scans),
        ]
      ) { write(index, to: &$0) }
    }
    try printer.end()
  }

  private static func write(_ index: AttributeIndex, to json: inout JSONWriter) {
    json.beginObject()
    json.key("attribute")
    if let attribute = index.attribute { json.value(attribute) } else { json.null() }
    json.key("hot")
    json.value(index.isHot)
    json.key("index")
    json.value(index.name)
    json.key("kind")
    json.value(index.kind)
    json.key("bytes")
    json.value(index.bytes)
    json.key("state")
    json.value(index.state)
    json.key("scans")
    json.value(index.scans)
    json.endObject()
  }
}

/// The line of a build, drawn again and again.
private struct BuildProgress: Sendable {
  private let start = MonotonicTime.now()

  func draw(_ progress: IndexProgress) {
    var line = TransientLine()
    guard progress.total > 0 else { return line.show(progress.phase) }
    let bar = ProgressBar(
      completed: progress.done,
      total: progress.total,
      elapsedSeconds: (MonotonicTime.now() - start) / .seconds(1),
      unit: progress.unit,
      isAscii: StandardStream.isAscii
    )
    let room = max(20, line.width - DisplayWidth.of(progress.phase) - 2)
    line.show("\(progress.phase)  \(bar.render(width: room))")
  }

  func clear() {
    var line = TransientLine()
    line.show("")
  }
}
