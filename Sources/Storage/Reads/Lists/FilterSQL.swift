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

/// A condition that has been checked against the types of its attributes.
struct FilterSQL {
  /// What stands behind WHERE.
  let text: String
  /// Whether it can be true of an entity without any newest value.
  let holdsForNothing: Bool

  /// - Parameters:
  ///   - filter: the condition.
  ///   - type: of an attribute; nil when there is none.
  ///   - parameters: takes the values.
  /// - Throws: `.attributeNotFound`, `.badFilter`, with the step.
  init(
    _ filter: EntityFilter,
    type: (UInt32) -> ValueType?,
    _ parameters: inout NumberedParameters
  ) throws(StorageError) {
    var stack: [(text: String, holdsForNothing: Bool)] = []
    for (index, step) in filter.steps.enumerated() {
      switch step {
      case .comparison(let id, let relation, let value):
        guard let type = type(id) else { throw .attributeNotFound(index: index) }
        if let problem = FilterSQL.problem(type, relation, value) {
          throw .badFilter(step: index, problem)
        }
        stack.append((FilterSQL.comparison(id, type, relation, value, &parameters), false))
      case .all(let count), .any(let count):
        guard count > 0, count <= stack.count else {
          throw .badFilter(step: index, .tooFewOperands)
        }
        let operands = stack.suffix(count)
        stack.removeLast(count)
        let isAll = if case .all = step { true } else { false }
        let text = operands.map { "(\($0.text))" }.joined(separator: isAll ? " AND " : " OR ")
        let holds =
          isAll
          ? operands.allSatisfy(\.holdsForNothing) : operands.contains(where: \.holdsForNothing)
        stack.append((text, holds))
      case .not:
        guard let operand = stack.popLast() else {
          throw .badFilter(step: index, .tooFewOperands)
        }
        // A comparison with what is missing is NULL, and its opposite is to be true.
        stack.append(("(\(operand.text)) IS NOT TRUE", !operand.holdsForNothing))
      }
    }
    guard stack.count == 1 else { throw .badFilter(step: filter.steps.count, .notOneResult) }
    (text, holdsForNothing) = stack[0]
  }

  private static func problem(
    _ type: ValueType,
    _ relation: EntityFilter.Relation,
    _ value: StoredValue?
  ) -> FilterProblem? {
    guard (value == nil) == (relation == .exists) else { return .valueMissing }
    guard let value else { return nil }
    guard value.valueType == type else { return .wrongType }
    switch relation {
    case .exists, .equal, .notEqual: return nil
    case .less, .lessOrEqual, .greater, .greaterOrEqual:
      return HotExpression.isOrdered(type) ? nil : .relationUnfit
    case .prefix: return type == .label ? nil : .relationUnfit
    }
  }

  private static func comparison(
    _ id: UInt32,
    _ type: ValueType,
    _ relation: EntityFilter.Relation,
    _ value: StoredValue?,
    _ parameters: inout NumberedParameters
  ) -> String {
    let expression = HotExpression.text(id, type)
    guard let value else { return "\(expression) IS NOT NULL" }
    let parameter = parameters.add(HotExpression.parameter(value))
    let sign =
      switch relation {
      case .exists: preconditionFailure("it has no value")
      case .equal: "="
      case .notEqual: "<>"
      case .less: "<"
      case .lessOrEqual: "<="
      case .greater: ">"
      case .greaterOrEqual: ">="
      case .prefix: "^@"
      }
    return "\(expression) \(sign) \(parameter)"
  }
}

/// The newest value of an attribute in SQL, the same words in filters, orders and indexes.
enum HotExpression {
  /// The value in the type of its column; NULL when there is none.
  static func text(_ id: UInt32, _ type: ValueType) -> String {
    switch type {
    case .number: "sluice.hot_number(j.hot_attrs, '\(id)')"
    case .integer: "sluice.hot_integer(j.hot_attrs, '\(id)')"
    case .flag: "sluice.hot_flag(j.hot_attrs, '\(id)')"
    case .label: "sluice.hot_label(j.hot_attrs, '\(id)') COLLATE \"C\""
    case .document: "(j.hot_attrs -> '\(id)')"
    }
  }

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
