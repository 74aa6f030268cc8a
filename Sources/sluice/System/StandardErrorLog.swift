internal import Formats
internal import Logging
internal import Server

// The gateway's log: one line a message on standard error.

/// Writes "2026-01-31T12:00:00.123Z warning: message key=value".
struct StandardErrorLog: LogHandler {
  var logLevel: Logger.Level {
    get { threshold.level }
    set { threshold.level = newValue }
  }
  var metadata: Logger.Metadata = [:]
  private let threshold: LogThreshold

  init(_ threshold: LogThreshold) {
    self.threshold = threshold
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    var line = "\(Self.time()) \(event.level): \(event.message)"
    let details = metadata.merging(event.metadata ?? [:]) { _, new in new }
    for (key, value) in details.sorted(by: { $0.key < $1.key }) { line += " \(key)=\(value)" }
    // One write a line: lines of several threads do not mix.
    StandardStream.error.note(Self.escaped(line) + "\n")
  }

  /// Now, to the millisecond, always with the same number of digits.
  private static func time() -> String {
    let milliseconds = Environment.now.microseconds / 1_000
    let text = Timestamp(microseconds: milliseconds / 1_000 * 1_000_000).description
    let fraction = String(milliseconds % 1_000 + 1_000).dropFirst()
    return text.dropLast() + "." + fraction + "Z"
  }

  /// A message stays on its line, whatever a database said in it.
  private static func escaped(_ line: String) -> String {
    guard line.unicodeScalars.contains(where: { $0.value < 0x20 }) else { return line }
    return line.unicodeScalars.reduce(into: "") { text, scalar in
      text += scalar.value < 0x20 ? " " : String(scalar)
    }
  }
}
