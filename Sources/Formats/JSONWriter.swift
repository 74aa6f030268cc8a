// Writes JSON as it goes, so that a million rows are printed without being held.

/// A streaming writer of JSON texts, one after the other, each ended by a line feed.
///
/// The caller opens and closes objects and arrays in order; a wrong order is a broken program and
/// stops it. What has been written is taken with `take()`.
public struct JSONWriter: Sendable {
  private var output = ""
  private var levels: [Level] = []
  private let indentation: Int?

  private struct Level {
    let isObject: Bool
    var count = 0
    var hasKey = false
  }

  /// Starts a writer.
  ///
  /// - Parameter indentation: blanks for each level, or nil for compact lines (one text a line).
  public init(indentation: Int? = nil) {
    self.indentation = indentation
  }

  /// Hands over what has been written since the last call; it may end in the middle of a text.
  public mutating func take() -> String {
    let taken = output
    output = ""
    return taken
  }

  /// Opens an object.
  public mutating func beginObject() {
    open(isObject: true)
  }

  /// Closes the innermost object.
  public mutating func endObject() {
    close(isObject: true)
  }

  /// Opens an array.
  public mutating func beginArray() {
    open(isObject: false)
  }

  /// Closes the innermost array.
  public mutating func endArray() {
    close(isObject: false)
  }

  /// Writes the key of the next value of an object.
  public mutating func key(_ name: String) {
    precondition(levels.last?.isObject == true, "a key stands in an object")
    precondition(levels.last?.hasKey == false, "a key is followed by its value")
    separate()
    Self.append(name, to: &output)
    output += indentation == nil ? ":" : ": "
    levels[levels.count - 1].hasKey = true
  }

  /// Writes a string.
  public mutating func value(_ text: String) {
    beginValue()
    Self.append(text, to: &output)
    endValue()
  }

  /// Writes a number that reads back as the same double; NaN and infinities are written as strings.
  public mutating func value(_ number: Double) {
    let text = Self.text(of: number)
    if number.isFinite { raw(text) } else { value(text) }
  }

  /// Writes an integer of any size.
  public mutating func value(_ integer: some BinaryInteger) {
    raw(String(integer))
  }

  /// Writes true or false.
  public mutating func value(_ flag: Bool) {
    raw(flag ? "true" : "false")
  }

  /// Writes a telemetry value; a document is copied as the JSON it is.
  public mutating func value(_ value: PointValue) {
    switch value {
    case .number(let number): self.value(number)
    case .integer(let integer): self.value(integer)
    case .flag(let flag): self.value(flag)
    case .label(let label): self.value(label)
    case .document(let document): raw(document)
    }
  }

  /// Writes null.
  public mutating func null() {
    raw("null")
  }

  /// Copies a text that is already one JSON value.
  public mutating func raw(_ json: String) {
    beginValue()
    output += json
    endValue()
  }

  /// The shortest text that reads back as the same double; `NaN`, `Infinity` and `-Infinity`.
  public static func text(of number: Double) -> String {
    guard number.isFinite else {
      guard !number.isNaN else { return "NaN" }
      return number < 0 ? "-Infinity" : "Infinity"
    }
    let text = number.description
    // 5.0 is written 5, as people and PostgreSQL do; -0.0 keeps its sign as -0.
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
  }

  private mutating func open(isObject: Bool) {
    beginValue()
    output += isObject ? "{" : "["
    levels.append(Level(isObject: isObject))
  }

  private mutating func close(isObject: Bool) {
    guard let level = levels.popLast() else { preconditionFailure("nothing is open") }
    precondition(level.isObject == isObject, "the innermost level is of the other kind")
    precondition(!level.hasKey, "a key is followed by its value")
    if level.count > 0 { breakLine() }
    output += isObject ? "}" : "]"
    endValue()
  }

  private mutating func beginValue() {
    guard let level = levels.last else { return }
    precondition(!level.isObject || level.hasKey, "a value in an object has a key")
    if !level.isObject { separate() }
  }

  private mutating func endValue() {
    guard !levels.isEmpty else {
      output += "\n"
      return
    }
    levels[levels.count - 1].hasKey = false
  }

  private mutating func separate() {
    if levels[levels.count - 1].count > 0 { output += "," }
    levels[levels.count - 1].count += 1
    breakLine()
  }

  private mutating func breakLine() {
    guard let indentation else { return }
    output += "\n" + String(repeating: " ", count: indentation * levels.count)
  }

  /// Appends a string in quotes, escaping what RFC 8259, section 7, requires.
  private static func append(_ text: String, to output: inout String) {
    output += "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": output += "\\\""
      case "\\": output += "\\\\"
      case "\n": output += "\\n"
      case "\r": output += "\\r"
      case "\t": output += "\\t"
      // Delete and the C1 controls may stand unescaped, but would reach a terminal.
      case "\0"..<" ", "\u{7F}"..<"\u{A0}":
        let digits = String(scalar.value, radix: 16)
        output += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: output.unicodeScalars.append(scalar)
      }
    }
    output += "\""
  }
}
