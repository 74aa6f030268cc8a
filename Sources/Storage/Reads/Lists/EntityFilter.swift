// Conditions on the hot projection, and the order of a list of entities.

/// A condition in postfix order: each step takes results of earlier steps and leaves one.
public struct EntityFilter: Equatable, Sendable {
  /// Steps of one condition.
  public static let stepsMax = 100

  /// How the newest value of an attribute is compared.
  public enum Relation: UInt8, Sendable, CaseIterable {
    /// There is one.
    case exists = 1
    /// It is the same.
    case equal = 2
    /// There is one, and it is another.
    case notEqual = 3
    /// It is smaller.
    case less = 4
    /// It is smaller or the same.
    case lessOrEqual = 5
    /// It is greater.
    case greater = 6
    /// It is greater or the same.
    case greaterOrEqual = 7
    /// It is a label that starts so.
    case prefix = 8
  }

  /// One step.
  public enum Step: Equatable, Sendable {
    /// Compares; the value is nil for `exists` alone.
    case comparison(attributeID: UInt32, Relation, StoredValue?)
    /// Whether all of the last results are true.
    case all(Int)
    /// Whether any of the last results is true.
    case any(Int)
    /// Whether the last result is not true.
    case not
  }

  /// The steps.
  public var steps: [Step]

  /// A condition of these steps.
  public init(_ steps: [Step]) { self.steps = steps }

  /// The attributes that are compared.
  var attributeIDs: [UInt32] {
    steps.compactMap { step in
      guard case .comparison(let id, _, _) = step else { return nil }
      return id
    }
  }

  /// Adds the condition to the sum that a page token is bound to.
  func add(to sum: inout Fingerprint) {
    sum.add(Int64(steps.count))
    for step in steps {
      switch step {
      case .comparison(let id, let relation, let value):
        sum.add(Int64(id))
        sum.add(relation.rawValue)
        sum.add(OrderedValue(value).bytes)
      case .all(let count):
        sum.add(UInt8(0xf0))
        sum.add(Int64(count))
      case .any(let count):
        sum.add(UInt8(0xf1))
        sum.add(Int64(count))
      case .not: sum.add(UInt8(0xf2))
      }
    }
  }
}

/// What a list is ordered by.
public struct EntityOrder: Equatable, Sendable {
  /// By the newest value of this attribute, entities without one last; nil for the external key.
  public var attributeID: UInt32?
  /// Largest first; of equal values the smaller key comes first all the same.
  public var isDescending: Bool

  /// By an attribute, or by key.
  public init(attributeID: UInt32? = nil, isDescending: Bool = false) {
    self.attributeID = attributeID
    self.isDescending = isDescending
  }

  /// Checks that its attribute has an order.
  ///
  /// - Parameter attribute: what is known of it; nil when there is none.
  /// - Returns: the attribute's type.
  /// - Throws: `.orderNotFound`, `.attributeNotHot`, `.notOrderable`.
  func type(of attribute: CatalogAttribute?) throws(StorageError) -> ValueType {
    guard let attribute else { throw .orderNotFound }
    guard attribute.isHot else { throw .attributeNotHot(step: nil) }
    guard HotExpression.isOrdered(attribute.type) else { throw .notOrderable }
    return attribute.type
  }
}

/// What is wrong with a step of a condition.
public enum FilterProblem: String, Sendable {
  /// all, any and not need results of earlier steps.
  case tooFewOperands = "takes more results than there are"
  /// More than one result, or none, is left at the end.
  case notOneResult = "must leave exactly one result at the end"
  /// A comparison without a value, or `exists` with one.
  case valueMissing = "needs a value, or must not have one"
  /// The value is not of the attribute's type.
  case wrongType = "compares with a value of another type than the attribute's"
  /// Flags and documents have no order, only labels have a prefix.
  case relationUnfit = "compares in a way that the attribute's type does not have"
  /// No document that is stored can be the same.
  case badDocument = "compares with what is no JSON, or none that can be stored"
  /// Flags, documents.
  case notOrderable = "is of a type that has no order"
}

/// A value as bytes, for tokens and sums.
struct OrderedValue: Equatable {
  var value: StoredValue?

  init(_ value: StoredValue?) { self.value = value }

  /// Reads what `bytes` wrote.
  init?(_ reader: inout ByteReader) {
    switch reader.integer(UInt8.self) {
    case 0: value = nil
    case 1:
      guard let bits = reader.integer(UInt64.self) else { return nil }
      value = .number(Double(bitPattern: bits))
    case 2:
      guard let integer = reader.integer(Int64.self) else { return nil }
      value = .integer(integer)
    case 3:
      guard let flag = reader.integer(UInt8.self) else { return nil }
      value = .flag(flag != 0)
    case 4:
      guard let text = OrderedValue.text(&reader) else { return nil }
      value = .label(text)
    case 5:
      guard let text = OrderedValue.text(&reader) else { return nil }
      value = .document(text)
    default: return nil
    }
  }

  var bytes: [UInt8] {
    switch value {
    case nil: [0]
    case .number(let number): [1] + ByteWriter.bytes(number.bitPattern)
    case .integer(let integer): [2] + ByteWriter.bytes(integer)
    case .flag(let flag): [3, flag ? 1 : 0]
    case .label(let text): [4] + ByteWriter.bytes(UInt32(text.utf8.count)) + text.utf8
    case .document(let text): [5] + ByteWriter.bytes(UInt32(text.utf8.count)) + text.utf8
    }
  }

  private static func text(_ reader: inout ByteReader) -> String? {
    guard let count = reader.integer(UInt32.self) else { return nil }
    let rest = reader.rest()
    guard rest.count >= Int(count) else { return nil }
    reader = ByteReader(rest.dropFirst(Int(count)))
    let text = String(validating: rest.prefix(Int(count)), as: UTF8.self)
    return text.flatMap { $0.utf8.contains(0) ? nil : $0 }
  }
}
