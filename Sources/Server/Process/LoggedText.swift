// What clients say of themselves, in lines of the log.

extension String {
  /// The text in quotes, with all escaped that could end the line or tell a terminal something.
  var quotedForLog: String {
    let scalars = unicodeScalars.map { scalar in
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator: scalar.escaped(asASCII: true)
      default: scalar.escaped(asASCII: false)
      }
    }
    return "\"\(scalars.joined())\""
  }
}
