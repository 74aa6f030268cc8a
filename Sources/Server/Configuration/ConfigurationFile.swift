// Reads the configuration file: `key = value` lines, '#' comments, optional double quotes.

/// The settings a configuration file makes.
public enum ConfigurationFile {
  /// Parses the text of a file.
  ///
  /// - Parameters:
  ///   - text: lines of `key = value`; a line that starts with `#` is a comment; a value may stand
  ///     in double quotes, which are taken off.
  ///   - name: the file's name, for errors.
  /// - Returns: what the file sets.
  /// - Throws: `ConfigurationError` for a malformed line, an unknown or a repeated key.
  public static func parse(
    _ text: String,
    name: String
  ) throws(ConfigurationError) -> [ConfigurationKey: String] {
    var settings: [ConfigurationKey: String] = [:]
    // A byte order mark, which editors of other systems put there, is no part of the first key.
    let scalars = text.unicodeScalars
    let content = scalars.first == "\u{FEFF}" ? String(scalars.dropFirst()) : text
    let lines = content.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    for (index, line) in lines.enumerated() {
      let content = trimmed(line)
      guard !content.isEmpty, !content.hasPrefix("#") else { continue }
      guard let equals = content.firstIndex(of: "=") else {
        throw .malformedLine(index + 1, file: name)
      }
      let keyText = trimmed(content[..<equals])
      guard let key = ConfigurationKey(rawValue: String(keyText)) else {
        throw .unknownKey(String(keyText), origin: "\(name), line \(index + 1)")
      }
      guard settings[key] == nil else {
        throw .repeatedKey(key.rawValue, line: index + 1, file: name)
      }
      settings[key] = String(unquoted(trimmed(content[content.index(after: equals)...])))
    }
    return settings
  }

  /// Takes the settings out of an environment.
  ///
  /// - Parameter environment: name and value; names without `SLUICE_` are other programs' business,
  ///   and `SLUICE_STACK_…` and `SLUICE_TEST_…` belong to the scripts.
  /// - Returns: what the environment sets.
  /// - Throws: `ConfigurationError.unknownKey` for any other name that starts with `SLUICE_`.
  public static func settings(
    inEnvironment environment: [String: String]
  ) throws(ConfigurationError) -> [ConfigurationKey: String] {
    var settings: [ConfigurationKey: String] = [:]
    for (name, value) in environment.sorted(by: { $0.key < $1.key }) {
      guard name.hasPrefix("SLUICE_"), !name.hasPrefix("SLUICE_STACK_"),
        !name.hasPrefix("SLUICE_TEST_"), name != "SLUICE_GATEWAY"
      else { continue }
      guard let key = ConfigurationKey.allCases.first(where: { $0.environmentName == name }) else {
        throw .unknownKey(name, origin: "the environment")
      }
      // Empty it is not given, so that the file's counts; others may be turned off that way.
      guard key != .primaryDSN || !value.isEmpty else { continue }
      settings[key] = value
    }
    return settings
  }

  private static func trimmed(_ text: Substring) -> Substring {
    var text = text
    while let first = text.first, first.isWhitespace { text.removeFirst() }
    while let last = text.last, last.isWhitespace { text.removeLast() }
    return text
  }

  private static func unquoted(_ text: Substring) -> Substring {
    guard text.count >= 2, text.first == "\"", text.last == "\"" else { return text }
    return text.dropFirst().dropLast()
  }
}
