internal import ArgumentParser
internal import Formats

// The span of observed time that a command reads.

/// `--from` and `--to`.
struct TimeRangeOptions: ParsableArguments, Sendable {
  // Unconditional, because "-2h" would be taken for an option.
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Start of the range, included: 2014-02-14, 2014-02-14T14:30:00Z, -2h, now-15m.",
      valueName: "time"
    )
  )
  var from = "-24h"

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("End of the range, excluded.", valueName: "time")
  )
  var to = "now"

  /// The range in microseconds since 1970.
  ///
  /// - Throws: which end cannot be read, or that they are turned around.
  func range() throws(CommandFailure) -> Range<Int64> {
    let now = Environment.now
    let start = try Self.time(from, "--from", now)
    let end = try Self.time(to, "--to", now)
    guard start < end else {
      throw CommandFailure("--from \(start) is not before --to \(end); turn them around", .usage)
    }
    return start.microseconds..<end.microseconds
  }

  /// The time that an option says.
  ///
  /// - Throws: why it cannot be read.
  static func time(
    _ text: String,
    _ option: String,
    _ now: Timestamp
  ) throws(CommandFailure) -> Timestamp {
    do throws(TimestampError) {
      return try Timestamp(expression: text, now: now)
    } catch {
      throw CommandFailure("\(option) '\(text)': \(error)", .usage)
    }
  }
}
