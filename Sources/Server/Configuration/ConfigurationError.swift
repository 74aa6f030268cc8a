// What can be wrong with a configuration, said so that one can mend it.

/// A configuration that cannot be used.
public enum ConfigurationError: Error, Equatable, CustomStringConvertible {
  /// The file or the environment has a key that does not exist.
  case unknownKey(String, origin: String)
  /// A line of the file is not `key = value`.
  case malformedLine(Int, file: String)
  /// The same key stands twice in the file.
  case repeatedKey(String, line: Int, file: String)
  /// A key that must be given is not.
  case missing(ConfigurationKey)
  /// A value does not fit its key.
  case invalid(ConfigurationKey, value: String, expected: String)
  /// Listening beyond loopback was not allowed.
  case notLoopback(String)

  /// One sentence and what to do.
  public var description: String {
    switch self {
    case .unknownKey(let key, let origin):
      "there is no setting '\(key)' (\(origin)); 'sluice serve --help' lists them all"
    case .malformedLine(let line, let file):
      "\(file), line \(line): expected 'key = value' or a line that starts with '#'"
    case .repeatedKey(let key, let line, let file):
      "\(file), line \(line): '\(key)' was already set above; remove one of the two"
    case .missing(let key):
      "'\(key.rawValue)' is not set; give --\(key.rawValue), set \(key.environmentName), or write"
        + " '\(key.rawValue) = …' into the configuration file"
    case .invalid(let key, let value, let expected):
      "\(key.isSecret ? "what was given" : "'\(value)'") is not a value for '\(key.rawValue)';"
        + " expected \(expected)"
    case .notLoopback(let address):
      "\(address) can be reached from other machines, and connections are not encrypted; listen on"
        + " 127.0.0.1, or give --insecure-listen if the network is trusted"
    }
  }
}
