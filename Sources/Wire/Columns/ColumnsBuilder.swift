internal import CProto

/// Values collected in columns: what a client sends as a batch, and what a history answer holds.
///
/// Knows the size of its message at every moment, at no cost.
public struct ColumnsBuilder: Sendable, Equatable {
  /// Values of type number.
  public private(set) var numbers = Section<Double>()

  /// Values of type integer.
  public private(set) var integers = Section<Int64>()

  /// Values of type flag: one byte each, 0 or 1.
  public private(set) var flags = Section<UInt8>()

  /// Values of type label.
  public private(set) var labels = TextSection()

  /// Values of type document.
  public private(set) var documents = TextSection()

  /// Parallel columns of one type.
  public struct Section<Value: BitwiseCopyable & Sendable & Equatable>: Sendable, Equatable {
    /// The entity of each value.
    public fileprivate(set) var entityIDs: [Int64] = []
    /// The attribute of each value.
    public fileprivate(set) var attributeIDs: [UInt32] = []
    /// When each value was observed, in microseconds since 1970.
    public fileprivate(set) var observedAt: [Int64] = []
    /// The values.
    public fileprivate(set) var values: [Value] = []

    /// Values in the section.
    public var count: Int { values.count }
  }

  /// Parallel columns of texts.
  public struct TextSection: Sendable, Equatable {
    fileprivate var columns = Section<UInt32>()
    /// All texts one behind the other.
    public fileprivate(set) var text: [UInt8] = []

    /// The entity of each text.
    public var entityIDs: [Int64] { columns.entityIDs }
    /// The attribute of each text.
    public var attributeIDs: [UInt32] { columns.attributeIDs }
    /// When each text was observed, in microseconds since 1970.
    public var observedAt: [Int64] { columns.observedAt }
    /// Where each text ends in `text`.
    public var endOffsets: [UInt32] { columns.values }

    /// Texts in the section.
    public var count: Int { columns.count }

    /// Text `index`.
    public func text(at index: Int) -> ArraySlice<UInt8> {
      text[(index == 0 ? 0 : Int(endOffsets[index - 1]))..<Int(endOffsets[index])]
    }
  }

  /// Empty columns.
  public init() {}

  /// A copy of columns that were received.
  public init(copying view: borrowing ColumnsView) {
    numbers = Section(view.numbers) { $0 }
    integers = Section(view.integers) { $0 }
    flags = Section(view.flags) { $0 == 0 ? 0 : 1 }
    labels = TextSection(view.labels)
    documents = TextSection(view.documents)
  }

  /// Values in all sections.
  public var count: Int {
    numbers.count + integers.count + flags.count + labels.count + documents.count
  }

  /// Whether there are none.
  public var isEmpty: Bool { count == 0 }

  /// Adds a number.
  public mutating func appendNumber(
    _ value: Double,
    entityID: Int64,
    attributeID: UInt32,
    observedAtMicroseconds: Int64
  ) {
    numbers.append(value, entityID, attributeID, observedAtMicroseconds)
  }

  /// Adds an integer.
  public mutating func appendInteger(
    _ value: Int64,
    entityID: Int64,
    attributeID: UInt32,
    observedAtMicroseconds: Int64
  ) {
    integers.append(value, entityID, attributeID, observedAtMicroseconds)
  }

  /// Adds a flag.
  public mutating func appendFlag(
    _ value: Bool,
    entityID: Int64,
    attributeID: UInt32,
    observedAtMicroseconds: Int64
  ) {
    flags.append(value ? 1 : 0, entityID, attributeID, observedAtMicroseconds)
  }

  /// Adds a label, as UTF-8 without NUL.
  public mutating func appendLabel(
    _ text: RawSpan,
    entityID: Int64,
    attributeID: UInt32,
    observedAtMicroseconds: Int64
  ) {
    labels.append(text, entityID, attributeID, observedAtMicroseconds)
  }

  /// Adds a label.
  public mutating func appendLabel(
    _ text: String,
    entityID: Int64,
    attributeID: UInt32,
    observedAtMicroseconds: Int64
  ) {
    labels.append(text, entityID, attributeID, observedAtMicroseconds)
  }

  /// Adds a document, as JSON in UTF-8.
  public mutating func appendDocument(
    _ json: RawSpan,
    entityID: Int64,
    attributeID: UInt32,
    observedAtMicroseconds: Int64
  ) {
    documents.append(json, entityID, attributeID, observedAtMicroseconds)
  }

  /// Adds a document, as JSON.
  public mutating func appendDocument(
    _ json: String,
    entityID: Int64,
    attributeID: UInt32,
    observedAtMicroseconds: Int64
  ) {
    documents.append(json, entityID, attributeID, observedAtMicroseconds)
  }

  /// Forgets all values and keeps the memory.
  public mutating func removeAll() {
    numbers.removeAll()
    integers.removeAll()
    flags.removeAll()
    labels.removeAll()
    documents.removeAll()
  }

  /// Size of the serialised Columns message.
  public var encodedByteCount: Int {
    let sections = [
      numbers.encodedByteCount, integers.encodedByteCount, flags.encodedByteCount,
      labels.encodedByteCount, documents.encodedByteCount,
    ]
    var total = 0
    for bytes in sections where bytes > 0 { total += ProtobufSize.field(1, bytes: bytes) }
    return total
  }

  /// Appends the serialised Columns message: the arrays as they lie in memory, which is the order
  /// of the wire on every machine that Swift on Linux runs on.
  public func append(to queue: inout ByteQueue) {
    numbers.append(to: &queue, field: 1)
    integers.append(to: &queue, field: 2)
    flags.append(to: &queue, field: 3)
    labels.append(to: &queue, field: 4)
    documents.append(to: &queue, field: 5)
  }

  /// The serialised Columns message.
  public func encoded() -> [UInt8] {
    var queue = ByteQueue()
    append(to: &queue)
    return queue.pending.copied()
  }
}

extension ColumnsBuilder.Section {
  fileprivate init<Source>(_ view: borrowing SectionView<Source>, _ convert: (Source) -> Value) {
    entityIDs = view.entityIDs.copied()
    attributeIDs = view.attributeIDs.copied()
    observedAt = view.observedAt.copied()
    values.reserveCapacity(view.count)
    for index in view.values.indices { values.append(convert(view.values[index])) }
  }

  fileprivate mutating func append(
    _ value: Value,
    _ entityID: Int64,
    _ attributeID: UInt32,
    _ observedAtMicroseconds: Int64
  ) {
    entityIDs.append(entityID)
    attributeIDs.append(attributeID)
    observedAt.append(observedAtMicroseconds)
    values.append(value)
  }

  fileprivate mutating func removeAll() {
    entityIDs.removeAll(keepingCapacity: true)
    attributeIDs.removeAll(keepingCapacity: true)
    observedAt.removeAll(keepingCapacity: true)
    values.removeAll(keepingCapacity: true)
  }

  /// Size of the section's message; 0 when it is empty and left out.
  fileprivate var encodedByteCount: Int {
    guard count > 0 else { return 0 }
    return 2 * ProtobufSize.field(1, bytes: count * 8)
      + ProtobufSize.field(2, bytes: count * 4)
      + ProtobufSize.field(4, bytes: count * MemoryLayout<Value>.size)
  }

  fileprivate func append(to queue: inout ByteQueue, field: Int) {
    guard count > 0 else { return }
    queue.appendLength(field: field, encodedByteCount)
    appendColumns(to: &queue)
  }

  fileprivate func appendColumns(to queue: inout ByteQueue) {
    unsafe queue.appendField(1, entityIDs.span.bytes)
    unsafe queue.appendField(2, attributeIDs.span.bytes)
    unsafe queue.appendField(3, observedAt.span.bytes)
    unsafe queue.appendField(4, values.span.bytes)
  }
}

extension ColumnsBuilder.TextSection {
  fileprivate init(_ view: borrowing TextSectionView) {
    columns.entityIDs = view.entityIDs.copied()
    columns.attributeIDs = view.attributeIDs.copied()
    columns.observedAt = view.observedAt.copied()
    columns.values = view.endOffsets.copied()
    text = view.text.copied()
  }

  fileprivate mutating func append(
    _ bytes: RawSpan,
    _ entityID: Int64,
    _ attributeID: UInt32,
    _ observedAtMicroseconds: Int64
  ) {
    unsafe bytes.withUnsafeBytes { unsafe text.append(contentsOf: $0) }
    finish(entityID, attributeID, observedAtMicroseconds)
  }

  fileprivate mutating func append(
    _ string: String,
    _ entityID: Int64,
    _ attributeID: UInt32,
    _ observedAtMicroseconds: Int64
  ) {
    text.append(contentsOf: string.utf8)
    finish(entityID, attributeID, observedAtMicroseconds)
  }

  private mutating func finish(
    _ entityID: Int64,
    _ attributeID: UInt32,
    _ observedAtMicroseconds: Int64
  ) {
    precondition(text.count <= Int(UInt32.max), "more text than offsets can name")
    columns.append(UInt32(text.count), entityID, attributeID, observedAtMicroseconds)
  }

  fileprivate mutating func removeAll() {
    columns.removeAll()
    text.removeAll(keepingCapacity: true)
  }

  fileprivate var encodedByteCount: Int {
    guard count > 0 else { return 0 }
    let textBytes = text.isEmpty ? 0 : ProtobufSize.field(5, bytes: text.count)
    return columns.encodedByteCount + textBytes
  }

  fileprivate func append(to queue: inout ByteQueue, field: Int) {
    guard count > 0 else { return }
    queue.appendLength(field: field, encodedByteCount)
    columns.appendColumns(to: &queue)
    unsafe queue.appendField(5, text.span.bytes)
  }
}

extension Span where Element: BitwiseCopyable {
  /// A copy of the elements.
  func copied() -> [Element] {
    unsafe withUnsafeBufferPointer { unsafe Array($0) }
  }
}
