// The one thing that every import produces: a value of an attribute of an entity at a time.

/// One telemetry value with the names it came with.
public struct Point: Equatable, Sendable {
  /// The key of the entity, for example a host name.
  public var entity: String
  /// The name of the attribute, for example `cpu.user_percent`.
  public var attribute: String
  /// When the value was observed.
  public var time: Timestamp
  /// The value with its type.
  public var value: PointValue
  /// The text of the value when its type was only guessed: whoever knows the type reads it anew.
  public var guessedText: String?

  /// Puts a point together; without a guessed text the input itself has said the type.
  public init(
    entity: String,
    attribute: String,
    time: Timestamp,
    value: PointValue,
    guessedText: String? = nil
  ) {
    self.entity = entity
    self.attribute = attribute
    self.time = time
    self.value = value
    self.guessedText = guessedText
  }
}

/// The types a value can have.
public enum PointType: String, CaseIterable, Sendable {
  /// A double.
  case number
  /// A signed 64-bit integer.
  case integer
  /// True or false.
  case flag
  /// A text.
  case label
  /// A JSON text.
  case document

  /// Reads the name of a type, in any case, with the synonyms of databases and languages.
  public init?(name: String) {
    switch name.lowercased() {
    case "number", "float", "float8", "double", "double precision", "real": self = .number
    case "integer", "int", "int8", "int64", "bigint", "long": self = .integer
    case "flag", "bool", "boolean": self = .flag
    case "label", "text", "string": self = .label
    case "document", "json", "jsonb": self = .document
    default: return nil
    }
  }
}

/// A value with its type.
///
/// Numbers compare as doubles do: NaN differs from itself.
public enum PointValue: Equatable, Sendable, CustomStringConvertible {
  /// A double, NaN and infinities included.
  case number(Double)
  /// A signed 64-bit integer.
  case integer(Int64)
  /// True or false.
  case flag(Bool)
  /// A text without NUL characters.
  case label(String)
  /// A JSON text.
  case document(String)

  /// The type without the value.
  public var type: PointType {
    switch self {
    case .number: .number
    case .integer: .integer
    case .flag: .flag
    case .label: .label
    case .document: .document
    }
  }

  /// The value as it would be written in a CSV file; numbers read back as the same number.
  public var description: String {
    switch self {
    case .number(let number): JSONWriter.text(of: number)
    case .integer(let integer): String(integer)
    case .flag(let flag): flag ? "true" : "false"
    case .label(let label): label
    case .document(let document): document
    }
  }

  /// Reads a text as a value of the given type.
  ///
  /// - Parameters:
  ///   - text: the text; blanks around numbers, integers and flags are ignored.
  ///   - type: the type it must have.
  /// - Throws: why the text is not a value of that type.
  public init(parsing text: String, as type: PointType) throws(PointValueError) {
    try self.init(bytes: Array(text.utf8)[...], as: type)
  }

  /// Reads the bytes of a field, which must be UTF-8.
  init(bytes: ArraySlice<UInt8>, as type: PointType) throws(PointValueError) {
    switch type {
    case .number:
      guard let number = NumberText.double(Ascii.trimmed(bytes)) else { throw .notNumber }
      self = .number(number)
    case .integer:
      let trimmed = Ascii.trimmed(bytes)
      guard let integer = NumberText.integer(trimmed) else {
        throw NumberText.isInteger(trimmed) ? .integerTooLarge : .notInteger
      }
      self = .integer(integer)
    case .flag:
      guard let flag = Self.flag(Ascii.trimmed(bytes)) else { throw .notFlag }
      self = .flag(flag)
    case .label:
      guard !bytes.contains(0) else { throw .containsNul }
      self = .label(String(decoding: bytes, as: UTF8.self))
    case .document:
      try JSONScanner.check(bytes)
      self = .document(String(decoding: bytes, as: UTF8.self))
    }
  }

  /// The words that a declared flag may be written with.
  private static func flag(_ bytes: ArraySlice<UInt8>) -> Bool? {
    for word in ["true", "t", "yes", "y", "on", "1"]
    where Ascii.equals(bytes, ignoringCase: word) {
      return true
    }
    for word in ["false", "f", "no", "n", "off", "0"]
    where Ascii.equals(bytes, ignoringCase: word) {
      return false
    }
    return nil
  }
}

/// Why a text is not a value of the type it should have.
public enum PointValueError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Not a decimal number, or too large for a double.
  case notNumber
  /// Not a whole decimal number.
  case notInteger
  /// A whole number outside 64 bits.
  case integerTooLarge
  /// None of the words for true and false.
  case notFlag
  /// Not JSON, from this byte on.
  case notDocument(offset: Int)
  /// JSON with more arrays and objects inside each other than the limit.
  case documentTooDeep(max: Int)
  /// A NUL character, which PostgreSQL cannot store in text.
  case containsNul

  /// What is wrong.
  public var description: String {
    switch self {
    case .notNumber: "not a number"
    case .notInteger: "not an integer"
    case .integerTooLarge: "the integer does not fit 64 bits"
    case .notFlag: "not a flag; write true or false"
    case .notDocument(let offset): "not valid JSON at byte \(offset + 1)"
    case .documentTooDeep(let max): "the JSON nests deeper than \(max) levels"
    case .containsNul: "contains a NUL character, which PostgreSQL cannot store"
    }
  }
}
