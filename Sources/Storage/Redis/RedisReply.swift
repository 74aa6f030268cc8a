// What Redis says, and why it said nothing.

/// One reply of RESP2.
enum RedisReply: Equatable, Sendable {
  /// A short text like "OK".
  case status(String)
  case integer(Int64)
  case bytes([UInt8])
  /// An absent value.
  case null
  case array([RedisReply])

  /// The text of a status or of bytes.
  var text: String? {
    switch self {
    case .status(let text): text
    case .bytes(let bytes): String(decoding: bytes, as: UTF8.self)
    case .integer, .null, .array: nil
    }
  }
}

/// Why a request has no reply.
enum RedisError: Error, Equatable {
  /// There is no connection at the moment; nothing was sent.
  case away
  /// As many requests or bytes are on their way as may be; nothing was sent.
  case full
  /// The deadline came first; whether Redis runs the request is not known.
  case timedOut
  /// The connection was lost while the request was under way.
  case disconnected
  /// The waiting task was cancelled.
  case cancelled
  /// Redis answered with an error; the code is its first word, as the rest may hold data.
  case server(code: String)
  /// Redis sent what is not RESP2, or more than a reply may have.
  case protocolViolation

  /// Whether Redis ran, or may yet run, what was asked for.
  var isOutcomeUnknown: Bool {
    switch self {
    case .timedOut, .disconnected, .cancelled, .protocolViolation: true
    case .away, .full, .server: false
    }
  }
}
