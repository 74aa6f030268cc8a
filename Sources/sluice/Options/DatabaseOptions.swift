internal import ArgumentParser
internal import Server

// Which database a command of an operator works in, past all gateways.

/// Options of commands that go to the primary themselves.
struct DatabaseOptions: ParsableArguments, Sendable {
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

  /// The connection string of the primary.
  ///
  /// - Throws: that none is given, or why the settings cannot be read.
  func primary() throws -> String {
    let settings = try SettingSources.settings(file: config)
    guard let dsn = dsn ?? settings[.primaryDSN], !dsn.isEmpty else {
      throw CommandFailure(
        "no database is named; give --dsn or set SLUICE_PRIMARY_DSN",
        .configuration
      )
    }
    return dsn
  }
}
