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

  @OptionGroup(title: "Database") var database: DatabaseOptions

  func run() throws {
    let dsn = try database.primary()
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
