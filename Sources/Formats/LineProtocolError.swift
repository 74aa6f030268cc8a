// Says what is wrong with a line of line protocol, where, and what to do about it.

/// Why a line was refused; the reader goes on with the next one.
public struct LineProtocolError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The line of the input on which it begins, from 1.
  public let line: Int
  /// The byte of the line at which the problem was seen, from 1.
  public let column: Int
  /// What is wrong.
  public let problem: Problem

  /// Puts an error together.
  public init(line: Int, column: Int, problem: Problem) {
    self.line = line
    self.column = column
    self.problem = problem
  }

  /// What can be wrong with a line.
  public enum Problem: Equatable, Sendable {
    /// The line begins with a comma or a blank where the measurement should stand.
    case measurementMissing
    /// A tag or field has no name before its equals sign.
    case keyMissing
    /// A tag or field has a name but no equals sign.
    case equalsMissing
    /// A tag's value contains an equals sign without a backslash.
    case equalsUnescaped
    /// A tag has no value.
    case tagValueMissing
    /// The same tag stands twice.
    case tagTwice
    /// The line has no fields.
    case fieldsMissing
    /// A field has no value.
    case fieldValueMissing
    /// A field's value is none of the types of line protocol.
    case fieldValueMalformed
    /// An integer does not fit 64 bits with sign.
    case integerTooLarge
    /// A string is not closed.
    case unclosedString
    /// Something follows the closing quote of a string.
    case textAfterString
    /// The timestamp is not an integer.
    case timestampMalformed
    /// PostgreSQL could not store the timestamp; perhaps the precision is wrong.
    case timestampOutOfRange
    /// Something follows the timestamp.
    case textAfterTimestamp
    /// The line is longer than the limit, in bytes.
    case lineTooLong(bytesMax: Int)
    /// The line is not UTF-8.
    case invalidUTF8
    /// The line contains a NUL character.
    case containsNul
    /// The tag that names the entity is not on the line.
    case entityTagMissing

    /// What is wrong and what to do.
    public var advice: String {
      switch self {
      case .measurementMissing: "the measurement is missing"
      case .keyMissing: "a name is missing before '='"
      case .equalsMissing:
        "'=' is missing; write name=value, and a backslash before blanks in names"
      case .equalsUnescaped: "write a backslash before '=' in a tag's value"
      case .tagValueMissing: "a tag has no value; leave the tag out"
      case .tagTwice: "a tag stands twice"
      case .fieldsMissing: "the fields are missing; write measurement,tag=value field=value time"
      case .fieldValueMissing: "a field has no value"
      case .fieldValueMalformed:
        "not a field value; write 1.5, 2i, 3u, true or \"text\" in double quotes"
      case .integerTooLarge: "the integer does not fit 64 bits with sign; write it as a float"
      case .unclosedString: "the string is not closed; end it with a double quote"
      case .textAfterString: "text after a string; write a backslash before quotes inside it"
      case .timestampMalformed: "the timestamp is not an integer"
      case .timestampOutOfRange: "the timestamp is out of range; check the precision"
      case .textAfterTimestamp: "text after the timestamp"
      case .lineTooLong(let bytesMax):
        "the line is longer than \(bytesMax) bytes; look for a missing quote"
      case .invalidUTF8: "not UTF-8; convert the input to UTF-8"
      case .containsNul: "contains a NUL character, which PostgreSQL cannot store"
      case .entityTagMissing: "the tag that names the entity is missing"
      }
    }
  }

  /// The line, the column, what is wrong and what to do.
  public var description: String { "line \(line), column \(column): \(problem.advice)" }
}
