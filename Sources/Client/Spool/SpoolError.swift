internal import EventLoop
internal import Wire

// What a spool has to say when it cannot keep a batch.

extension ClientError {
  static let spoolFullReason = "SPOOL_FULL"
  static let spoolUnusableReason = "SPOOL_UNUSABLE"

  /// The spool takes no more: what it holds has to become durable first.
  ///
  /// Nothing was dropped.
  public static func spoolFull(bytes: Int, limit: Int) -> ClientError {
    .status(
      Status(
        .resourceExhausted,
        "the spool holds \(bytes) bytes of at most \(limit); nothing was dropped, but no more fits"
          + " until the gateway has taken some",
        reason: spoolFullReason
      )
    )
  }

  /// Whether a batch was refused because the spool, or the disk under it, is full.
  public var isSpoolFull: Bool {
    guard case .status(let status) = self else { return false }
    return status.reason == ClientError.spoolFullReason
  }

  /// Whether the file system refused what a spool needs.
  public var isSpoolUnusable: Bool {
    guard case .status(let status) = self else { return false }
    return status.reason == ClientError.spoolUnusableReason
  }

  /// A spool's content is not what was written there.
  static func spoolDamaged(_ path: String, at offset: Int, _ what: String) -> ClientError {
    .status(
      Status(
        .dataLoss,
        "the spool is damaged: \(what) at byte \(offset) of \(path); values of it may be lost."
          + " Move the folder away to go on without it",
        reason: "SPOOL_DAMAGED"
      )
    )
  }

  /// The file system refused something.
  static func spool(_ path: String, _ error: SystemError) -> ClientError {
    if error.isOutOfSpace {
      return .status(
        Status(
          .resourceExhausted,
          "no space for the spool at \(path): \(error); nothing was dropped",
          reason: spoolFullReason
        )
      )
    }
    return .status(
      Status(.internal, "the spool cannot use \(path): \(error)", reason: spoolUnusableReason)
    )
  }
}
