// What can go wrong between this process and a PostgreSQL server.

/// The five characters by which PostgreSQL names an error (manual, appendix A).
public struct SQLState: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
  /// The five characters.
  public let code: String

  /// A state of the given five characters.
  public init(_ code: String) { self.code = code }

  /// A state written in the source.
  public init(stringLiteral code: String) { self.code = code }

  /// The five characters.
  public var description: String { code }

  /// The first two characters, which name the family ("40" is transaction rollback).
  public var family: Substring { code.prefix(2) }

  /// A statement was cancelled, by us, by an operator or by statement_timeout.
  public static let queryCancelled: SQLState = "57014"
  /// Two transactions waited for each other.
  public static let deadlockDetected: SQLState = "40P01"
  /// A snapshot could not be kept, also on a standby.
  public static let serializationFailure: SQLState = "40001"
  /// All connection slots are taken.
  public static let tooManyConnections: SQLState = "53300"
}

/// One error that the server answered, with its fields (libpq manual, PQresultErrorField).
public struct PostgresServerError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The error's name; "XX000" when the server gave none.
  public var sqlstate: SQLState
  /// ERROR, FATAL or PANIC, never localized.
  public var severity: String
  /// The server's sentence.
  ///
  /// May hold user data: for the operator's log, not for other clients.
  public var message: String
  /// More of the same, when there is more.
  public var detail: String?
  /// What the server suggests.
  public var hint: String?
  /// The constraint that was violated.
  public var constraint: String?
  /// How many statements of the same script or pipeline had been answered before: an error behind a
  /// COMMIT does not undo it.
  public var statementIndex: Int

  /// Name and severity only, no user data.
  public var description: String { "\(severity) \(sqlstate) at statement \(statementIndex)" }
}

/// A message the server sent beside its answers.
public struct PostgresNotice: Equatable, Sendable {
  /// The notice's name.
  public var sqlstate: SQLState
  /// WARNING, NOTICE, INFO, LOG or DEBUG, never localized; also FATAL, when an idle connection is
  /// ended.
  public var severity: String
  /// The server's sentence.
  ///
  /// May hold user data.
  public var message: String
  /// The server's function that sent it, the same in every language; empty when it did not say.
  public var function: String
}

/// Why no connection came about.
public struct PostgresConnectFailure: Error, Equatable, Sendable, CustomStringConvertible {
  /// The reason, as far as it can be told apart.
  public enum Kind: String, Sendable {
    /// The host name is not known, or no name server answered.
    case unknownHost = "the host name is not known"
    /// Nobody listens there, or there is no way there.
    case unreachable = "no server answers at this address"
    /// The connect deadline passed.
    case timedOut = "the server did not answer in time"
    /// Password, user or pg_hba.conf.
    case authentication = "the server refused the user or the password"
    /// The database does not exist.
    case noSuchDatabase = "the database does not exist"
    /// The server, the database or the user is at its limit.
    case tooManyConnections = "the server has no free connection"
    /// The server starts, recovers or shuts down.
    case startingUp = "the server is starting up or shutting down"
    /// Encryption could not be agreed on, or a certificate was refused.
    case tls = "no encrypted connection came about"
    /// The server closed the connection while it was being made.
    case dropped = "the server closed the connection at once"
    /// A primary where a standby was asked for, or the reverse.
    case wrongServerState = "the server is not in the asked for state"
    /// A setting of the connection string has an impossible value.
    case invalidSetting = "a connection setting has an invalid value"
    /// The server does not speak UTF-8 to us.
    case wrongEncoding = "the connection is not in UTF-8"
    /// The role asks for synchronous commits and this session would not make them.
    case synchronousCommitOff = "synchronous_commit is off for this session"
    /// This process is out of descriptors, threads or memory.
    case outOfResources = "this process is out of descriptors, threads or memory"
    /// None of the above.
    case other = "the server refused the connection"
  }

  /// The reason.
  public var kind: Kind
  /// The server's name for it, when it answered at all.
  public var sqlstate: SQLState?
  /// What libpq or the server said: host, user and database may be in it, the password is not.
  public var message: String

  /// A sentence without user data.
  public var description: String {
    guard let sqlstate else { return kind.rawValue }
    return "\(kind.rawValue) (\(sqlstate))"
  }
}

/// What a connection string does wrong.
///
/// The words never repeat a part of it.
public enum PostgresDSNProblem: String, Sendable {
  /// There is nothing in it.
  case empty = "is empty"
  /// A keyword stands without "=" and value.
  case missingEquals = "has a keyword without \"=\""
  /// A keyword libpq does not know.
  case unknownKeyword = "has an unknown keyword"
  /// A quote is not closed.
  case unterminatedQuote = "has a quote that is not closed"
  /// %XX with something that is not hexadecimal.
  case percentEncoding = "has an invalid percent-encoded character"
  /// The URI form is wrong elsewhere.
  case malformedURI = "is not a valid URI"
  /// It holds a zero byte.
  case zeroByte = "holds a zero byte"
  /// Anything else libpq does not like.
  case other = "is not valid"
}

/// Everything the PostgreSQL part of Storage throws.
public enum PostgresError: Error, Equatable, Sendable {
  /// The connection string cannot be read.
  case invalidDSN(PostgresDSNProblem)
  /// No connection came about.
  case connectFailed(PostgresConnectFailure)
  /// The server answered with an error; the connection goes on and is in no failed transaction.
  case server(PostgresServerError)
  /// The connection was lost. With `outcomeUnknown` the server may have executed the statement, so
  /// a COMMIT may have happened; without it the server cannot have.
  case disconnected(outcomeUnknown: Bool, sqlstate: SQLState?)
  /// The deadline passed. Without `outcomeUnknown` the server confirmed that it gave the statement
  /// up (or never got it); with it no answer came and the connection was closed, or a COMMIT of the
  /// same script had been answered before.
  case timedOut(outcomeUnknown: Bool)
  /// The task or the caller cancelled; `outcomeUnknown` as for `timedOut`.
  case cancelled(outcomeUnknown: Bool)
  /// An earlier statement of the same pipeline failed, so this one was skipped.
  case pipelineAborted
  /// The connection or the pool was closed by us.
  case closed
  /// The server or libpq did what the protocol does not allow here, or a value does not have the
  /// type asked for. The text is ours.
  case protocolViolation(String)
  /// The pool's queue is full.
  case poolFull
  /// No connection became free before the deadline.
  case waitTimedOut

  /// Whether the work may have been committed although an error was thrown.
  public var isOutcomeUnknown: Bool {
    switch self {
    case .disconnected(let unknown, _), .timedOut(let unknown), .cancelled(let unknown): unknown
    case .invalidDSN, .connectFailed, .server, .pipelineAborted, .closed, .protocolViolation,
      .poolFull, .waitTimedOut:
      false
    }
  }

  /// The server's name for the error, when it has one.
  public var sqlstate: SQLState? {
    switch self {
    case .server(let error): error.sqlstate
    case .disconnected(_, let sqlstate): sqlstate
    case .connectFailed(let failure): failure.sqlstate
    case .invalidDSN, .timedOut, .cancelled, .pipelineAborted, .closed, .protocolViolation,
      .poolFull, .waitTimedOut:
      nil
    }
  }
}

extension PostgresError: CustomStringConvertible {
  /// A sentence without user data.
  public var description: String {
    switch self {
    case .invalidDSN(let problem): "the connection string \(problem.rawValue)"
    case .connectFailed(let failure): failure.description
    case .server(let error): "the server answered \(error)"
    case .disconnected(true, _): "the connection was lost, the outcome is unknown"
    case .disconnected(false, _): "the connection was lost before the statement was executed"
    case .timedOut(true): "the deadline passed, the outcome is unknown"
    case .timedOut(false): "the deadline passed, the statement was given up"
    case .cancelled(true): "cancelled, the outcome is unknown"
    case .cancelled(false): "cancelled, the statement was given up"
    case .pipelineAborted: "skipped, an earlier statement of the pipeline failed"
    case .closed: "the connection is closed"
    case .protocolViolation(let what): "protocol violation: \(what)"
    case .poolFull: "too many callers wait for a connection"
    case .waitTimedOut: "no connection became free before the deadline"
    }
  }
}
