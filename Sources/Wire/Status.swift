/// How a call ended, as google.rpc.Status says it: a code, a text for people, a reason for
/// programs.
public struct Status: Error, Equatable, Sendable {
  /// The domain of every reason.
  public static let domain = "sluice"

  /// The canonical code.
  public var code: Code

  /// For developers, in English; carries no user data.
  public var message: String

  /// ErrorInfo: UPPER_SNAKE, empty when there is none.
  public var reason: String

  /// ErrorInfo: what is dynamic in the message, by name.
  public var metadata: [KeyValue]

  /// RetryInfo: wait at least this long; `nil` when there is none.
  public var retryAfterMilliseconds: Int64?

  /// BadRequest: the fields that were wrong.
  public var fieldViolations: [FieldViolation]

  /// The codes of google.rpc.
  public enum Code: Int32, Sendable, CaseIterable {
    /// Success.
    case ok = 0
    /// The caller gave up.
    case cancelled = 1
    /// An error of unknown kind; also every code this version does not know.
    case unknown = 2
    /// The request is wrong whatever the state of the system.
    case invalidArgument = 3
    /// The time the caller gave is over.
    case deadlineExceeded = 4
    /// What was asked for does not exist.
    case notFound = 5
    /// What was to be made exists.
    case alreadyExists = 6
    /// The caller may not do this.
    case permissionDenied = 7
    /// A limit or a budget is used up; see RetryInfo.
    case resourceExhausted = 8
    /// The system is not in the state that the request needs.
    case failedPrecondition = 9
    /// Stopped by a concurrent change.
    case aborted = 10
    /// Past the valid range.
    case outOfRange = 11
    /// No such service or method.
    case unimplemented = 12
    /// An invariant is broken.
    case `internal` = 13
    /// Not now; the only code that may be retried blindly.
    case unavailable = 14
    /// Data is lost or contradicts itself.
    case dataLoss = 15
    /// The caller is not known.
    case unauthenticated = 16
  }

  /// One wrong field of a request.
  public struct FieldViolation: Equatable, Sendable {
    /// Path of the field: "read.max_staleness_ms".
    public var field: String
    /// What is wrong with it.
    public var description: String

    /// Names a field and what is wrong with it.
    public init(field: String, description: String) {
      self.field = field
      self.description = description
    }
  }

  /// Success, without anything else.
  public static let ok = Status(.ok, "")

  /// Makes a status.
  public init(
    _ code: Code,
    _ message: String,
    reason: String = "",
    metadata: [KeyValue] = [],
    retryAfterMilliseconds: Int64? = nil,
    fieldViolations: [FieldViolation] = []
  ) {
    self.code = code
    self.message = message
    self.reason = reason
    self.metadata = metadata
    self.retryAfterMilliseconds = retryAfterMilliseconds
    self.fieldViolations = fieldViolations
  }

  /// One field of what was sent is wrong.
  public static func invalid(
    _ field: String,
    _ description: String,
    reason: String = "BAD_REQUEST"
  ) -> Status {
    Status(
      .invalidArgument,
      "\(field): \(description)",
      reason: reason,
      metadata: [KeyValue("field", field)],
      fieldViolations: [FieldViolation(field: field, description: description)]
    )
  }
}

/// A name and a text that belongs to it.
public struct KeyValue: Equatable, Sendable {
  /// The name.
  public var key: String
  /// The text.
  public var value: String

  /// Pairs a name with a text.
  public init(_ key: String, _ value: String) {
    self.key = key
    self.value = value
  }
}
