internal import Wire

// Why a producer itself ends its session for good.

extension Status {
  /// What a client says that finds its gateway at another database than before.
  static let otherDatabase = Status(
    .failedPrecondition,
    "the gateway writes into another database than this producer's values went to before; name"
      + " the gateway of that one, or begin with a new producer id (another spool or state)",
    reason: "OTHER_DATABASE"
  )

  /// What a client says that finds another's values under its own numbers.
  static let producerShared = Status(
    .dataLoss,
    "another client writes with the same producer id",
    reason: "SEQ_CONFLICT"
  )
}
