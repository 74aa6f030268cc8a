internal import ArgumentParser
internal import EventLoop
internal import Wire

// How fresh the answer of a reading command must be.

/// Options of every command that reads stored values.
struct ReadLevelOptions: ParsableArguments, Sendable {
  @Flag(help: "See every write that was acknowledged before; read from the primary.")
  var strong = false

  @Option(
    help: ArgumentHelp(
      "See everything up to a token, as import, agent and earlier reads show it.",
      valueName: "token"
    )
  )
  var atLeast: String?

  @Option(
    help: ArgumentHelp("Accept an answer up to this old, 250ms to 1h.", valueName: "duration"),
    transform: OptionText.duration
  )
  var maxStaleness: Duration?

  @Flag(help: "Read from the warehouse, never from the primary.")
  var analytics = false

  @Flag(help: "Rather an older answer, marked as such, than none.")
  var allowDegraded = false

  @Flag(help: "Also values that are staged and not yet durable; read from the primary.")
  var includeStaged = false

  func validate() throws {
    guard [strong, atLeast != nil, analytics].count(where: \.self) <= 1 else {
      throw ValidationError("choose one of --strong, --at-least and --analytics")
    }
    guard maxStaleness == nil || !(strong || atLeast != nil) else {
      throw ValidationError("--max-staleness does not go with --strong or --at-least")
    }
    guard maxStaleness.map({ (.milliseconds(250)...(.seconds(3_600))).contains($0) }) ?? true else {
      throw ValidationError("--max-staleness is 250ms to 1h")
    }
    guard atLeast.map({ Hexadecimal.bytes($0) != nil }) ?? true else {
      throw ValidationError("a token is an even number of hexadecimal digits")
    }
  }

  /// Whether the pages of an answer may come from several nodes, none older than the one before.
  ///
  /// Those of a report come from one, whose snapshots never go back; some warehouses could not
  /// promise more.
  var isMonotonic: Bool { !analytics }

  /// The same for the gateway.
  var options: ReadOptions {
    let level: ReadLevel =
      strong
      ? .strong
      : atLeast != nil
        ? .atLeast : analytics ? .analytics : maxStaleness != nil ? .eventual : .unspecified
    return ReadOptions(
      level: level,
      token: atLeast.flatMap(Hexadecimal.bytes) ?? [],
      maxStalenessMilliseconds: maxStaleness?.wholeMilliseconds ?? 0,
      allowDegraded: allowDegraded,
      includeStaged: includeStaged
    )
  }
}
