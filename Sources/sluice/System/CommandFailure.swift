internal import Client
internal import EventLoop
internal import Formats
internal import Server
internal import Wire

// Turns every error that can reach a user into one sentence and an exit code.

/// Why a command did not do what it was asked for.
struct CommandFailure: Error, CustomStringConvertible {
  /// One sentence, with what to do about it; without "error: ".
  let message: String
  /// The sentence, for the log.
  var description: String { message }
  /// What the shell is told.
  let status: ExitStatus

  /// The answer is no, and it was printed.
  static let no = CommandFailure("", .no)

  init(_ message: String, _ status: ExitStatus) {
    self.message = message
    self.status = status
  }

  /// Translates an error of any of our modules; another one is a fault.
  init(_ error: any Error) {
    switch error {
    case let failure as CommandFailure: self = failure
    case let error as ClientError: self.init(error)
    case let error as GatewayError: self.init("\(error)", Self.status(of: error))
    case let error as ConfigurationError: self.init("\(error)", .configuration)
    case let error as ImportError: self.init("\(error)", .data)
    case let error as SystemError:
      self.init("\(error); the system is out of threads, memory or descriptors", .internal)
    default: self.init("\(error)", .internal)
    }
  }

  /// Whether `init(_:)` knows the error; the argument parser's own errors are the others.
  static func isOurs(_ error: any Error) -> Bool {
    error is CommandFailure || error is ClientError || error is GatewayError
      || error is ConfigurationError || error is ImportError || error is SystemError
  }

  private init(_ error: ClientError) {
    switch error {
    case .cannotConnect:
      self.init("\(error); start one with 'sluice serve', or name it with --gateway", .unavailable)
    case .disconnected, .timedOut, .closed: self.init("\(error); try again", .unavailable)
    case .status(let status):
      self.init(
        Self.text(of: status),
        error.isSpoolUnusable ? .inputOutput : Self.status(of: status.code)
      )
    case .protocolViolation: self.init("\(error); do versions of both fit?", .internal)
    case .tooLarge: self.init("\(error)", .data)
    }
  }

  private static func text(of status: Status) -> String {
    var text = status.message.isEmpty ? "the gateway answered \(status.code)" : status.message
    for violation in status.fieldViolations {
      let sentence = "\(violation.field): \(violation.description)"
      let readable = "\(name(ofField: violation.field)): \(violation.description)"
      if text.hasPrefix(sentence) {
        text = readable + text.dropFirst(sentence.count)
      } else if !text.contains(sentence) {
        text += "; \(readable)"
      }
    }
    if !status.reason.isEmpty { text += " (\(status.reason))" }
    if let freshness = status.freshness { text += "; \(FreshnessText.line(freshness))" }
    if let delay = status.retryAfterMilliseconds {
      text += "; try again in \(Quantity.duration(.milliseconds(delay)))"
    }
    return text
  }

  /// What users have written into a field of a request; the field's own name for the others.
  private static func name(ofField field: String) -> String {
    switch field {
    case "observed_at_unix_us": return "--at"
    case "start_unix_us": return "--from"
    case "end_unix_us": return "--to"
    case "time_zone": return "--zone"
    case "bucket_width_us", "bucket_unit": return "--every"
    case "read.token": return "--at-least"
    case "read.max_staleness_ms": return "--max-staleness"
    case "read.include_staged": return "--include-staged"
    default:
      // Attributes are named in the order of their ids.
      guard field.hasPrefix("attribute_id["), field.hasSuffix("]"),
        let index = Int(field.dropFirst("attribute_id[".count).dropLast())
      else { return field }
      return "attribute \(index + 1)"
    }
  }

  private static func status(of code: Status.Code) -> ExitStatus {
    switch code {
    case .invalidArgument, .outOfRange: .usage
    case .notFound: .notFound
    case .failedPrecondition, .aborted, .alreadyExists, .dataLoss: .data
    case .unavailable, .resourceExhausted, .deadlineExceeded, .cancelled: .unavailable
    case .permissionDenied, .unauthenticated: .notAllowed
    case .ok, .unknown, .unimplemented, .internal: .internal
    }
  }

  private static func status(of error: GatewayError) -> ExitStatus {
    switch error {
    case .invalidDSN, .otherDatabase: .configuration
    case .database, .cache, .schema, .listen: .unavailable
    case .index: error.isAboutName ? .notFound : .data
    case .system: .internal
    }
  }
}
