internal import CLibpq

// A connection string, parsed once and never printed with its password.

/// Connection settings by keyword (libpq manual, "Connection Strings").
public struct PostgresDSN: Equatable, Sendable {
  /// One setting.
  struct Setting: Equatable, Sendable {
    var keyword: String
    var value: String
  }

  private(set) var settings: [Setting]

  /// Parses keyword/value text or a URI, with libpq's own parser.
  ///
  /// - Throws: `.invalidDSN`; the error names the kind of fault and repeats nothing of the text.
  public init(_ text: String) throws(PostgresError) {
    guard !text.utf8.contains(0) else { throw .invalidDSN(.zeroByte) }
    guard text.contains(where: { !$0.isWhitespace }) else { throw .invalidDSN(.empty) }
    var message: UnsafeMutablePointer<CChar>?
    guard let options = unsafe PQconninfoParse(text, &message) else {
      defer { unsafe PQfreemem(message) }
      let words = unsafe message.map { unsafe String(cString: $0) } ?? ""
      throw .invalidDSN(PostgresDSN.problem(words))
    }
    defer { unsafe PQconninfoFree(options) }
    settings = unsafe PostgresDSN.settings(options)
  }

  /// The value of a keyword, nil when it is not set.
  public func setting(_ keyword: String) -> String? {
    settings.first { $0.keyword == keyword }?.value
  }

  /// The same settings with one replaced or added.
  ///
  /// - Parameters:
  ///   - keyword: one that libpq knows; another makes connecting fail with `.invalidSetting`.
  ///   - value: taken as it is, without quoting.
  /// - Returns: new settings.
  public func setting(_ keyword: String, to value: String) -> PostgresDSN {
    var copy = self
    copy.settings.removeAll { $0.keyword == keyword }
    copy.settings.append(Setting(keyword: keyword, value: value))
    return copy
  }

  /// The same settings with one added when it was not set.
  func setting(_ keyword: String, orDefault value: String) -> PostgresDSN {
    setting(keyword) == nil ? setting(keyword, to: value) : self
  }

  /// What libpq takes for a keyword that is set nowhere: environment, then its built-in value.
  static func systemDefault(_ keyword: String) -> String? {
    guard let options = unsafe PQconndefaults() else { return nil }
    defer { unsafe PQconninfoFree(options) }
    return unsafe settings(options).first { $0.keyword == keyword }?.value
  }

  /// The settings that are set, in libpq's order.
  private static func settings(_ options: UnsafeMutablePointer<PQconninfoOption>) -> [Setting] {
    var settings: [Setting] = []
    var option = unsafe options
    // The array ends with an entry whose keyword is NULL.
    while let keyword = unsafe option.pointee.keyword {
      if let value = unsafe option.pointee.val {
        unsafe settings.append(
          Setting(keyword: String(cString: keyword), value: String(cString: value))
        )
      }
      unsafe option += 1
    }
    return settings
  }

  /// libpq's words quote the text at fault, which can be the password: keep only the kind.
  private static func problem(_ message: String) -> PostgresDSNProblem {
    if message.contains("missing \"=\"") || message.contains("missing key/value separator") {
      return .missingEquals
    }
    if message.contains("invalid connection option")
      || message.contains("invalid URI query parameter")
    {
      return .unknownKeyword
    }
    if message.contains("unterminated quoted string") { return .unterminatedQuote }
    if message.contains("percent-encoded") { return .percentEncoding }
    if message.contains("URI") { return .malformedURI }
    return .other
  }
}

extension PostgresDSN: CustomStringConvertible {
  private static let secrets: Set<String> = ["password", "sslpassword"]

  /// All settings as keyword=value, secrets as "***".
  public var description: String {
    settings
      .map { "\($0.keyword)=\(PostgresDSN.secrets.contains($0.keyword) ? "***" : $0.value)" }
      .joined(separator: " ")
  }
}

extension PostgresDSN: CustomDebugStringConvertible, CustomReflectable {
  /// As `description`: secrets stay hidden.
  public var debugDescription: String { description }

  /// Shows no settings, so that `dump` and test failures print no password.
  public var customMirror: Mirror { Mirror(self, children: []) }
}
