internal import EventLoop

// What the harness asks for: a mode and words like `sessions=8`.

/// Words that mean nothing here.
struct ArgumentError: Error, CustomStringConvertible {
  let text: String

  var description: String { text }
}

/// A mode and its settings; a setting that is not given has the default of its caller.
struct Arguments: Sendable {
  let mode: String
  private let values: [String: String]

  /// - Throws: `ArgumentError` when there is no mode, or a word is no `name=value`.
  init(_ words: [String]) throws(ArgumentError) {
    guard let mode = words.first else { throw ArgumentError(text: "no mode") }
    self.mode = mode
    var values: [String: String] = [:]
    for word in words.dropFirst() {
      let parts = word.split(separator: "=", maxSplits: 1)
      guard parts.count == 2 else { throw ArgumentError(text: "no name=value: '\(word)'") }
      values[String(parts[0])] = String(parts[1])
    }
    self.values = values
  }

  func text(_ name: String, _ standard: String) -> String { values[name] ?? standard }

  /// - Throws: `ArgumentError` when the value is no whole number.
  func int(_ name: String, _ standard: Int) throws(ArgumentError) -> Int {
    guard let text = values[name] else { return standard }
    guard let value = Int(text) else { throw ArgumentError(text: "\(name) is no number") }
    return value
  }

  /// A time in seconds, such as `seconds=2.5`.
  ///
  /// - Throws: `ArgumentError` when the value is no number.
  func duration(_ name: String, _ standard: Double) throws(ArgumentError) -> Duration {
    guard let text = values[name] else { return .seconds(standard) }
    guard let value = Double(text), value >= 0 else {
      throw ArgumentError(text: "\(name) is no number of seconds")
    }
    return .seconds(value)
  }

  /// - Throws: `ArgumentError` when it is missing or no address.
  func gateway() throws(ArgumentError) -> SocketAddress {
    guard let address = SocketAddress(text("gateway", "")) else {
      throw ArgumentError(text: "gateway=HOST:PORT is missing")
    }
    return address
  }
}
