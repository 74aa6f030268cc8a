// Says what is wrong with a CSV file, where, and what to do about it.

/// Why a record of a CSV file was refused; the reader goes on with the next one.
public struct CSVError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The line of the file on which the record begins, from 1.
  public let line: Int
  /// What is wrong.
  public let problem: Problem

  /// Puts an error together.
  public init(line: Int, problem: Problem) {
    self.line = line
    self.problem = problem
  }

  /// What can be wrong with a record.
  public enum Problem: Equatable, Sendable {
    /// A quote inside a field that did not begin with one.
    case strayQuote
    /// Something other than a delimiter or line end after a closing quote.
    case textAfterQuote
    /// The file ended inside a quoted field.
    case unclosedQuote
    /// The file ended inside a quoted field that was too long to be read anew.
    case unclosedQuoteTooLong(unreadLines: Int)
    /// A carriage return that no line feed follows.
    case bareCarriageReturn
    /// The record is longer than the limit, in bytes.
    case recordTooLong(bytesMax: Int)
    /// The record has more fields than the limit.
    case tooManyFields(max: Int)
    /// The record has another number of fields than the first one.
    case fieldCount(expected: Int, found: Int)
    /// The field, counted from 1, is not UTF-8 from this byte on.
    case invalidUTF8(field: Int, offset: Int)
  }

  /// The line, what is wrong and what to do.
  public var description: String { "line \(line): \(advice)" }

  /// What is wrong and what to do, without the line.
  public var advice: String {
    switch problem {
    case .strayQuote:
      "a quote inside an unquoted field; put the whole field in quotes and double the quote"
    case .textAfterQuote: "text after a closing quote; double the quotes inside a quoted field"
    case .unclosedQuote: "the quoted field is not closed before the end of the file"
    case .unclosedQuoteTooLong(let unreadLines):
      "the quoted field is not closed before the end of the file;"
        + " \(Quantity.count(unreadLines, "line")) behind it could not be read"
    case .bareCarriageReturn:
      "a carriage return without a line feed; convert the line ends to LF or CRLF"
    case .recordTooLong(let bytesMax):
      "the record is longer than \(bytesMax) bytes; look for a missing quote"
    case .tooManyFields(let max):
      "the record has more than \(max) fields; check the delimiter"
    case .fieldCount(let expected, let found):
      "\(found) fields where the first record has \(expected); check the delimiter and the quotes"
    case .invalidUTF8(let field, let offset):
      "field \(field) is not UTF-8 at byte \(offset + 1); convert the file to UTF-8"
    }
  }
}
