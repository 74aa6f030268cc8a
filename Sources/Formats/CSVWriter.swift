// Writes CSV files (RFC 4180) that `CSVReader` and spreadsheets read back as they were.

/// A streaming writer; what has been written is taken with `take()`.
public struct CSVWriter: Sendable {
  private let delimiter: UInt8
  private let lineEnd: String
  private var output = ""
  private var isAtStart = true

  /// Starts a file.
  ///
  /// - Parameters:
  ///   - delimiter: the byte between fields, an ASCII character other than a quote or line end.
  ///   - lineEnd: what ends a record, LF or CRLF.
  public init(delimiter: UInt8 = UInt8(ascii: ","), lineEnd: String = "\n") {
    precondition(delimiter < 0x80, "the delimiter is an ASCII character")
    self.delimiter = delimiter
    self.lineEnd = lineEnd
  }

  /// Writes one record of at least one field.
  public mutating func write(_ fields: [String]) {
    precondition(!fields.isEmpty, "a record has at least one field")
    for (index, field) in fields.enumerated() {
      if index > 0 { output.unicodeScalars.append(Unicode.Scalar(delimiter)) }
      // A lone empty field would look like a blank line, a first U+FEFF like a byte order mark.
      let isMistakable =
        field.isEmpty ? fields.count == 1 : isAtStart && field.unicodeScalars.first == "\u{FEFF}"
      append(field, isQuoted: isMistakable || mustQuote(field))
      isAtStart = false
    }
    output += lineEnd
  }

  /// Hands over what has been written since the last call.
  public mutating func take() -> String {
    let taken = output
    output = ""
    return taken
  }

  private func mustQuote(_ field: String) -> Bool {
    field.utf8.contains {
      $0 == delimiter || $0 == Ascii.quote || $0 == Ascii.lineFeed || $0 == Ascii.carriageReturn
    }
  }

  private mutating func append(_ field: String, isQuoted: Bool) {
    guard isQuoted else {
      output += field
      return
    }
    output += "\""
    for scalar in field.unicodeScalars {
      if scalar == "\"" { output += "\"" }
      output.unicodeScalars.append(scalar)
    }
    output += "\""
  }
}
