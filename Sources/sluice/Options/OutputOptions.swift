internal import ArgumentParser

// For whom a command prints.

/// Options of every command that prints what it has read.
struct OutputOptions: ParsableArguments, Sendable {
  @Flag(help: "Print JSON: exact integers, times in RFC 3339, NaN and infinities as strings.")
  var json = false

  @Flag(help: "Print CSV.")
  var csv = false

  func validate() throws {
    guard !json || !csv else { throw ValidationError("choose one of --json and --csv") }
  }

  /// The form of the output.
  var format: OutputFormat { json ? .json : csv ? .csv : .table }
}

/// The forms of output.
enum OutputFormat: Sendable {
  /// For people.
  case table
  /// For programs.
  case json
  /// For spreadsheets, and for `sluice import`.
  case csv
}
