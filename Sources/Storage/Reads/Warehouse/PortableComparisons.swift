// Compares newest values in the warehouse.

/// The newest value of an attribute, in words that PostgreSQL and Redshift share.
///
/// No type and no operator reaches into a JSON object on both, so functions do, which the warehouse
/// has to have: a subscriber has those of the migrations, and docs/reads.md gives Redshift's.
enum PortableHot {
  /// The value in the type of its column; NULL when there is none.
  static func value(_ id: UInt32, _ type: ValueType) -> String {
    let value = "sluice.\(function(type))(j.hot_attrs, '\(id)')"
    // A key compares by its bytes wherever it lies, and what is joined to a part of it does, too:
    // so no word is needed for an order that only PostgreSQL has a name for.
    return type == .label ? "(left(e.external_key, 0) || \(value))" : value
  }

  private static func function(_ type: ValueType) -> String {
    switch type {
    case .number: "hot_number"
    case .integer: "hot_integer"
    case .flag: "hot_flag"
    case .label: "hot_label"
    case .document: "hot_document"
    }
  }
}

/// A text that is compared by all of its bytes.
///
/// To Redshift blanks at the end of a text are not there when it compares: of texts that are the
/// same to it the shorter one comes first. PostgreSQL knows no such texts, so there the lengths
/// never differ.
struct PortableText {
  /// The text in SQL.
  let expression: String

  /// What stands behind ORDER BY.
  func order(isDescending: Bool) -> [String] {
    [expression, "octet_length(\(expression))"].map { $0 + (isDescending ? " DESC" : "") }
  }

  /// Whether it compares so with another text.
  func compared(
    _ relation: EntityFilter.Relation,
    _ text: String,
    _ parameters: inout PortableParameters
  ) -> String {
    switch relation {
    case .exists: return "\(expression) IS NOT NULL"
    case .equal: return same(text, parameters.text(text))
    case .notEqual:
      let bytes = text.utf8.count
      return
        "(\(expression) <> \(parameters.text(text)) OR octet_length(\(expression)) <> \(bytes))"
    case .less, .lessOrEqual: return beside(text, "<", relation.sign, &parameters)
    case .greater, .greaterOrEqual: return beside(text, ">", relation.sign, &parameters)
    case .prefix:
      guard !text.isEmpty else { return "\(expression) IS NOT NULL" }
      let start = "left(\(expression), \(text.unicodeScalars.count))"
      return PortableText(expression: start).same(text, parameters.text(text))
    }
  }

  private func same(_ text: String, _ parameter: String) -> String {
    "(\(expression) = \(parameter) AND octet_length(\(expression)) = \(text.utf8.count))"
  }

  private func beside(
    _ text: String,
    _ sign: String,
    _ signOfLengths: String,
    _ parameters: inout PortableParameters
  ) -> String {
    let parameter = parameters.text(text)
    let isLonger = "octet_length(\(expression)) \(signOfLengths) \(text.utf8.count)"
    return "(\(expression) \(sign) \(parameter) OR (\(expression) = \(parameter) AND \(isLonger)))"
  }
}

extension PortableParameters: ComparisonWriter {
  mutating func comparison(
    _ id: UInt32,
    _ type: ValueType,
    _ relation: EntityFilter.Relation,
    _ value: StoredValue?
  ) -> String {
    let hot = PortableHot.value(id, type)
    return value.map { compared(hot, relation, $0) } ?? "\(hot) IS NOT NULL"
  }

  /// Whether a value in SQL compares so with another of its type.
  mutating func compared(
    _ hot: String,
    _ relation: EntityFilter.Relation,
    _ value: StoredValue
  ) -> String {
    switch value {
    case .number(let number): return "\(hot) \(relation.sign) \(double(number))"
    case .integer(let number): return "\(hot) \(relation.sign) \(integer(number))"
    case .flag(let flag): return "\(hot) IS \((relation == .equal) == flag ? "TRUE" : "FALSE")"
    case .label(let label):
      return PortableText(expression: hot).compared(relation, label, &self)
    case .document(let document):
      let isSame = "sluice.same_document(\(hot), \(text(document)))"
      return relation == .equal ? isSame : "NOT \(isSame)"
    }
  }
}
