// Takes apart the JSON text of the hot projection, as PostgreSQL prints jsonb.

/// Walks over the members of one JSON object where it lies, without building a tree.
///
/// The text comes from PostgreSQL, which prints valid JSON in one way; whatever else is an error.
/// Keys are attribute ids and rise: jsonb orders keys by their length, then by their bytes.
struct ProjectionMembers: ~Escapable {
  private let text: RawSpan
  private var index = 0
  /// The key of the current member; 0 before the first.
  private(set) var id: UInt32 = 0
  /// Where its value lies in the text.
  private(set) var value = 0..<0

  @_lifetime(copy text)
  init(_ text: RawSpan) throws(StorageError) {
    self.text = text
    try take(UInt8(ascii: "{"))
  }

  /// Moves to the next member; false at the end.
  mutating func next() throws(StorageError) -> Bool {
    if id != 0, current == UInt8(ascii: ",") { index += 1 }
    guard current != UInt8(ascii: "}") else { return false }
    let last = id
    id = try key()
    guard id > last else { throw .unreadable("attributes of the projection that do not rise") }
    value = try passValue()
    return true
  }

  private mutating func key() throws(StorageError) -> UInt32 {
    try take(UInt8(ascii: "\""))
    var id: UInt32 = 0
    while index < text.byteCount, case let digit = text.byte(index) &- 0x30, digit < 10 {
      let (tens, isTooLarge) = id.multipliedReportingOverflow(by: 10)
      let (sum, isTooLargeAtLast) = tens.addingReportingOverflow(UInt32(digit))
      guard !isTooLarge, !isTooLargeAtLast else {
        throw .unreadable("a key of the projection is no attribute id")
      }
      id = sum
      index += 1
    }
    try take(UInt8(ascii: "\""))
    try take(UInt8(ascii: ":"))
    return id
  }

  /// The next byte that is no space; 0 at the end.
  private var current: UInt8 {
    mutating get {
      while index < text.byteCount, text.byte(index) == UInt8(ascii: " ") { index += 1 }
      return index < text.byteCount ? text.byte(index) : 0
    }
  }

  private mutating func take(_ expected: UInt8) throws(StorageError) {
    guard current == expected else { throw .unreadable("the projection is no JSON object") }
    index += 1
  }

  /// Passes over one value of any kind.
  private mutating func passValue() throws(StorageError) -> Range<Int> {
    let first = current
    let start = index
    switch first {
    case UInt8(ascii: "\""):
      skipString()
      index += 1
    case UInt8(ascii: "{"), UInt8(ascii: "["): skipNested()
    default: while !isAtEndOfScalar { index += 1 }
    }
    guard index > start, index < text.byteCount else {
      throw .unreadable("a value of the projection is missing")
    }
    return start..<index
  }

  private var isAtEndOfScalar: Bool {
    guard index < text.byteCount else { return true }
    let byte = text.byte(index)
    return byte == UInt8(ascii: ",") || byte == UInt8(ascii: "}")
  }

  /// Moves behind the bracket that closes the one here.
  private mutating func skipNested() {
    var depth = 0
    while index < text.byteCount {
      switch text.byte(index) {
      case UInt8(ascii: "\""): skipString()
      case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
      default: break
      }
      index += 1
      if depth == 0 { return }
    }
  }

  /// Moves to the closing quote.
  private mutating func skipString() {
    index += 1
    while index < text.byteCount, text.byte(index) != UInt8(ascii: "\"") {
      index += text.byte(index) == UInt8(ascii: "\\") ? 2 : 1
    }
  }
}

extension StoredValue {
  /// Reads a value of the projection: undoes what the migration's comment on `hot_attrs` says.
  ///
  /// - Throws: `.unreadable` when it is not of the type.
  init(projected text: RawSpan, _ type: ValueType) throws(StorageError) {
    switch type {
    case .number:
      let isString = text.byteCount > 0 && text.byte(0) == UInt8(ascii: "\"")
      // Reads "NaN", "Infinity", "-Infinity" and "-0", too.
      guard let number = Double(isString ? try StoredValue.unescaped(text) : text.utf8Text) else {
        throw .unreadable("a hot number")
      }
      self = .number(number)
    case .integer:
      guard let integer = text.decimal else { throw .unreadable("a hot integer") }
      self = .integer(integer)
    case .flag:
      guard let flag = Bool(text.utf8Text) else { throw .unreadable("a hot flag") }
      self = .flag(flag)
    case .label: self = .label(try StoredValue.unescaped(text))
    case .document: self = .document(text.utf8Text)
    }
  }

  /// The contents of a JSON string, with its escapes undone.
  private static func unescaped(_ value: RawSpan) throws(StorageError) -> String {
    let last = value.byteCount - 1
    guard last >= 1, value.byte(0) == UInt8(ascii: "\""), value.byte(last) == UInt8(ascii: "\"")
    else { throw .unreadable("a value of the projection is no string") }
    let inside = value.extracting(1..<last)
    var text: [UInt8] = []
    var index = 0
    var copied = 0
    while index < inside.byteCount {
      guard inside.byte(index) == UInt8(ascii: "\\"), index + 1 < inside.byteCount else {
        index += 1
        continue
      }
      text += inside.extracting(copied..<index).copied
      index += try append(escape: inside.extracting((index + 1)...), to: &text)
      copied = index
    }
    guard copied > 0 else { return inside.utf8Text }
    text += inside.extracting(copied...).copied
    return String(decoding: text, as: UTF8.self)
  }

  /// Appends what an escape means; returns its length with the backslash.
  private static func append(
    escape: RawSpan,
    to text: inout [UInt8]
  ) throws(StorageError) -> Int {
    switch escape.byte(0) {
    case UInt8(ascii: "b"): text.append(8)
    case UInt8(ascii: "t"): text.append(9)
    case UInt8(ascii: "n"): text.append(10)
    case UInt8(ascii: "f"): text.append(12)
    case UInt8(ascii: "r"): text.append(13)
    case UInt8(ascii: "u"):
      // PostgreSQL escapes control characters only, so there are no surrogates.
      guard escape.byteCount >= 5,
        let code = UInt32(escape.extracting(1..<5).utf8Text, radix: 16),
        let scalar = Unicode.Scalar(code)
      else { throw .unreadable("an escape of the projection") }
      text += String(Character(scalar)).utf8
      return 6
    case let byte: text.append(byte)
    }
    return 2
  }
}
