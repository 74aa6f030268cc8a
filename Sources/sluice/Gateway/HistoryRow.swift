internal import Formats
internal import Wire

// One stored value as a row, and the rows of an answer in columns.

/// A value of a history answer.
struct HistoryRow: Sendable {
  let time: Timestamp
  let entityID: Int64
  let attributeID: UInt32
  let value: PointValue

  /// The rows of a page, merged over the types into the order that was asked for.
  static func rows(of columns: ColumnsBuilder, newestFirst: Bool) -> [HistoryRow] {
    var rows: [HistoryRow] = []
    rows.reserveCapacity(columns.count)
    func add(
      _ entityIDs: [Int64],
      _ attributeIDs: [UInt32],
      _ times: [Int64],
      _ value: (Int) -> PointValue
    ) {
      for index in times.indices {
        rows.append(
          HistoryRow(
            time: Timestamp(microseconds: times[index]),
            entityID: entityIDs[index],
            attributeID: attributeIDs[index],
            value: value(index)
          )
        )
      }
    }
    let (numbers, integers, flags) = (columns.numbers, columns.integers, columns.flags)
    let (labels, documents) = (columns.labels, columns.documents)
    add(numbers.entityIDs, numbers.attributeIDs, numbers.observedAt) { .number(numbers.values[$0]) }
    add(integers.entityIDs, integers.attributeIDs, integers.observedAt) {
      .integer(integers.values[$0])
    }
    add(flags.entityIDs, flags.attributeIDs, flags.observedAt) { .flag(flags.values[$0] != 0) }
    add(labels.entityIDs, labels.attributeIDs, labels.observedAt) {
      .label(String(decoding: labels.text(at: $0), as: UTF8.self))
    }
    add(documents.entityIDs, documents.attributeIDs, documents.observedAt) {
      .document(String(decoding: documents.text(at: $0), as: UTF8.self))
    }
    // One type is in order already, and sorting keeps equal rows as they are (SE-0372).
    rows.sort { newestFirst ? $1.place < $0.place : $0.place < $1.place }
    return rows
  }

  private var place: (Int64, Int64, UInt32) { (time.microseconds, entityID, attributeID) }
}

extension PointValue {
  /// A value that a gateway sent.
  init(_ value: Value) {
    switch value {
    case .number(let number): self = .number(number)
    case .integer(let integer): self = .integer(integer)
    case .flag(let flag): self = .flag(flag)
    case .label(let label): self = .label(label)
    case .document(let document): self = .document(document)
    }
  }

  /// The value of a number or an integer, for charts.
  var chartValue: Double? {
    switch self {
    case .number(let number): number
    case .integer(let integer): Double(integer)
    case .flag, .label, .document: nil
    }
  }
}

extension Value {
  /// A value for a gateway.
  init(_ value: PointValue) {
    switch value {
    case .number(let number): self = .number(number)
    case .integer(let integer): self = .integer(integer)
    case .flag(let flag): self = .flag(flag)
    case .label(let label): self = .label(label)
    case .document(let document): self = .document(document)
    }
  }
}

extension PointType {
  /// The type of an attribute; nil for one of a later version.
  init?(_ type: ValueType) {
    switch type {
    case .unspecified: return nil
    case .number: self = .number
    case .integer: self = .integer
    case .flag: self = .flag
    case .label: self = .label
    case .document: self = .document
    }
  }
}

extension ValueType {
  /// The type of a value.
  init(_ value: Value?) {
    switch value {
    case .number: self = .number
    case .integer: self = .integer
    case .flag: self = .flag
    case .label: self = .label
    case .document: self = .document
    case nil: self = .unspecified
    }
  }

  /// The name that `--types` and CSV files use.
  var name: String {
    switch self {
    case .unspecified: "unknown"
    case .number: "number"
    case .integer: "integer"
    case .flag: "flag"
    case .label: "label"
    case .document: "document"
    }
  }

  /// The type for a type of a file.
  init(_ type: PointType) {
    switch type {
    case .number: self = .number
    case .integer: self = .integer
    case .flag: self = .flag
    case .label: self = .label
    case .document: self = .document
    }
  }
}
