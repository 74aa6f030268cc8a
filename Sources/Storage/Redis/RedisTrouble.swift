// Why there is no connection to Redis, for operators.

/// What became of the last attempt to connect, or of the last connection.
public enum RedisTrouble: Error, Equatable, Sendable, CustomStringConvertible {
  /// The host's name has no address.
  case nameNotFound
  /// Nobody listens there, or the connection broke.
  case unreachable
  /// It did not answer in time.
  case silent
  /// It answered with an error; the code is its first word: WRONGPASS, NOAUTH, NOPERM, READONLY.
  case refused(code: String)
  /// It does not speak as Redis does: another server, or one that wants TLS.
  case notRedis

  /// A part of a sentence.
  public var description: String {
    switch self {
    case .nameNotFound: "the host's name has no address"
    case .unreachable: "it cannot be reached"
    case .silent: "it does not answer"
    case .refused(let code): "it refuses with \(code)"
    case .notRedis: "it does not speak as Redis does, or wants TLS"
    }
  }
}
