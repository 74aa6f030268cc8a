internal import ArgumentParser
internal import Formats
internal import Server

// `sluice migrate`: brings the database's schema up to date.

struct MigrateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "migrate",
    abstract: "Create or update the schema in the database.",
    discussion: """
      Safe to run again, and from several places at once. The user needs the right to create a \
      schema; the gateway's own user may be another one.

      Examples:
        sluice migrate --dsn postgresql://owner@db/sluice
        SLUICE_PRIMARY_DSN=postgresql://owner@db/sluice sluice migrate

      Exit codes: 0 the schema is current; 69 the database cannot be used; 78 no or a wrong \
      connection string.
      """
  )

  @Option(
    name: [.customLong("dsn"), .customLong("primary-dsn")],
    help: ArgumentHelp(
      "Connection string of the primary (default: SLUICE_PRIMARY_DSN, else the file's).",
      valueName: "dsn"
    )
  )
  var dsn: String?

  @Option(
    help: ArgumentHelp("Read the connection string from a gateway's file.", valueName: "file")
  )
  var config: String?

  func run() throws {
    let settings = try SettingSources.settings(file: config)
    guard let dsn = dsn ?? settings[.primaryDSN], !dsn.isEmpty else {
      throw CommandFailure(
        "no database is named; give --dsn or set SLUICE_PRIMARY_DSN",
        .configuration
      )
    }
    let count = try Gateway.migrate(dsn) { progress in
      switch progress {
      case .applying(let version, let name):
        StandardStream.error.note("applying migration \(version), \(name)\n")
      case .applied(let version, let name, let took):
        StandardStream.output.note(
          "applied migration \(version), \(name), in \(Quantity.duration(took))\n"
        )
      }
    }
    try StandardStream.output.write(
      count == 0 ? "schema is current\n" : "schema is current, \(count) migrations were applied\n"
    )
  }
}
