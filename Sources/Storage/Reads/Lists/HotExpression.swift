// The newest value of an attribute in SQL, the same words in filters, orders and indexes.

/// Writes expressions over the column `hot_attrs`; only words of this file and ids are in them.
///
/// An index holds the key of a value: the value itself, but of a label only the first characters,
/// because a b-tree refuses entries of more than 2,704 bytes, and then every write of such a label
/// would fail. Labels compare by bytes, so keys have the order of the labels, and a label that is
/// shorter than a key compares with keys as it does with labels.
enum HotExpression {
  /// Characters of a label that its key has; 512 bytes at most.
  static let keyCharacters = 128
  /// The column in the statements of lists.
  static let column = "j.hot_attrs"

  /// The value in the type of its column; NULL when there is none.
  static func value(_ id: UInt32, _ type: ValueType, in column: String = column) -> String {
    plain(id, type, column) + (type == .label ? " COLLATE \"C\"" : "")
  }

  /// What an index holds of the value.
  static func key(_ id: UInt32, _ type: ValueType, in column: String = column) -> String {
    type == .label
      ? key(of: plain(id, type, column), type) + " COLLATE \"C\"" : plain(id, type, column)
  }

  /// The key of another value of the type.
  static func key(of value: String, _ type: ValueType) -> String {
    type == .label ? "left(\(value), \(keyCharacters))" : value
  }

  /// Whether there is a value.
  static func isThere(_ id: UInt32, _ type: ValueType, in column: String = column) -> String {
    "\(plain(id, type, column)) IS NOT NULL"
  }

  /// Every expression that stands in conditions, for the planner's statistics.
  static func all(_ id: UInt32, _ type: ValueType, in column: String) -> [String] {
    let key = key(id, type, in: column)
    return type == .label ? [plain(id, type, column), key] : [key]
  }

  /// What stands behind ORDER BY: keys first, where an index may bring them in order.
  static func order(_ id: UInt32, _ type: ValueType, isDescending: Bool) -> [String] {
    let terms = type == .label ? [key(id, type), value(id, type)] : [value(id, type)]
    return terms.map { $0 + (isDescending ? " DESC" : "") }
  }

  /// Whether a value compares with keys as with values.
  static func isWhole(_ value: StoredValue) -> Bool {
    guard case .label(let text) = value else { return true }
    return text.unicodeScalars.count < keyCharacters
  }

  /// Whether a flag is the same: in words that an index on the flag serves, and for which its
  /// statistics count (`NOT flag` is neither).
  static func isFlag(_ id: UInt32, _ flag: Bool) -> String {
    "\(plain(id, .flag, column)) IS \(flag ? "TRUE" : "FALSE")"
  }

  /// A value to compare with.
  static func parameter(_ value: StoredValue) -> PostgresParameter {
    switch value {
    case .number(let number): .double(number)
    case .integer(let integer): .int64(integer)
    case .flag(let flag): .bool(flag)
    case .label(let text): .text(text)
    case .document(let json): .jsonb(json)
    }
  }

  /// Whether values of the type are smaller or greater than each other.
  static func isOrdered(_ type: ValueType) -> Bool {
    switch type {
    case .number, .integer, .label: true
    case .flag, .document: false
    }
  }

  private static func plain(_ id: UInt32, _ type: ValueType, _ column: String) -> String {
    switch type {
    case .number: "sluice.hot_number(\(column), '\(id)')"
    case .integer: "sluice.hot_integer(\(column), '\(id)')"
    case .flag: "sluice.hot_flag(\(column), '\(id)')"
    case .label: "sluice.hot_label(\(column), '\(id)')"
    case .document: "(\(column) -> '\(id)')"
    }
  }
}

extension StoredValue {
  /// The type of an attribute that has such values.
  var valueType: ValueType {
    switch self {
    case .number: .number
    case .integer: .integer
    case .flag: .flag
    case .label: .label
    case .document: .document
    }
  }
}
