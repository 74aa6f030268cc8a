// A batch as the wire brings it: columns by type, borrowed from the decoded message.

/// 16 bytes that a producer chose once: who it is, for ever.
public struct ProducerID: Hashable, Sendable {
  /// The first 8 bytes, big-endian.
  public var high: UInt64
  /// The last 8 bytes, big-endian.
  public var low: UInt64

  /// The id with these halves.
  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// The id in these bytes; nil unless there are 16.
  public init?(_ bytes: Span<UInt8>) {
    guard bytes.count == 16 else { return nil }
    high = 0
    low = 0
    for index in 0..<8 {
      high = high << 8 | UInt64(bytes[index])
      low = low << 8 | UInt64(bytes[index + 8])
    }
  }

  /// The 16 bytes.
  public var bytes: [UInt8] {
    (0..<16).map { UInt8(truncatingIfNeeded: ($0 < 8 ? high : low) >> UInt64((7 - $0 % 8) * 8)) }
  }
}

/// Parallel columns of one value type; entry i of each belongs to value i.
public struct ValueSection<Value: BitwiseCopyable>: ~Escapable {
  /// Ids of the entities.
  public let entities: Span<Int64>
  /// Ids of the attributes.
  public let attributes: Span<UInt32>
  /// Microseconds since 1970.
  public let observedAtUnixMicroseconds: Span<Int64>
  /// The values: flags are 0 or not 0; of texts, where each ends in the bytes beside it.
  public let values: Span<Value>

  /// A section of columns of any lengths: see `isWellFormed`.
  @_lifetime(copy entities, copy attributes, copy observedAtUnixMicroseconds, copy values)
  public init(
    entities: Span<Int64>,
    attributes: Span<UInt32>,
    observedAtUnixMicroseconds: Span<Int64>,
    values: Span<Value>
  ) {
    self.entities = entities
    self.attributes = attributes
    self.observedAtUnixMicroseconds = observedAtUnixMicroseconds
    self.values = values
  }

  /// A section without values.
  @_lifetime(immortal)
  public init() {
    entities = Span()
    attributes = Span()
    observedAtUnixMicroseconds = Span()
    values = Span()
  }

  /// How many values there are.
  public var count: Int { values.count }

  /// All columns have the same length.
  public var isWellFormed: Bool {
    entities.count == count && attributes.count == count
      && observedAtUnixMicroseconds.count == count
  }
}

/// Labels or documents: end offsets and the bytes they point into.
public struct TextSection: ~Escapable {
  /// Keys, and where each text ends in `text`; the first one starts at 0.
  public let ends: ValueSection<UInt32>
  /// The texts, one behind the other.
  public let text: Span<UInt8>

  /// A section of any shape: see `isWellFormed`.
  @_lifetime(copy ends, copy text)
  public init(ends: ValueSection<UInt32>, text: Span<UInt8>) {
    self.ends = ends
    self.text = text
  }

  /// A section without values.
  @_lifetime(immortal)
  public init() {
    ends = ValueSection()
    text = Span()
  }

  /// How many texts there are.
  public var count: Int { ends.count }

  /// Columns of equal length; ends that rise, stay inside the text and cover all of it.
  public var isWellFormed: Bool {
    guard ends.isWellFormed else { return false }
    var last: UInt32 = 0
    for index in 0..<count {
      guard ends.values[index] >= last else { return false }
      last = ends.values[index]
    }
    return Int(last) == text.count
  }

  /// Where text `index` lies in `text`; the section must be well formed.
  public func bytes(_ index: Int) -> Range<Int> {
    Int(index == 0 ? 0 : ends.values[index - 1])..<Int(ends.values[index])
  }
}

/// One batch, whose values are numbered through the sections in the order of the fields.
public struct BatchColumns: ~Escapable {
  /// Doubles.
  public var numbers: ValueSection<Double>
  /// Signed 64-bit integers.
  public var integers: ValueSection<Int64>
  /// 0 or not 0, as protobuf-c decodes booleans.
  public var flags: ValueSection<Int32>
  /// UTF-8 texts.
  public var labels: TextSection
  /// JSON texts.
  public var documents: TextSection

  /// An empty batch; set the sections that are there.
  @_lifetime(immortal)
  public init() {
    numbers = ValueSection()
    integers = ValueSection()
    flags = ValueSection()
    labels = TextSection()
    documents = TextSection()
  }

  /// How many values there are.
  public var count: Int {
    numbers.count + integers.count + flags.count + labels.count + documents.count
  }

  /// Every section is well formed, which everything below expects of the caller.
  public var isWellFormed: Bool {
    numbers.isWellFormed && integers.isWellFormed && flags.isWellFormed && labels.isWellFormed
      && documents.isWellFormed
  }
}
