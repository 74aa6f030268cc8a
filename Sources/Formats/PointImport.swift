// What all imports have in common, so that the command line drives CSV and line protocol alike.

/// A push importer: feed it bytes, take imported records, say when the input is over.
public protocol PointImport: Sendable {
  /// Appends bytes of the input; at best after `next()` has returned nil.
  mutating func feed(_ bytes: ArraySlice<UInt8>)

  /// Says that the input has no more bytes.
  mutating func finish()

  /// The next record or line, with the points it gave and everything that was wrong with it.
  ///
  /// - Returns: the record, or nil when more bytes (or `finish()`) are needed or the input is over.
  /// - Throws: why the input as a whole cannot be imported.
  mutating func next() throws(ImportError) -> ImportedRecord?
}

/// What one record or line of the input gave.
public struct ImportedRecord: Equatable, Sendable {
  /// The line of the input on which it begins, from 1.
  public let line: Int
  /// The values that could be read.
  public var points: [Point] = []
  /// What could not be read; the caller decides whether to go on.
  public var problems: [ImportProblem] = []

  init(line: Int, points: [Point] = [], problems: [ImportProblem] = []) {
    self.line = line
    self.points = points
    self.problems = problems
  }
}

/// Something in the input that gave no value.
public struct ImportProblem: Error, Equatable, Sendable, CustomStringConvertible {
  /// The line of the input, from 1.
  public let line: Int
  /// The field of a CSV record or the byte of a protocol line, from 1, where known.
  public let column: Int?
  /// The name of the CSV column, where there is one.
  public let columnName: String?
  /// What is wrong.
  public let reason: Reason

  init(line: Int, column: Int? = nil, columnName: String? = nil, reason: Reason) {
    self.line = line
    self.column = column
    self.columnName = columnName
    self.reason = reason
  }

  /// What can be wrong with a record, a line or a field.
  public enum Reason: Equatable, Sendable {
    /// The record is not CSV.
    case csv(CSVError.Problem)
    /// The line is not line protocol.
    case lineProtocol(LineProtocolError.Problem)
    /// The time cannot be read.
    case time(TimestampError)
    /// The value is not of its type.
    case value(PointValueError)
    /// The record names no entity.
    case entityMissing
    /// The record names no attribute.
    case attributeMissing
    /// The type of the value is not one of the known names.
    case typeUnknown
  }

  /// The line, the column and what is wrong, without any value of the input.
  public var description: String {
    var place = "line \(line)"
    if let columnName {
      place += ", column \"\(columnName)\""
    } else if let column {
      place += ", column \(column)"
    }
    return "\(place): \(advice)"
  }

  /// What is wrong and what to do, without the place.
  public var advice: String {
    switch reason {
    case .csv(let problem): CSVError(line: line, problem: problem).advice
    case .lineProtocol(let problem): problem.advice
    case .time(.unitMissing): "a plain number needs a unit: --precision s, ms, us or ns"
    case .time(let error): error.description
    case .value(let error): error.description
    case .entityMissing: "the entity is missing"
    case .attributeMissing: "the attribute is missing"
    case .typeUnknown: "unknown type; write number, integer, flag, label or document"
    }
  }
}

/// Why an input as a whole cannot be imported.
public enum ImportError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The file has no header line.
  case headerMissing
  /// The header line is not CSV.
  case header(CSVError)
  /// The header has a column without a name, counted from 1.
  case columnUnnamed(Int)
  /// The header has the same name twice.
  case columnTwice(String)
  /// A column that was asked for is not in the header.
  case columnUnknown(String)
  /// No column has the name of a time.
  case timeColumnUnknown
  /// No column has the name of an entity and none was given.
  case entityUnknown
  /// The long form was asked for, but no column has the name of an attribute or of a value.
  case longColumnsUnknown
  /// There is no column left that could hold values.
  case attributesMissing

  /// What is wrong and what to do.
  public var description: String {
    switch self {
    case .headerMissing: "the file is empty; the first line must name the columns"
    case .header(let error): error.description
    case .columnUnnamed(let index):
      "column \(index) has no name; name it, or leave it out with --ignore ''"
    case .columnTwice(let name): "the column \"\(name)\" stands twice in the header"
    case .columnUnknown(let name): "the header has no column \"\(name)\""
    case .timeColumnUnknown:
      "no column is named time, timestamp, ts, date or observed_at; say which one is the time with"
        + " --time-column"
    case .entityUnknown:
      "no column is named entity, host, device or id; say which one it is with --entity-column, or"
        + " give one entity with --entity"
    case .longColumnsUnknown:
      "the long form needs an attribute and a value column; say which ones they are with"
        + " --attribute-column and --value-column"
    case .attributesMissing: "there is no column besides the time and the entity"
    }
  }
}
