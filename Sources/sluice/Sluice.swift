internal import ArgumentParser
internal import Server

// The command line of Sluice: arguments in, text and exit codes out.

/// The root of all commands.
@main
struct Sluice: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sluice",
    abstract: "A telemetry gateway for PostgreSQL, and everything to work with it.",
    discussion: """
      Agents stream typed values of entities over TCP; Sluice writes them into PostgreSQL by COPY, \
      acknowledges what is durable, and answers reads with a proof of how fresh they are.

      A first session:
        sluice migrate --dsn postgresql://sluice@localhost/sluice
        sluice serve --primary-dsn postgresql://sluice@localhost/sluice &
        sluice import cpu.csv --entity web1 --hot all
        sluice get web1
        sluice history web1 cpu_percent --from -2h

      Exit codes: 0 done; 1 done, and the answer is no; 64 wrong arguments; 65 some of the input was not written, or the gateway \
      refused it; 66 no such file, entity or attribute; 69 gateway, database or address not \
      available; 70 a fault in Sluice or the system; 74 a file cannot be read or written; 77 not \
      allowed; 78 wrong configuration.
      """,
    version: Gateway.version,
    groupedSubcommands: [
      CommandGroup(
        name: "Gateway",
        subcommands: [
          ServeCommand.self, MigrateCommand.self, IndexCommand.self, DrainCommand.self,
          RestoreCommand.self,
        ]
      ),
      CommandGroup(
        name: "Write",
        subcommands: [UpsertCommand.self, ImportCommand.self, AgentCommand.self]
      ),
      CommandGroup(
        name: "Read",
        subcommands: [
          GetCommand.self, ListCommand.self, HistoryCommand.self, AggregateCommand.self,
          ExistsCommand.self, CatalogCommand.self, StatusCommand.self, ProducersCommand.self,
        ]
      ),
    ]
  )

  /// Runs the command that was asked for on the first thread, before there is any other.
  ///
  /// Not an asynchronous main: that would start threads before `serve` has blocked its signals.
  static func main() {
    do {
      var command = try Sluice.parseAsRoot()
      try command.run()
    } catch let failure where CommandFailure.isOurs(failure) {
      let failure = CommandFailure(failure)
      if !failure.message.isEmpty { StandardStream.error.note("error: \(failure.message)\n") }
      Sluice.exit(withError: ExitCode(failure.status.rawValue))
    } catch {
      Sluice.exit(showing: error)
    }
  }

  /// Ends with what the parser has to say: help, version, or what is wrong with the arguments.
  private static func exit(showing error: any Error) -> Never {
    let code = Sluice.exitCode(for: error)
    guard code == .validationFailure else { Sluice.exit(withError: error) }
    let message = Sluice.fullMessage(for: error)
    let text = message.hasPrefix("Error: ") ? "e" + message.dropFirst() : message
    StandardStream.error.note(text + "\n")
    Sluice.exit(withError: ExitCode(ExitStatus.usage.rawValue))
  }
}
