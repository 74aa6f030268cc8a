internal import EventLoop

// Where Redis is, as an operator writes it.

/// Where Redis is and how it knows us.
public struct RedisSettings: Equatable, Sendable, CustomStringConvertible {
  /// Host and port.
  public var host: String
  /// TCP port.
  public var port: UInt16
  /// For Redis with access control lists; nil for its default user.
  public var user: String?
  /// nil when Redis asks for none.
  public var password: String?

  /// What `init(_:)` reads.
  public static let form = "redis://[[user]:password@]host[:port], or host:port"
  private static let standardPort: UInt16 = 6_379

  /// Redis at an address.
  public init(host: String, port: UInt16, user: String? = nil, password: String? = nil) {
    self.host = host
    self.port = port
    self.user = user
    self.password = password
  }

  /// Reads what an operator wrote in `form`.
  ///
  /// User and password may hold %XX. nil for anything else, also for `rediss://` and databases other
  /// than 0.
  public init?(_ text: String) {
    let scheme = "redis://"
    guard text.hasPrefix(scheme) else {
      guard let address = SocketAddress(text), address.port > 0 else { return nil }
      self.init(host: address.host, port: address.port)
      return
    }
    let parts = text.dropFirst(scheme.count).split(
      separator: "/",
      maxSplits: 1,
      omittingEmptySubsequences: false
    )
    guard parts.count == 1 || parts[1].isEmpty || parts[1] == "0" else { return nil }
    let at = parts[0].lastIndex(of: "@")
    let place = at.map { parts[0][parts[0].index(after: $0)...] } ?? parts[0]
    let isPortless = !place.contains(":") || place.hasSuffix("]")
    let whole = isPortless ? "\(place):\(RedisSettings.standardPort)" : String(place)
    guard let address = SocketAddress(whole), address.port > 0 else { return nil }
    self.init(host: address.host, port: address.port)
    guard let at else { return }
    let names = parts[0][..<at].split(
      separator: ":",
      maxSplits: 1,
      omittingEmptySubsequences: false
    )
    guard names.count == 2, let user = RedisSettings.decoded(names[0]),
      let password = RedisSettings.decoded(names[1]), !password.isEmpty
    else { return nil }
    self.user = user.isEmpty ? nil : user
    self.password = password
  }

  /// The address; never the password.
  public var description: String { SocketAddress(host: host, port: port).description }

  /// Undoes %XX; nil when it is damaged, or no UTF-8.
  private static func decoded(_ text: Substring) -> String? {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      let digits = rest.prefix(2)
      guard digits.count == 2, let high = digits.first, let low = digits.last,
        let high = Character(Unicode.Scalar(high)).hexDigitValue,
        let low = Character(Unicode.Scalar(low)).hexDigitValue
      else { return nil }
      bytes.append(UInt8(high << 4 | low))
      rest = rest.dropFirst(2)
    }
    return String(validating: bytes, as: UTF8.self)
  }
}
