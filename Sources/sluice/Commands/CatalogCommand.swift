internal import ArgumentParser
internal import Formats
internal import Wire

// `sluice catalog`: which entities and attributes there are, and how attributes are treated.

struct CatalogCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "catalog",
    abstract: "List entities and attributes, change attributes.",
    discussion: """
      Examples:
        sluice catalog
        sluice catalog attributes --prefix cpu. --json
        sluice catalog entities --prefix host.
        sluice catalog set cpu.user_percent --hot true --unit %
      """,
    subcommands: [AttributesCommand.self, EntitiesCommand.self, SetCommand.self],
    defaultSubcommand: AttributesCommand.self
  )

  struct AttributesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "attributes",
      abstract: "List attributes by name (the default)."
    )

    @Option(help: ArgumentHelp("Only names that start with this.", valueName: "text"))
    var prefix = ""

    @OptionGroup(title: "Output") var output: OutputOptions
    @OptionGroup(title: "Gateway") var gateway: GatewayOptions

    func run() throws {
      let (prefix, format) = (prefix, output.format)
      try GatewaySession.run(gateway) { session in
        var printer = ListPrinter(format, CatalogText.titles, "attributes", singular: "attribute")
        var token: [UInt8] = []
        repeat {
          let page = try await session.listAttributes(
            ListAttributesRequest(pageToken: token, namePrefix: prefix)
          )
          for attribute in page.attributes {
            printer.add(CatalogText.cells(attribute)) { CatalogText.write(attribute, to: &$0) }
          }
          try printer.flush()
          token = page.nextPageToken
        } while !token.isEmpty
        try printer.end()
      }
    }
  }

  struct EntitiesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "entities",
      abstract: "List entities by key, with their newest values in JSON."
    )

    @Option(help: ArgumentHelp("Only keys that start with this.", valueName: "text"))
    var prefix = ""

    @OptionGroup(title: "Freshness") var level: ReadLevelOptions
    @OptionGroup(title: "Output") var output: OutputOptions
    @OptionGroup(title: "Gateway") var gateway: GatewayOptions

    func run() throws {
      let command = self
      try GatewaySession.run(gateway) { session in
        var printer = ListPrinter(
          command.output.format,
          ["entity", "id", "hot values", "newest"],
          "entities",
          singular: "entity"
        )
        var request = ListEntitiesRequest(
          externalKeyPrefix: command.prefix,
          read: command.level.options
        )
        var freshness: Freshness?
        repeat {
          let page = try await session.listEntities(request)
          freshness = page.freshness
          for entity in page.entities {
            printer.add(Self.cells(entity)) { ListRow.write(entity, to: &$0) }
          }
          try printer.flush()
          request.pageToken = page.nextPageToken
        } while !request.pageToken.isEmpty
        try printer.end(freshness: .some(freshness))
      }
    }

    private static func cells(_ entity: Entity) -> [String] {
      let newest = entity.values.map(\.observedAtMicroseconds).max()
      return [
        entity.externalKey, "\(entity.entityID)", "\(entity.values.count)",
        newest.map { Timestamp(microseconds: $0).description } ?? "",
      ]
    }
  }

  struct SetCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "set",
      abstract: "Change whether an attribute is hot, or its unit.",
      discussion: """
        The newest value of a hot attribute is kept with its entity, where 'sluice get' finds it at \
        once. The change holds for values that come from now on.

        Exit codes: 0 done; 66 there is no such attribute.
        """
    )

    @Argument(help: "Name of the attribute.")
    var attribute: String

    @Option(help: ArgumentHelp("Whether it is hot.", valueName: "true|false"))
    var hot: Bool?

    @Option(help: ArgumentHelp("Its unit, such as % or By/s.", valueName: "text"))
    var unit: String?

    @OptionGroup(title: "Output") var output: OutputOptions
    @OptionGroup(title: "Gateway") var gateway: GatewayOptions

    func validate() throws {
      guard hot != nil || unit != nil else {
        throw ValidationError("say what to change: --hot true, --hot false or --unit TEXT")
      }
    }

    func run() throws {
      let command = self
      try GatewaySession.run(gateway) { session in
        // The request carries both, so what is not to change is sent as it is.
        let before = try await session.attributes([command.attribute])[0]
        let after = try await session.updateAttribute(
          UpdateAttributeRequest(
            name: command.attribute,
            isHot: command.hot ?? before.isHot,
            unit: command.unit ?? before.unit
          )
        )
        var printer = ListPrinter(
          command.output.format,
          CatalogText.titles,
          "attributes",
          singular: "attribute"
        )
        printer.add(CatalogText.cells(after)) { CatalogText.write(after, to: &$0) }
        try printer.end()
      }
    }
  }
}
