internal import Storage
internal import Wire

// A page of stored values on its way to the wire.

/// Puts the values of a page into columns.
struct ColumnsCollector: HistoryVisitor {
  var columns = ColumnsBuilder()

  mutating func number(_ value: Double, _ key: HistoryKey) {
    columns.appendNumber(
      value,
      entityID: key.entityID,
      attributeID: key.attributeID,
      observedAtMicroseconds: key.observedAtMicroseconds
    )
  }

  mutating func integer(_ value: Int64, _ key: HistoryKey) {
    columns.appendInteger(
      value,
      entityID: key.entityID,
      attributeID: key.attributeID,
      observedAtMicroseconds: key.observedAtMicroseconds
    )
  }

  mutating func flag(_ value: Bool, _ key: HistoryKey) {
    columns.appendFlag(
      value,
      entityID: key.entityID,
      attributeID: key.attributeID,
      observedAtMicroseconds: key.observedAtMicroseconds
    )
  }

  mutating func label(_ text: RawSpan, _ key: HistoryKey) {
    columns.appendLabel(
      text,
      entityID: key.entityID,
      attributeID: key.attributeID,
      observedAtMicroseconds: key.observedAtMicroseconds
    )
  }

  mutating func document(_ json: RawSpan, _ key: HistoryKey) {
    columns.appendDocument(
      json,
      entityID: key.entityID,
      attributeID: key.attributeID,
      observedAtMicroseconds: key.observedAtMicroseconds
    )
  }
}
