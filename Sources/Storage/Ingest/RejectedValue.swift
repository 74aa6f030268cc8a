// A value that was handled but not written.

/// Why a value was not written; the raw values are those of sluice.v1.RejectReason.
public enum RejectReason: Int16, BitwiseCopyable, Sendable, CaseIterable {
  /// The tenant has no entity of this id.
  case unknownEntity = 1
  /// The tenant has no attribute of this id.
  case unknownAttribute = 2
  /// The attribute has another type.
  case wrongType = 3
  /// Before the year 1 or beyond what PostgreSQL can hold.
  case timeOutOfRange = 4
  /// Further in the future than the gateway allows.
  case timeInFuture = 5
  /// A text is not UTF-8.
  case textNotUTF8 = 6
  /// A text has a zero byte, or a document a `\u0000`: PostgreSQL holds neither.
  case textHasNUL = 7
  /// A text or document is longer than the gateway allows.
  case tooLong = 8
  /// A document is not JSON, or has a number beyond PostgreSQL's numeric.
  case notJSON = 9
  /// A document is nested deeper than the gateway allows.
  case jsonTooDeep = 10
  /// PostgreSQL refused it although all checks passed.
  case refusedByDatabase = 11
}

/// Which value of a batch, and why.
public struct RejectedValue: BitwiseCopyable, Equatable, Sendable {
  /// Index in the batch, through its sections.
  public var index: UInt32
  /// Why.
  public var reason: RejectReason

  /// The value at `index`.
  public init(index: UInt32, reason: RejectReason) {
    self.index = index
    self.reason = reason
  }
}
