internal import Storage
internal import Wire

// The one place where Storage's errors become statuses.

extension Status {
  /// The answer for an error of reads or the catalog; no user data is in it.
  ///
  /// - Parameters:
  ///   - error: what storage threw.
  ///   - field: the repeated field that an index in the error points into.
  init(_ error: StorageError, field: String = "") {
    switch error {
    case .postgres(let error): self = Status(error)
    case .notPrimary:
      self = .unavailable(
        "the database is in recovery; a failover may be under way",
        "NOT_PRIMARY"
      )
    case .unprovableSnapshot:
      self = Status(
        .internal,
        "the database's default isolation level is not read committed",
        reason: "UNPROVABLE_SNAPSHOT"
      )
    case .noAnalyticsSource:
      self = .unavailable("no warehouse can answer this read", "NO_ANALYTICS_SOURCE")
    case .floorsUnprovable:
      self = .unprovable(
        "the warehouse's feed keeps no order, so that it cannot be proven to hold what tokens ask"
          + " for; read without them, at another level, or allow degraded answers"
      )
    case .noveltyUnknown:
      self = .unprovable(
        "the warehouse's feed does not tell how new at most an answer is; read without is_monotonic"
          + " or at another level"
      )
    case .noListThere:
      self = Status(
        .unimplemented,
        "this warehouse lacks functions that lists need: its operator finds them in docs/reads.md",
        reason: "LIST_NOT_ON_THIS_WAREHOUSE"
      )
    case .primarySilent:
      self = .unavailable(
        "nothing has been heard of the primary for a while, so no age can be proven; try again, or"
          + " allow degraded answers",
        "PRIMARY_SILENT"
      )
    case .fallbackBudgetSpent:
      self = Status(
        .resourceExhausted,
        "no replica is fresh enough, and the primary has no room for more of these reads",
        reason: "FALLBACK_BUDGET_SPENT",
        retryAfterMilliseconds: ServerLimits.retryMilliseconds
      )
    case .tokenOfOtherCluster(let name):
      self = .unfit(name, "of another database cluster", "TOKEN_OF_OTHER_CLUSTER")
    case .tokenOfOtherTimeline(let name):
      let words = "of another timeline: a failover lies between"
      self = .unfit(name, words, "TOKEN_OF_OTHER_TIMELINE")
    case .tokenAhead(let name):
      self = .unfit(name, "ahead of the primary", "TOKEN_AHEAD")
    case .badPageToken:
      self = .invalid(
        "page_token",
        "was altered or belongs to another request",
        reason: "BAD_PAGE_TOKEN"
      )
    case .entityNotFound(let index):
      self = .notFound("there is no such entity", "ENTITY_NOT_FOUND", field, index)
    case .absentEntity(let proof):
      self = Status(.entityNotFound(index: 0))
      add(Freshness(proof))
    case .attributeNotFound(let index):
      self = .notFound("there is no such attribute", "ATTRIBUTE_NOT_FOUND", field, index)
    case .attributeTypeMismatch(let index, let existing):
      self = Status(
        .failedPrecondition,
        "\(field)[\(index)] exists with type \(existing)",
        reason: "ATTRIBUTE_TYPE_MISMATCH",
        metadata: [KeyValue("field", "\(field)[\(index)]"), KeyValue("existing", "\(existing)")]
      )
    case .mayNotCreateNames:
      self = Status(
        .permissionDenied,
        "the tenant may not create names",
        reason: "MAY_NOT_CREATE_NAMES"
      )
    case .notAggregable(let index):
      self = .invalid(
        "\(field)[\(index)]",
        "is neither a number nor an integer",
        reason: "NOT_AGGREGABLE"
      )
    case .tooManyBuckets(let max):
      self = Status(
        .outOfRange,
        "the answer has more than \(max) buckets; ask for wider ones or a shorter time",
        reason: "TOO_MANY_BUCKETS",
        metadata: [KeyValue("max", "\(max)")]
      )
    case .sumOverflow:
      self = Status(
        .outOfRange,
        "a sum is beyond the range of a double",
        reason: "SUM_OVERFLOW"
      )
    case .unknownTimeZone:
      self = .invalid(
        "time_zone",
        "is no zone that the database knows; give a name such as Europe/Berlin",
        reason: "UNKNOWN_TIME_ZONE"
      )
    case .tooExpensive(let cost, let rowsMax):
      self = .tooExpensive(cost, rowsMax)
    case .valueTooLarge:
      self = Status(
        .outOfRange,
        "one entry alone does not fit into an answer",
        reason: "VALUE_TOO_LARGE"
      )
    case .badFilter(let step, let problem):
      self = .invalid("filter.steps[\(step)]", problem.rawValue, reason: "BAD_FILTER")
    case .notOrderable:
      self = .invalid("order_by_attribute_id", FilterProblem.notOrderable.rawValue)
    case .orderNotFound:
      self = Status(
        .notFound,
        "there is no such attribute",
        reason: "ATTRIBUTE_NOT_FOUND",
        metadata: [KeyValue("field", "order_by_attribute_id")]
      )
    case .attributeNotHot(let step):
      self = Status(
        .failedPrecondition,
        "the attribute is not hot, so it has no newest values",
        reason: "ATTRIBUTE_NOT_HOT",
        metadata: [KeyValue("field", step.map { "filter.steps[\($0)]" } ?? "order_by_attribute_id")]
      )
    case .tooManyUpserts:
      self = Status(
        .resourceExhausted,
        "too many upserts wait for the database",
        reason: "TOO_MANY_UPSERTS",
        retryAfterMilliseconds: ServerLimits.retryMilliseconds
      )
    case .projectionFull:
      self = Status(
        .failedPrecondition,
        "the newest values of the entity would need more than 1 MiB",
        reason: "PROJECTION_FULL"
      )
    case .valueRefused:
      self = .invalid(
        "values",
        "the database refused one of them",
        reason: "REFUSED_BY_DATABASE"
      )
    case .outcomeUnknown:
      self = .unavailable(
        "the connection to the database was lost at the end, or the deadline of the call passed"
          + " before the database had answered: it may have been written",
        "OUTCOME_UNKNOWN"
      )
    case .unreadable(let what):
      self = Status(.internal, "stored data is damaged: \(what)", reason: "UNREADABLE_DATA")
    }
  }

  /// The answer when the database could not do what it was asked for.
  init(_ error: PostgresError) {
    switch error {
    case .connectFailed, .disconnected, .closed, .invalidDSN: self = .databaseUnavailable
    case .timedOut, .waitTimedOut: self = .deadlineExceeded
    case .cancelled: self = Status(.cancelled, "the call was cancelled", reason: "CANCELLED")
    case .poolFull:
      self = Status(
        .resourceExhausted,
        "too many calls wait for the database",
        reason: "TOO_MANY_READS",
        retryAfterMilliseconds: ServerLimits.retryMilliseconds
      )
    case .server(let error): self = Status(error.sqlstate)
    case .pipelineAborted, .protocolViolation:
      self = Status(.internal, "the database answered unexpectedly", reason: "DATABASE_ERROR")
    }
  }

  private init(_ sqlstate: SQLState) {
    switch (sqlstate.code, sqlstate.family) {
    // Not ours: an operator, or the role's statement_timeout.
    case ("57014", _): self = .deadlineExceeded
    case ("25006", _): self = .unavailable("the database is read-only", "NOT_PRIMARY")
    case ("53100", _):
      self = .unavailable("the database's disk is full; free space there", "DATABASE_FULL")
    // Shutdown and crash, connections, resources, conflicts: it may work in a moment.
    case (_, "57"), (_, "08"), (_, "53"): self = .databaseUnavailable
    case (_, "40"): self = .unavailable("transactions were in each other's way", "CONFLICT")
    default:
      self = Status(
        .internal,
        "the database refused the statement",
        reason: "DATABASE_ERROR",
        metadata: [KeyValue("sqlstate", sqlstate.code)]
      )
    }
  }

  /// The answer for bytes that are no token.
  static func badToken(_ name: NamedToken) -> Status {
    .invalid(name.field, "is no token of this system", reason: "BAD_TOKEN")
  }

  private static func unfit(_ name: NamedToken, _ words: String, _ reason: String) -> Status {
    Status(
      .failedPrecondition,
      "the token is \(words)",
      reason: reason,
      metadata: [KeyValue("field", name.field)]
    )
  }

  /// Trying again does not help, so there is no advice to do so.
  private static func unprovable(_ message: String) -> Status {
    Status(.unavailable, message, reason: "NO_ANALYTICS_SOURCE")
  }

  private static func tooExpensive(_ cost: ScanCost, _ rowsMax: Int64) -> Status {
    Status(
      .outOfRange,
      "about \(cost.rows) rows in \(cost.pages) pages would have to be scanned, \(rowsMax) rows are"
        + " allowed; ask for a shorter range of time, or set allow_expensive",
      reason: "QUERY_TOO_EXPENSIVE",
      metadata: [
        KeyValue("rows", "\(cost.rows)"), KeyValue("pages", "\(cost.pages)"),
        KeyValue("rows_max", "\(rowsMax)"), KeyValue("field", "allow_expensive"),
      ]
    )
  }

  private static let databaseUnavailable = unavailable(
    "the database cannot be reached",
    "DATABASE_UNAVAILABLE"
  )

  private static func unavailable(_ message: String, _ reason: String) -> Status {
    Status(
      .unavailable,
      message,
      reason: reason,
      retryAfterMilliseconds: ServerLimits.retryMilliseconds
    )
  }

  private static func notFound(
    _ message: String,
    _ reason: String,
    _ field: String,
    _ index: Int
  ) -> Status {
    let metadata = field.isEmpty ? [] : [KeyValue("field", "\(field)[\(index)]")]
    return Status(.notFound, message, reason: reason, metadata: metadata)
  }
}

extension NamedToken {
  /// Where it stands in a request.
  fileprivate var field: String {
    switch self {
    case .ofLevel: "read.token"
    case .floor(let index): "read.floor_tokens[\(index)]"
    }
  }
}
