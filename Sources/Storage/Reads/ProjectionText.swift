// Takes apart the JSON text of the hot projection, as PostgreSQL prints jsonb.

/// Walks over the members of one JSON object without building a tree.
///
/// The text comes from PostgreSQL, which prints valid JSON in one way; whatever else is an error.
struct ProjectionText {
  private let bytes: [UInt8]
  private var index = 0

  init(_ text: String) { bytes = Array(text.utf8) }

  /// The members of the object: attribute id and the text of the value.
  static func members(
    _ text: String
  ) throws(StorageError) -> [(id: UInt32, value: ArraySlice<UInt8>)] {
    var scanner = ProjectionText(text)
    var members: [(id: UInt32, value: ArraySlice<UInt8>)] = []
    try scanner.take(UInt8(ascii: "{"))
    guard scanner.current != UInt8(ascii: "}") else { return members }
    while true {
      let key = try scanner.value()
      guard let id = UInt32(ProjectionText.text(try ProjectionText.string(key))) else {
        throw .unreadable("a key of the projection is no attribute id")
      }
      try scanner.take(UInt8(ascii: ":"))
      members.append((id, try scanner.value()))
      guard scanner.current == UInt8(ascii: ",") else { break }
      scanner.index += 1
    }
    try scanner.take(UInt8(ascii: "}"))
    return members
  }

  /// The contents of a JSON string, with its escapes undone.
  static func string(_ value: ArraySlice<UInt8>) throws(StorageError) -> [UInt8] {
    guard value.count >= 2, value.first == UInt8(ascii: "\""), value.last == UInt8(ascii: "\"")
    else {
      throw .unreadable("a value of the projection is no string")
    }
    var text: [UInt8] = []
    text.reserveCapacity(value.count)
    var rest = value.dropFirst().dropLast()
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "\\") else {
        text.append(byte)
        continue
      }
      guard let escaped = rest.popFirst() else { break }
      switch escaped {
      case UInt8(ascii: "b"): text.append(8)
      case UInt8(ascii: "t"): text.append(9)
      case UInt8(ascii: "n"): text.append(10)
      case UInt8(ascii: "f"): text.append(12)
      case UInt8(ascii: "r"): text.append(13)
      case UInt8(ascii: "u"):
        // PostgreSQL escapes control characters only, so there are no surrogates.
        guard
          let scalar = UInt32(ProjectionText.text(rest.prefix(4)), radix: 16).flatMap(
            Unicode.Scalar.init
          )
        else { throw .unreadable("an escape of the projection") }
        rest = rest.dropFirst(4)
        text.append(contentsOf: String(Character(scalar)).utf8)
      default: text.append(escaped)
      }
    }
    return text
  }

  static func text(_ bytes: some Sequence<UInt8>) -> String {
    String(decoding: Array(bytes), as: UTF8.self)
  }

  // MARK: Private

  /// The next byte that is no space; 0 at the end.
  private var current: UInt8 {
    mutating get {
      while index < bytes.count, bytes[index] == UInt8(ascii: " ") { index += 1 }
      return index < bytes.count ? bytes[index] : 0
    }
  }

  private mutating func take(_ expected: UInt8) throws(StorageError) {
    guard current == expected else { throw .unreadable("the projection is no JSON object") }
    index += 1
  }

  /// Passes over one value of any kind.
  private mutating func value() throws(StorageError) -> ArraySlice<UInt8> {
    _ = current
    let start = index
    var depth = 0
    while index < bytes.count {
      switch bytes[index] {
      case UInt8(ascii: "\""): skipString()
      case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
      case UInt8(ascii: "}") where depth == 0, UInt8(ascii: "]") where depth == 0,
        UInt8(ascii: ",") where depth == 0, UInt8(ascii: ":") where depth == 0:
        return try finished(start)
      case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
      default: break
      }
      index += 1
    }
    return try finished(start)
  }

  private func finished(_ start: Int) throws(StorageError) -> ArraySlice<UInt8> {
    guard index > start else { throw .unreadable("a value of the projection is missing") }
    return bytes[start..<index]
  }

  /// Moves to the closing quote.
  private mutating func skipString() {
    index += 1
    while index < bytes.count, bytes[index] != UInt8(ascii: "\"") {
      index += bytes[index] == UInt8(ascii: "\\") ? 2 : 1
    }
  }
}
