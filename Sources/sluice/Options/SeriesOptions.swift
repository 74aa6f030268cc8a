internal import ArgumentParser

// Whose values a command reads, and how much of the database's work they are worth.

/// Entity, attributes and what goes with both.
struct SeriesOptions: ParsableArguments, Sendable {
  @Argument(help: "The entity's key, or #id.")
  var entity: String

  @Argument(help: "Names of attributes.")
  var attributes: [String]

  @Option(
    name: .customLong("entity"),
    parsing: .singleValue,
    help: ArgumentHelp("Also of this entity; may be repeated.", valueName: "key")
  )
  var otherEntities: [String] = []

  /// All entities that were named.
  var entities: [String] { [entity] + otherEntities }
}

/// What a reader of history says to a high price.
struct CostOptions: ParsableArguments, Sendable {
  @Flag(help: "Go on where the gateway says how much would have to be scanned.")
  var allowExpensive = false
}
