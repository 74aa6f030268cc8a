public import Wire

// What a client is told when something did not work.

/// Why a call or a session failed.
public enum ClientError: Error, Equatable, CustomStringConvertible {
  /// No gateway could be reached; the text says why, gateway by gateway.
  case cannotConnect(String)
  /// The connection was lost while a call was under way: it may have been carried out.
  case disconnected
  /// The gateway answered with an error.
  case status(Status)
  /// No answer came in time, although the connection is there.
  case timedOut
  /// The gateway did what the protocol does not allow.
  case protocolViolation(String)
  /// A value or a batch is larger than the gateway takes.
  case tooLarge(bytes: Int, limit: Int)
  /// The client or the producer was closed by its owner.
  case closed

  /// One sentence.
  public var description: String {
    switch self {
    case .cannotConnect(let why): "no gateway can be reached: \(why)"
    case .disconnected: "the connection to the gateway was lost"
    case .status(let status):
      status.reason.isEmpty
        ? "\(status.code): \(status.message)" : "\(status.reason): \(status.message)"
    case .timedOut: "the gateway did not answer in time"
    case .protocolViolation(let what): "the gateway broke the protocol: \(what)"
    case .tooLarge(let bytes, let limit):
      "a batch of \(bytes) bytes is larger than the \(limit) bytes the gateway takes"
    case .closed: "the client is closed"
    }
  }

  /// Whether trying again, perhaps on another gateway, is right.
  public var isRetryable: Bool {
    switch self {
    case .cannotConnect, .disconnected, .timedOut: true
    case .status(let status): status.code == .unavailable || status.code == .resourceExhausted
    case .protocolViolation, .tooLarge, .closed: false
    }
  }
}
