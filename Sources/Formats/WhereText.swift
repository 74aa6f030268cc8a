// The language of `--where`: conditions on the newest values of entities.

/// A condition in postfix order: what is compared, and how the results are put together.
///
/// ```
/// condition  = all { "or" all }
/// all        = one { "and" one }
/// one        = "not" one | "(" condition ")" | name comparison
/// comparison = "exists" | "starts" "with" literal
///            | ( "=" | "!=" | "<" | "<=" | ">" | ">=" ) literal
/// name       = letters, digits and . _ - / : , or anything in backquotes: `cpu load`
/// literal    = "text" or 'text' with the escapes of JSON, or a bare word: 20, -1.5e3, true, NaN
/// ```
///
/// Words of the language may be written in any case; names and texts are as they are. A condition
/// on an attribute that an entity does not have is false, whatever it compares.
public struct WhereText: Equatable, Sendable {
  /// How a value is compared.
  public enum Relation: Equatable, Sendable, CaseIterable {
    /// There is a value.
    case exists
    /// It is the same.
    case equal
    /// There is one, and it is another.
    case notEqual
    /// It is smaller.
    case less
    /// It is smaller or the same.
    case lessOrEqual
    /// It is greater.
    case greater
    /// It is greater or the same.
    case greaterOrEqual
    /// It is a text that starts so.
    case prefix
  }

  /// One step of the condition.
  public enum Step: Equatable, Sendable {
    /// Compares the value of an attribute with a literal; nil for `exists`.
    case comparison(name: String, Relation, literal: String?)
    /// All of the last results, at least 2.
    case all(Int)
    /// Any of the last results, at least 2.
    case any(Int)
    /// The opposite of the last result.
    case not
  }

  /// The steps, at least one.
  public private(set) var steps: [Step] = []

  /// Parentheses and `not` within each other.
  public static let depthMax = 64

  /// Reads a condition.
  ///
  /// - Throws: what is wrong and where.
  public init(_ text: String) throws(WhereError) {
    var scanner = WhereScanner(text)
    try condition(&scanner, depth: 0)
    let rest = try scanner.next()
    guard rest.kind == .end else { throw WhereError("this is too much", at: rest.offset) }
  }

  /// Every name that is compared, each once, in the order of the text.
  public var names: [String] {
    var names: [String] = []
    for case .comparison(let name, _, _) in steps where !names.contains(name) {
      names.append(name)
    }
    return names
  }

  private mutating func condition(
    _ scanner: inout WhereScanner,
    depth: Int
  ) throws(WhereError) {
    try conjunction(&scanner, depth: depth)
    var count = 1
    while try scanner.takes(word: "or") {
      try conjunction(&scanner, depth: depth)
      count += 1
    }
    if count > 1 { steps.append(.any(count)) }
  }

  private mutating func conjunction(
    _ scanner: inout WhereScanner,
    depth: Int
  ) throws(WhereError) {
    try term(&scanner, depth: depth)
    var count = 1
    while try scanner.takes(word: "and") {
      try term(&scanner, depth: depth)
      count += 1
    }
    if count > 1 { steps.append(.all(count)) }
  }

  private mutating func term(_ scanner: inout WhereScanner, depth: Int) throws(WhereError) {
    let token = try scanner.next()
    guard depth < WhereText.depthMax else {
      throw WhereError("more than \(WhereText.depthMax) levels", at: token.offset)
    }
    switch token.kind {
    case .word where token.isWord("not"):
      try term(&scanner, depth: depth + 1)
      steps.append(.not)
    case .symbol where token.text == "(":
      try condition(&scanner, depth: depth + 1)
      let close = try scanner.next()
      guard close.kind == .symbol, close.text == ")" else {
        throw WhereError("a parenthesis is not closed", at: close.offset)
      }
    case .word, .name: try comparison(token.text, &scanner)
    case .symbol, .string, .end: throw WhereError("expected a name", at: token.offset)
    }
  }

  private mutating func comparison(
    _ name: String,
    _ scanner: inout WhereScanner
  ) throws(WhereError) {
    let token = try scanner.next()
    if token.isWord("exists") {
      return steps.append(.comparison(name: name, .exists, literal: nil))
    }
    let relation: Relation
    switch (token.kind, token.text) {
    case (.symbol, "="): relation = .equal
    case (.symbol, "!="): relation = .notEqual
    case (.symbol, "<"): relation = .less
    case (.symbol, "<="): relation = .lessOrEqual
    case (.symbol, ">"): relation = .greater
    case (.symbol, ">="): relation = .greaterOrEqual
    default:
      guard token.isWord("starts"), try scanner.takes(word: "with") else {
        throw WhereError(
          "expected one of = != < <= > >= 'starts with' exists after '\(name)'",
          at: token.offset
        )
      }
      relation = .prefix
    }
    let literal = try scanner.next()
    guard literal.kind == .word || literal.kind == .string else {
      throw WhereError("expected a value", at: literal.offset)
    }
    steps.append(.comparison(name: name, relation, literal: literal.text))
  }
}

/// Why a condition cannot be read.
public struct WhereError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What is wrong.
  public var message: String
  /// Where, in characters from the start.
  public var offset: Int

  init(_ message: String, at offset: Int) {
    self.message = message
    self.offset = offset
  }

  /// What and where.
  public var description: String { "\(message), at character \(offset + 1)" }
}
