// Conditions as SQL. Only this file's own words and attribute ids are in it: values are parameters.

/// Parameters of a statement, numbered as they are added.
struct NumberedParameters {
  private(set) var values: [PostgresParameter] = []

  /// Adds a parameter and names it.
  mutating func add(_ value: PostgresParameter) -> String {
    values.append(value)
    return "$\(values.count)"
  }
}

/// Writes comparisons in words of a server, and keeps their values as its parameters.
protocol ComparisonWriter {
  /// A comparison of the newest value of an attribute.
  ///
  /// - Parameters:
  ///   - id: of the attribute.
  ///   - type: of the attribute, and of the value.
  ///   - relation: one that the type has.
  ///   - value: nil for `exists` alone.
  /// - Returns: a condition that is NULL or false when there is no newest value.
  mutating func comparison(
    _ id: UInt32,
    _ type: ValueType,
    _ relation: EntityFilter.Relation,
    _ value: StoredValue?
  ) -> String
}

/// A condition that has been checked against the types of its attributes.
struct FilterSQL {
  /// What stands behind WHERE.
  let text: String
  /// Whether it can be true of an entity without any newest value.
  let holdsForNothing: Bool
  /// The attributes without whose newest values it is true of no entity.
  let required: Set<UInt32>

  /// A part of the condition.
  private struct Term {
    var text: String
    var holdsForNothing = false
    var required: Set<UInt32> = []
  }

  /// - Parameters:
  ///   - filter: the condition.
  ///   - attribute: what is known of one; nil when there is none.
  ///   - writer: writes the comparisons, and takes the values.
  /// - Throws: `.attributeNotFound`, `.attributeNotHot`, `.badFilter`, with the step.
  init(
    _ filter: EntityFilter,
    attribute: (UInt32) -> CatalogAttribute?,
    _ writer: inout some ComparisonWriter
  ) throws(StorageError) {
    var stack: [Term] = []
    for (index, step) in filter.steps.enumerated() {
      switch step {
      case .comparison(let id, let relation, let value):
        guard let attribute = attribute(id) else { throw .attributeNotFound(index: index) }
        guard attribute.isHot else { throw .attributeNotHot(step: index) }
        let type = attribute.type
        if let problem = FilterSQL.problem(type, relation, value) {
          throw .badFilter(step: index, problem)
        }
        let text = writer.comparison(id, type, relation, value)
        stack.append(Term(text: text, required: [id]))
      case .all(let count), .any(let count):
        guard count > 0, count <= stack.count else {
          throw .badFilter(step: index, .tooFewOperands)
        }
        let operands = stack.suffix(count)
        stack.removeLast(count)
        let isAll = if case .all = step { true } else { false }
        stack.append(isAll ? FilterSQL.all(operands) : FilterSQL.any(operands))
      case .not:
        guard let operand = stack.popLast() else {
          throw .badFilter(step: index, .tooFewOperands)
        }
        // A comparison with what is missing is NULL, and its opposite is to be true.
        let text = "(\(operand.text)) IS NOT TRUE"
        stack.append(Term(text: text, holdsForNothing: !operand.holdsForNothing))
      }
    }
    guard stack.count == 1 else { throw .badFilter(step: filter.steps.count, .notOneResult) }
    (text, holdsForNothing, required) = (
      stack[0].text, stack[0].holdsForNothing, stack[0].required
    )
  }

  private static func all(_ operands: ArraySlice<Term>) -> Term {
    Term(
      text: operands.map { "(\($0.text))" }.joined(separator: " AND "),
      holdsForNothing: operands.allSatisfy(\.holdsForNothing),
      required: operands.reduce(into: []) { $0.formUnion($1.required) }
    )
  }

  private static func any(_ operands: ArraySlice<Term>) -> Term {
    Term(
      text: operands.map { "(\($0.text))" }.joined(separator: " OR "),
      holdsForNothing: operands.contains(where: \.holdsForNothing),
      required: operands.dropFirst().reduce(into: operands.first?.required ?? []) {
        $0.formIntersection($1.required)
      }
    )
  }

  private static func problem(
    _ type: ValueType,
    _ relation: EntityFilter.Relation,
    _ value: StoredValue?
  ) -> FilterProblem? {
    guard (value == nil) == (relation == .exists) else { return .valueMissing }
    guard let value else { return nil }
    guard value.valueType == type else { return .wrongType }
    if case .document(let text) = value {
      let bytes = Array(text.utf8)
      // PostgreSQL would end the whole read.
      guard JSONText.reason(bytes.span, depthMax: ValueLimits().documentDepth) == nil else {
        return .badDocument
      }
    }
    switch relation {
    case .exists, .equal, .notEqual: return nil
    case .less, .lessOrEqual, .greater, .greaterOrEqual:
      return HotExpression.isOrdered(type) ? nil : .relationUnfit
    case .prefix: return type == .label ? nil : .relationUnfit
    }
  }
}

/// In words that indexes on the projection serve.
extension NumberedParameters: ComparisonWriter {
  mutating func comparison(
    _ id: UInt32,
    _ type: ValueType,
    _ relation: EntityFilter.Relation,
    _ value: StoredValue?
  ) -> String {
    guard let value else { return HotExpression.isThere(id, type) }
    if case .flag(let flag) = value {
      return HotExpression.isFlag(id, (relation == .equal) == flag)
    }
    let parameter = add(HotExpression.parameter(value))
    let sign = relation.sign
    let looserSign: String? =
      switch relation {
      case .notEqual: nil
      case .less: "<="
      case .greater: ">="
      case .exists, .equal, .lessOrEqual, .greaterOrEqual, .prefix: sign
      }
    let key = HotExpression.key(id, type)
    // What an index holds of a label is all of a short one.
    if HotExpression.isWhole(value) { return "\(key) \(sign) \(parameter)" }
    let exact = "\(HotExpression.value(id, type)) \(sign) \(parameter)"
    return looserSign.map {
      "\(exact) AND \(key) \($0) \(HotExpression.key(of: parameter, type))"
    } ?? exact
  }
}

extension EntityFilter.Relation {
  /// What stands between two values; for prefixes in PostgreSQL's words.
  var sign: String {
    switch self {
    case .exists: preconditionFailure("it has no value")
    case .equal: "="
    case .notEqual: "<>"
    case .less: "<"
    case .lessOrEqual: "<="
    case .greater: ">"
    case .greaterOrEqual: ">="
    case .prefix: "^@"
    }
  }
}
