internal import Formats
internal import Wire

// Fills a batch with values and remembers which line each came from.

/// A batch in the making.
struct BatchPacker {
  /// Values of one batch: large enough for COPY, small enough for an even flow.
  static let valuesMax = 1_000
  /// Bytes of one batch.
  static let bytesMax = 32 << 10

  private(set) var columns = ColumnsBuilder()
  /// Lines of the values, type by type, as sequence numbers go through the columns.
  private var lines: [[SourceLine]] = Array(repeating: [], count: PointType.allCases.count)

  var isEmpty: Bool { columns.isEmpty }

  /// Whether a value still fits; a first one always does.
  func hasRoom(for value: PointValue) -> Bool {
    guard columns.count < Self.valuesMax else { return false }
    return columns.isEmpty || columns.encodedByteCount + Self.bytes(of: value) <= Self.bytesMax
  }

  /// Adds a value.
  mutating func append(
    _ value: PointValue,
    entityID: Int64,
    attributeID: UInt32,
    time: Timestamp,
    line: SourceLine
  ) {
    let time = time.microseconds
    switch value {
    case .number(let number):
      columns.appendNumber(
        number,
        entityID: entityID,
        attributeID: attributeID,
        observedAtMicroseconds: time
      )
      lines[0].append(line)
    case .integer(let integer):
      columns.appendInteger(
        integer,
        entityID: entityID,
        attributeID: attributeID,
        observedAtMicroseconds: time
      )
      lines[1].append(line)
    case .flag(let flag):
      columns.appendFlag(
        flag,
        entityID: entityID,
        attributeID: attributeID,
        observedAtMicroseconds: time
      )
      lines[2].append(line)
    case .label(let label):
      columns.appendLabel(
        label,
        entityID: entityID,
        attributeID: attributeID,
        observedAtMicroseconds: time
      )
      lines[3].append(line)
    case .document(let document):
      columns.appendDocument(
        document,
        entityID: entityID,
        attributeID: attributeID,
        observedAtMicroseconds: time
      )
      lines[4].append(line)
    }
  }

  /// Hands over the batch and the lines in the order of its sequence numbers.
  mutating func take() -> (columns: ColumnsBuilder, lines: [SourceLine]) {
    defer {
      columns.removeAll()
      for index in lines.indices { lines[index].removeAll(keepingCapacity: true) }
    }
    return (columns, lines.flatMap(\.self))
  }

  /// Two ids, a time and the value.
  private static func bytes(of value: PointValue) -> Int {
    switch value {
    case .number, .integer: 28
    case .flag: 21
    case .label(let text), .document(let text): 24 + text.utf8.count
    }
  }
}
