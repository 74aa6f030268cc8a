// Tells code from comments and strings, so that a rule about code does not hit a sentence about it.

/// A Swift file by lines; what stands inside string literals is in neither part.
struct SwiftSource {
  /// One line; a string literal is an empty one in its code.
  struct Line: Equatable {
    var code: String
    var comment: String
  }

  let lines: [Line]

  init(_ text: String) {
    var scanner = SwiftScanner(bytes: Array(text.utf8))
    lines = scanner.scan()
  }

  /// Whether line `index`, the one before it or one of the `linesAfter` has a comment.
  func isExplained(_ index: Int, linesAfter: Int = 0) -> Bool {
    lines[max(index - 1, 0)...min(index + linesAfter, lines.count - 1)]
      .contains { !$0.comment.isEmpty }
  }
}

/// Walks once over the bytes with a stack of what it is in; interpolations are code again.
private struct SwiftScanner {
  private enum Context {
    case code(parentheses: Int)
    case lineComment
    case blockComment(depth: Int)
    case string(delimiter: [UInt8], escape: [UInt8])
  }

  /// What may begin something else; bytes up to one of them are taken together.
  private static let codeEnds = table("/\"#()\n")
  private static let commentEnds = table("\n")
  private static let stringEnds = table("\"\\#\n")

  private static func table(_ ends: String) -> [Bool] {
    (0...UInt8.max).map { ends.utf8.contains($0) }
  }

  private let bytes: [UInt8]
  private var index = 0
  private var contexts: [Context] = [.code(parentheses: 0)]
  private var code: [UInt8] = []
  private var comment: [UInt8] = []
  private var lines: [SwiftSource.Line] = []

  init(bytes: [UInt8]) { self.bytes = bytes }

  mutating func scan() -> [SwiftSource.Line] {
    while index < bytes.count {
      if bytes[index] == UInt8(ascii: "\n") {
        endLine()
        index += 1
        continue
      }
      switch contexts[contexts.count - 1] {
      case .code(let parentheses): scanCode(parentheses)
      case .lineComment: comment += run(Self.commentEnds)
      case .blockComment(let depth): scanBlockComment(depth)
      case .string(let delimiter, let escape): scanString(delimiter, escape)
      }
    }
    endLine()
    return lines
  }

  private mutating func scanCode(_ parentheses: Int) {
    guard Self.codeEnds[Int(bytes[index])] else { return code += run(Self.codeEnds) }
    if isNext("//") {
      contexts.append(.lineComment)
      append(2, to: \.comment)
    } else if isNext("/*") {
      contexts.append(.blockComment(depth: 1))
      append(2, to: \.comment)
    } else if let (delimiter, escape) = openingQuotes() {
      contexts.append(.string(delimiter: delimiter, escape: escape))
      code += Array("\"\"".utf8)
      index += delimiter.count
    } else {
      scanParenthesis(parentheses)
    }
  }

  private mutating func scanParenthesis(_ parentheses: Int) {
    switch bytes[index] {
    case UInt8(ascii: "("): replaceTop(.code(parentheses: parentheses + 1))
    case UInt8(ascii: ")"):
      guard parentheses > 0 || contexts.count == 1 else {
        // The interpolation ends; its string goes on.
        contexts.removeLast()
        index += 1
        return
      }
      replaceTop(.code(parentheses: max(parentheses - 1, 0)))
    default: break
    }
    append(to: \.code)
  }

  private mutating func scanBlockComment(_ depth: Int) {
    if isNext("*/") {
      if depth == 1 { contexts.removeLast() } else { replaceTop(.blockComment(depth: depth - 1)) }
      append(2, to: \.comment)
    } else if isNext("/*") {
      replaceTop(.blockComment(depth: depth + 1))
      append(2, to: \.comment)
    } else {
      append(to: \.comment)
    }
  }

  private mutating func scanString(_ delimiter: [UInt8], _ escape: [UInt8]) {
    guard Self.stringEnds[Int(bytes[index])] else {
      _ = run(Self.stringEnds)
      return
    }
    if isNext(escape) {
      index += escape.count
      guard index < bytes.count else { return }
      if bytes[index] == UInt8(ascii: "(") { contexts.append(.code(parentheses: 0)) }
      // A line that ends in an escape still ends.
      if bytes[index] != UInt8(ascii: "\n") { index += 1 }
    } else if isNext(delimiter) {
      contexts.removeLast()
      index += delimiter.count
    } else {
      index += 1
    }
  }

  /// What closes the literal that opens here, and its escape, each with the `#` it opens with.
  private func openingQuotes() -> (delimiter: [UInt8], escape: [UInt8])? {
    var position = index
    while position < bytes.count, bytes[position] == UInt8(ascii: "#") { position += 1 }
    let hashes = [UInt8](repeating: UInt8(ascii: "#"), count: position - index)
    guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") else { return nil }
    let isMultiline = bytes[position...].starts(with: Array("\"\"\"".utf8))
    return (Array((isMultiline ? "\"\"\"" : "\"").utf8) + hashes, Array("\\".utf8) + hashes)
  }

  private mutating func endLine() {
    switch contexts[contexts.count - 1] {
    case .lineComment: contexts.removeLast()
    // Not valid Swift; going on in code keeps the rest of the file checked.
    case .string(let delimiter, _) where !delimiter.starts(with: Array("\"\"\"".utf8)):
      contexts.removeLast()
    case .code, .blockComment, .string: break
    }
    lines.append(
      SwiftSource.Line(
        code: String(decoding: code, as: UTF8.self),
        comment: String(decoding: comment, as: UTF8.self)
      )
    )
    code = []
    comment = []
  }

  private func isNext(_ text: String) -> Bool { bytes[index...].starts(with: text.utf8) }
  private func isNext(_ text: [UInt8]) -> Bool { bytes[index...].starts(with: text) }
  private mutating func replaceTop(_ context: Context) { contexts[contexts.count - 1] = context }

  /// Goes on to the next of the bytes that may begin something else; returns what is before it.
  private mutating func run(_ ends: [Bool]) -> ArraySlice<UInt8> {
    let start = index
    while index < bytes.count, !ends[Int(bytes[index])] { index += 1 }
    return bytes[start..<index]
  }

  private mutating func append(_ count: Int = 1, to part: WritableKeyPath<Self, [UInt8]>) {
    self[keyPath: part] += bytes[index..<index + count]
    index += count
  }
}
