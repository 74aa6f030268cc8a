// Where in the input a value stood.

/// A line of one of the files.
struct SourceLine: Sendable {
  /// Index of the file.
  let file: UInt32
  /// The line, from 1.
  let line: UInt32

  init(file: Int, line: Int) {
    self.file = UInt32(clamping: file)
    self.line = UInt32(clamping: line)
  }
}

/// Something of the input that was not written.
struct InputProblem: Sendable {
  let source: SourceLine
  /// The byte or field of the line, from 1, where known.
  var column: Int?
  /// What is wrong and what to do.
  let advice: String
}
