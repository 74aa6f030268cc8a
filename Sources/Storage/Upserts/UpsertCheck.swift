// Checks the values of an upsert as those of a batch are checked.

/// Puts an upsert into columns and lets `BatchCheck` judge them.
public struct UpsertCheck {
  private var numbers = Column<Double>()
  private var integers = Column<Int64>()
  private var flags = Column<Int32>()
  private var labels = Column<UInt32>()
  private var documents = Column<UInt32>()
  private var labelText: [UInt8] = []
  private var documentText: [UInt8] = []

  /// Values of one type, and where in the upsert they stand.
  private struct Column<Value: BitwiseCopyable> {
    var attributes: [UInt32] = []
    var values: [Value] = []
    var places: [Int] = []

    mutating func append(_ value: Value, _ attribute: UInt32, _ place: Int) {
      values.append(value)
      attributes.append(attribute)
      places.append(place)
    }
  }

  /// Which value of an upsert may not be written, and why.
  public struct Finding: Equatable, Sendable {
    /// Place in the upsert's values.
    public var index: Int
    /// Why.
    public var reason: RejectReason
  }

  /// Looks for what is wrong with an upsert.
  ///
  /// The ids must have been made known to the catalog before, as far as they exist.
  ///
  /// - Parameters:
  ///   - upsert: what is to be written.
  ///   - catalog: its tenant's.
  ///   - limits: the gateway's.
  ///   - now: the gateway's clock, microseconds since 1970.
  /// - Returns: the first thing that is wrong; nil when it may be written.
  public static func finding(
    _ upsert: Upsert,
    _ catalog: CatalogIndex,
    _ limits: ValueLimits,
    nowUnixMicroseconds now: Int64
  ) -> Finding? {
    var values = upsert.values
    for (index, value) in upsert.values.enumerated() where value.value == nil {
      guard let type = catalog.type(of: value.attributeID) else {
        return Finding(index: index, reason: .unknownAttribute)
      }
      // No column can hold what is not there, and its time counts all the same.
      values[index].value = UpsertCheck.harmless(type)
    }
    return UpsertCheck(values).finding(upsert, catalog, limits, now)
  }

  /// A value that nothing but its time can be wrong with.
  private static func harmless(_ type: ValueType) -> StoredValue {
    switch type {
    case .number: .number(0)
    case .integer: .integer(0)
    case .flag: .flag(false)
    case .label: .label("")
    case .document: .document("null")
    }
  }

  private init(_ values: [UpsertValue]) {
    for (place, value) in values.enumerated() {
      let attribute = value.attributeID
      switch value.value {
      case .number(let number): numbers.append(number, attribute, place)
      case .integer(let integer): integers.append(integer, attribute, place)
      case .flag(let flag): flags.append(flag ? 1 : 0, attribute, place)
      case .label(let text):
        labelText += text.utf8
        labels.append(UInt32(labelText.count), attribute, place)
      case .document(let text):
        documentText += text.utf8
        documents.append(UInt32(documentText.count), attribute, place)
      case nil: break
      }
    }
  }

  private func finding(
    _ upsert: Upsert,
    _ catalog: CatalogIndex,
    _ limits: ValueLimits,
    _ now: Int64
  ) -> Finding? {
    let entities = [Int64](repeating: upsert.entityID, count: upsert.values.count)
    let times = [Int64](
      repeating: upsert.observedAtMicroseconds ?? now,
      count: upsert.values.count
    )
    var columns = BatchColumns()
    columns.numbers = ValueSection(
      entities: entities.span.extracting(first: numbers.values.count),
      attributes: numbers.attributes.span,
      observedAtUnixMicroseconds: times.span.extracting(first: numbers.values.count),
      values: numbers.values.span
    )
    columns.integers = ValueSection(
      entities: entities.span.extracting(first: integers.values.count),
      attributes: integers.attributes.span,
      observedAtUnixMicroseconds: times.span.extracting(first: integers.values.count),
      values: integers.values.span
    )
    columns.flags = ValueSection(
      entities: entities.span.extracting(first: flags.values.count),
      attributes: flags.attributes.span,
      observedAtUnixMicroseconds: times.span.extracting(first: flags.values.count),
      values: flags.values.span
    )
    columns.labels = TextSection(
      ends: ValueSection(
        entities: entities.span.extracting(first: labels.values.count),
        attributes: labels.attributes.span,
        observedAtUnixMicroseconds: times.span.extracting(first: labels.values.count),
        values: labels.values.span
      ),
      text: labelText.span
    )
    columns.documents = TextSection(
      ends: ValueSection(
        entities: entities.span.extracting(first: documents.values.count),
        attributes: documents.attributes.span,
        observedAtUnixMicroseconds: times.span.extracting(first: documents.values.count),
        values: documents.values.span
      ),
      text: documentText.span
    )
    var check = BatchCheck()
    check.run(columns, catalog, limits, nowUnixMicroseconds: now)
    let places =
      numbers.places + integers.places + flags.places + labels.places + documents.places
    return check.rejects.first.map { Finding(index: places[Int($0.index)], reason: $0.reason) }
  }
}
