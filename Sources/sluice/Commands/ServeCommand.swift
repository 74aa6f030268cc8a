internal import ArgumentParser
internal import Glibc
internal import Logging
internal import Server

// `sluice serve`: the gateway itself.

struct ServeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve",
    abstract: "Run the gateway.",
    discussion: """
      Prints "listening on HOST:PORT" on standard output once clients can connect, and logs to \
      standard error. SIGTERM or SIGINT finish what was accepted and stop.

      Every setting can be given as an option, as a variable (--primary-dsn is SLUICE_PRIMARY_DSN) \
      or as a line of the file ("primary-dsn = postgresql://…"). An option wins over a variable, \
      a variable over the file. Unknown settings are errors.

      SIGHUP reads the file again. What can change at once takes effect \
      (\(reloadable)); the log names other changes, which need a restart. A file with an \
      error changes nothing.

      Examples:
        sluice serve --primary-dsn postgresql://sluice@db/sluice
        sluice serve --config /etc/sluice.conf --log-level debug
        sluice serve --config /etc/sluice.conf --check
        sluice serve --primary-dsn postgresql://sluice@db/sluice --redis redis://:secret@cache:6379

      Exit codes: 0 stopped as asked, or the check passed; 64 wrong arguments; 66, 74 the file \
      cannot be read; 69 database or address not available; 70 a fault; 78 wrong configuration.
      """
  )

  private static let reloadable =
    ConfigurationKey.allCases.filter(\.isReloadable).map(\.rawValue).joined(separator: ", ")

  @Option(help: ArgumentHelp("Read settings from a file.", valueName: "file"))
  var config: String?

  @Flag(help: "Check the settings and connect to every server, without serving.")
  var check = false

  @OptionGroup(title: "Settings")
  var settings: SettingOptions

  func run() throws {
    let (settings, config) = (settings, config)
    let read: @Sendable () throws -> Configuration = {
      let merged = try settings.merged(file: config)
      do throws(ConfigurationError) {
        return try Configuration(merged, processorCount: Environment.processorCount)
      } catch {
        guard case .invalid(let key, _, _) = error,
          let origin = settings.origin(of: key, file: config)
        else { throw error }
        throw CommandFailure("\(error); it comes from \(origin)", .configuration)
      }
    }
    let configuration = try read()
    guard !check else {
      for line in try Gateway.check(configuration) { try StandardStream.output.write(line + "\n") }
      try StandardStream.output.write("the configuration can be served\n")
      return
    }
    // A log whose reader is gone must not end the gateway.
    _ = signal(SIGPIPE, SIG_IGN)
    let threshold = LogThreshold(Logger.Level(rawValue: configuration.logLevel) ?? .info)
    let log = Logger(label: "sluice") { _ in StandardErrorLog(threshold) }
    let reread: @Sendable () throws -> Configuration = {
      do {
        return try read()
      } catch {
        throw CommandFailure(error)
      }
    }
    try Gateway.run(configuration, log: log, threshold: threshold, reread: reread) { address in
      StandardStream.output.note("listening on \(address)\n")
    }
  }
}
