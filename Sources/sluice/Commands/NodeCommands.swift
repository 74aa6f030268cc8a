internal import ArgumentParser
internal import Wire

// `sluice drain` and `sluice restore`: take a node out of the reads, and back in.

struct DrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "drain",
    abstract: "Take a replica, the warehouse or the cache out of a gateway's reads.",
    discussion: """
      Reads that run there finish, new ones go elsewhere. It holds for this gateway, until \
      'sluice restore' or its end.

      Examples:
        sluice drain replica-2
        sluice drain warehouse --gateway 10.0.0.5:7171
        sluice drain cache

      Exit codes: 0 done; 64 it is the primary; 66 there is no such node; 69 no gateway answers.
      """
  )

  @Argument(help: "The node, as 'sluice status' names it.")
  var node: String

  @OptionGroup(title: "Output") var output: OutputOptions
  @OptionGroup(title: "Gateway") var gateway: GatewayOptions

  func run() throws {
    try NodeText.set(node, isDrained: true, gateway, output.format)
  }
}

struct RestoreCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "restore",
    abstract: "Take a drained node back into a gateway's reads.",
    discussion: """
      The node is probed first, then gets a few reads, then all.

      Examples:
        sluice restore replica-2

      Exit codes: 0 done; 66 there is no such node; 69 no gateway answers.
      """
  )

  @Argument(help: "The node, as 'sluice status' names it.")
  var node: String

  @OptionGroup(title: "Output") var output: OutputOptions
  @OptionGroup(title: "Gateway") var gateway: GatewayOptions

  func run() throws {
    try NodeText.set(node, isDrained: false, gateway, output.format)
  }
}
