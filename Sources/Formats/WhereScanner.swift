// Cuts the language of `--where` into words, names, texts and symbols.

/// Walks over a condition, token by token.
struct WhereScanner {
  /// What a token is.
  enum Kind: Equatable {
    /// Bare: a name, a number, or a word of the language.
    case word
    /// A name in backquotes.
    case name
    /// A text in quotes, with its escapes undone.
    case string
    case symbol
    case end
  }

  struct Token: Equatable {
    var kind: Kind
    var text: String
    /// Characters from the start.
    var offset: Int

    func isWord(_ word: String) -> Bool { kind == .word && text.lowercased() == word }
  }

  private let characters: [Character]
  private var index = 0

  init(_ text: String) { characters = Array(text) }

  /// The next token; `.end` at the end, again and again.
  mutating func next() throws(WhereError) -> Token {
    while index < characters.count, characters[index].isWhitespace { index += 1 }
    let start = index
    guard index < characters.count else { return Token(kind: .end, text: "", offset: start) }
    let first = characters[index]
    switch first {
    case "\"", "'":
      return Token(kind: .string, text: try quoted(by: first), offset: start)
    case "`":
      let name = try quoted(by: first)
      guard !name.isEmpty else { throw WhereError("a name is empty", at: start) }
      return Token(kind: .name, text: name, offset: start)
    case "(", ")", "=":
      index += 1
      return Token(kind: .symbol, text: String(first), offset: start)
    case "!", "<", ">":
      index += 1
      var text = String(first)
      if index < characters.count, characters[index] == "=" {
        text.append("=")
        index += 1
      }
      guard text != "!" else { throw WhereError("'!' is not known; write not or !=", at: start) }
      return Token(kind: .symbol, text: text, offset: start)
    default:
      while index < characters.count, WhereScanner.isBare(characters[index]) { index += 1 }
      guard index > start else {
        throw WhereError("'\(first)' is not known here", at: start)
      }
      return Token(kind: .word, text: String(characters[start..<index]), offset: start)
    }
  }

  /// Takes the next token if it is this word.
  mutating func takes(word: String) throws(WhereError) -> Bool {
    let before = index
    if try next().isWord(word) { return true }
    index = before
    return false
  }

  private static func isBare(_ character: Character) -> Bool {
    character.isLetter || character.isNumber || "._-/:+%@#".contains(character)
  }

  private mutating func quoted(by quote: Character) throws(WhereError) -> String {
    let start = index
    index += 1
    var text = ""
    while index < characters.count {
      let character = characters[index]
      index += 1
      if character == quote { return text }
      guard character == "\\", quote != "`" else {
        text.append(character)
        continue
      }
      text.append(try escaped(start))
    }
    throw WhereError("a quote is not closed", at: start)
  }

  /// What a backslash stands for, as in JSON.
  private mutating func escaped(_ start: Int) throws(WhereError) -> Character {
    guard index < characters.count else { throw WhereError("a quote is not closed", at: start) }
    let character = characters[index]
    index += 1
    switch character {
    case "\"", "'", "\\", "/": return character
    case "b": return "\u{8}"
    case "f": return "\u{c}"
    case "n": return "\n"
    case "r": return "\r"
    case "t": return "\t"
    case "u":
      let digits = String(characters[index..<min(index + 4, characters.count)])
      guard digits.count == 4, let code = UInt32(digits, radix: 16), code > 0,
        let scalar = Unicode.Scalar(code)
      else { throw WhereError("\\u wants four hexadecimal digits of a character", at: index) }
      index += 4
      return Character(scalar)
    default: throw WhereError("'\\\(character)' is no escape", at: index - 1)
    }
  }
}
