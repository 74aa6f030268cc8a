// Says why a text is not a time.

/// Why a text was refused as a time.
public enum TimestampError: Error, Equatable, Sendable, CustomStringConvertible {
  /// There was nothing but blanks.
  case empty
  /// The byte at this offset is not what the form asks for.
  case malformed(offset: Int)
  /// A part has the right form but no such value, for example month 13.
  case noSuch(TimestampPart)
  /// A plain number came without a declared unit.
  case unitMissing
  /// PostgreSQL could not store the time.
  case outOfRange
  /// The relative form has a bad duration.
  case duration(DurationTextError)

  /// What is wrong and what to write instead.
  public var description: String {
    switch self {
    case .empty: "the time is empty"
    case .malformed(let offset):
      "not a time at byte \(offset + 1); write it like 2014-02-14T14:30:00Z"
    case .noSuch(let part): "there is no such \(part.rawValue)"
    case .unitMissing: "a plain number needs a unit (s, ms, us or ns)"
    case .outOfRange: "outside the times PostgreSQL can store (4713 BC to 294246 AD)"
    case .duration(let error): error.description
    }
  }
}

/// A part of a written time.
public enum TimestampPart: String, Sendable {
  /// The year, 0001 to 9999.
  case year
  /// The month, 01 to 12.
  case month
  /// The day of its month.
  case day
  /// The hour, 00 to 23.
  case hour
  /// The minute, 00 to 59.
  case minute
  /// The second, 00 to 60.
  case second
  /// The offset from UTC, up to 15:59.
  case offset
}
