internal import CProto
internal import CProtobufC

/// The columns of a batch or an answer where protobuf-c unpacked them: spans into an arena, nothing
/// copied.
///
/// Value `i` of the whole runs through the sections in the order of their fields: numbers,
/// integers, flags, labels, documents. Lengths and offsets have been checked; ids, times and texts
/// have not.
@safe
public struct ColumnsView: ~Escapable {
  private let message: UnsafeMutablePointer<Sluice__V1__Columns>

  /// Values in all sections.
  public let count: Int

  /// Wraps an unpacked message that lives as long as the scope of `arena` it was unpacked in.
  @_lifetime(borrow arena)
  init(
    _ message: UnsafeMutablePointer<Sluice__V1__Columns>,
    in arena: borrowing MessageArena
  ) throws(MessageError) {
    count = try unsafe Self.checkedCount(message)
    unsafe self.message = unsafe message
  }

  /// Values of type number.
  public var numbers: SectionView<Double> {
    @_lifetime(copy self)
    get {
      guard let c = unsafe message.pointee.numbers else { return SectionView() }
      return unsafe SectionView(
        entityIDs: span(c.pointee.entity_id, c.pointee.n_entity_id),
        attributeIDs: span(c.pointee.attribute_id, c.pointee.n_attribute_id),
        observedAt: span(c.pointee.observed_at_unix_us, c.pointee.n_observed_at_unix_us),
        values: span(c.pointee.value, c.pointee.n_value)
      )
    }
  }

  /// Values of type integer.
  public var integers: SectionView<Int64> {
    @_lifetime(copy self)
    get {
      guard let c = unsafe message.pointee.integers else { return SectionView() }
      return unsafe SectionView(
        entityIDs: span(c.pointee.entity_id, c.pointee.n_entity_id),
        attributeIDs: span(c.pointee.attribute_id, c.pointee.n_attribute_id),
        observedAt: span(c.pointee.observed_at_unix_us, c.pointee.n_observed_at_unix_us),
        values: span(c.pointee.value, c.pointee.n_value)
      )
    }
  }

  /// Values of type flag: 0 is false, everything else is true.
  public var flags: SectionView<Int32> {
    @_lifetime(copy self)
    get {
      guard let c = unsafe message.pointee.flags else { return SectionView() }
      return unsafe SectionView(
        entityIDs: span(c.pointee.entity_id, c.pointee.n_entity_id),
        attributeIDs: span(c.pointee.attribute_id, c.pointee.n_attribute_id),
        observedAt: span(c.pointee.observed_at_unix_us, c.pointee.n_observed_at_unix_us),
        values: span(c.pointee.value, c.pointee.n_value)
      )
    }
  }

  /// Values of type label: text, not checked.
  public var labels: TextSectionView {
    @_lifetime(copy self)
    get { unsafe texts(message.pointee.labels) }
  }

  /// Values of type document: JSON, not checked.
  public var documents: TextSectionView {
    @_lifetime(copy self)
    get { unsafe texts(message.pointee.documents) }
  }

  @_lifetime(copy self)
  private func texts(_ section: UnsafeMutablePointer<Sluice__V1__TextSection>?) -> TextSectionView {
    guard let c = unsafe section else { return TextSectionView() }
    return unsafe TextSectionView(
      SectionView(
        entityIDs: span(c.pointee.entity_id, c.pointee.n_entity_id),
        attributeIDs: span(c.pointee.attribute_id, c.pointee.n_attribute_id),
        observedAt: span(c.pointee.observed_at_unix_us, c.pointee.n_observed_at_unix_us),
        values: span(c.pointee.end_offset, c.pointee.n_end_offset)
      ),
      text: rawSpan(c.pointee.text)
    )
  }

  @_lifetime(copy self)
  private func span<Element: BitwiseCopyable>(
    _ start: UnsafeMutablePointer<Element>?,
    _ count: Int
  ) -> Span<Element> {
    let span = unsafe Span(_unsafeElements: UnsafeBufferPointer(start: start, count: count))
    return unsafe _overrideLifetime(span, copying: self)
  }

  @_lifetime(copy self)
  private func rawSpan(_ data: ProtobufCBinaryData) -> RawSpan {
    let span = unsafe RawSpan(
      _unsafeBytes: UnsafeRawBufferPointer(start: data.data, count: data.len)
    )
    return unsafe _overrideLifetime(span, copying: self)
  }

  /// Checks lengths and offsets of every section and adds up their values.
  private static func checkedCount(
    _ message: UnsafeMutablePointer<Sluice__V1__Columns>
  ) throws(MessageError) -> Int {
    try unsafe Field.check(message.pointee.base)
    var total = 0
    if let c = unsafe message.pointee.numbers {
      try unsafe Field.check(c.pointee.base)
      total += try unsafe equal(
        c.pointee.n_entity_id,
        c.pointee.n_attribute_id,
        c.pointee.n_observed_at_unix_us,
        c.pointee.n_value,
        "numbers"
      )
    }
    if let c = unsafe message.pointee.integers {
      try unsafe Field.check(c.pointee.base)
      total += try unsafe equal(
        c.pointee.n_entity_id,
        c.pointee.n_attribute_id,
        c.pointee.n_observed_at_unix_us,
        c.pointee.n_value,
        "integers"
      )
    }
    if let c = unsafe message.pointee.flags {
      try unsafe Field.check(c.pointee.base)
      total += try unsafe equal(
        c.pointee.n_entity_id,
        c.pointee.n_attribute_id,
        c.pointee.n_observed_at_unix_us,
        c.pointee.n_value,
        "flags"
      )
    }
    if let c = unsafe message.pointee.labels { total += try unsafe checkedTexts(c, "labels") }
    if let c = unsafe message.pointee.documents { total += try unsafe checkedTexts(c, "documents") }
    return total
  }

  private static func checkedTexts(
    _ c: UnsafeMutablePointer<Sluice__V1__TextSection>,
    _ section: String
  ) throws(MessageError) -> Int {
    try unsafe Field.check(c.pointee.base)
    let count = try unsafe equal(
      c.pointee.n_entity_id,
      c.pointee.n_attribute_id,
      c.pointee.n_observed_at_unix_us,
      c.pointee.n_end_offset,
      section
    )
    var last: UInt32 = 0
    for index in 0..<count {
      guard let end = unsafe c.pointee.end_offset?[index], end >= last else {
        throw .badOffsets(section: section)
      }
      last = end
    }
    guard unsafe Int(last) == c.pointee.text.len else { throw .badOffsets(section: section) }
    return count
  }

  private static func equal(
    _ first: Int,
    _ second: Int,
    _ third: Int,
    _ fourth: Int,
    _ section: String
  ) throws(MessageError) -> Int {
    guard first == second, second == third, third == fourth else {
      throw .unequalColumns(section: section)
    }
    return first
  }
}

/// Values of one type in parallel columns of equal length.
public struct SectionView<Value: BitwiseCopyable>: ~Escapable {
  /// The entity of each value.
  public let entityIDs: Span<Int64>

  /// The attribute of each value.
  public let attributeIDs: Span<UInt32>

  /// When each value was observed, in microseconds since 1970.
  public let observedAt: Span<Int64>

  /// The values.
  public let values: Span<Value>

  /// Values in the section.
  public var count: Int { values.count }

  /// Whether there are none.
  public var isEmpty: Bool { values.isEmpty }

  @_lifetime(copy entityIDs, copy attributeIDs, copy observedAt, copy values)
  init(
    entityIDs: Span<Int64>,
    attributeIDs: Span<UInt32>,
    observedAt: Span<Int64>,
    values: Span<Value>
  ) {
    self.entityIDs = entityIDs
    self.attributeIDs = attributeIDs
    self.observedAt = observedAt
    self.values = values
  }

  @_lifetime(immortal)
  init() {
    entityIDs = Span()
    attributeIDs = Span()
    observedAt = Span()
    values = Span()
  }
}

/// Labels or documents: one run of bytes, and where each text ends in it.
public struct TextSectionView: ~Escapable {
  /// The entity of each text.
  public let entityIDs: Span<Int64>

  /// The attribute of each text.
  public let attributeIDs: Span<UInt32>

  /// When each text was observed, in microseconds since 1970.
  public let observedAt: Span<Int64>

  /// Where each text ends in `text`; they never fall, and the last is its length.
  public let endOffsets: Span<UInt32>

  /// All texts one behind the other.
  public let text: RawSpan

  /// Texts in the section.
  public var count: Int { endOffsets.count }

  /// Whether there are none.
  public var isEmpty: Bool { endOffsets.isEmpty }

  /// Text `index`, as it was sent.
  @_lifetime(copy self)
  public func text(at index: Int) -> RawSpan {
    let start = index == 0 ? 0 : Int(endOffsets[index - 1])
    return text.extracting(start..<Int(endOffsets[index]))
  }

  @_lifetime(copy section, copy text)
  init(_ section: SectionView<UInt32>, text: RawSpan) {
    entityIDs = section.entityIDs
    attributeIDs = section.attributeIDs
    observedAt = section.observedAt
    endOffsets = section.values
    self.text = text
  }

  @_lifetime(immortal)
  init() {
    entityIDs = Span()
    attributeIDs = Span()
    observedAt = Span()
    endOffsets = Span()
    text = RawSpan()
  }
}

extension MessageArena {
  /// Unpacks columns and lends them to `body`; they are gone afterwards.
  ///
  /// - Parameters:
  ///   - bytes: a serialised Columns message.
  ///   - count: how many values were announced; `nil` when nobody did.
  ///   - body: reads the columns; may use the arena for other messages meanwhile.
  /// - Returns: what `body` returns.
  /// - Throws: `MessageError` when the message is malformed, too large, or contradicts itself.
  public func withColumns<Result>(
    _ bytes: RawSpan,
    count: Int? = nil,
    _ body: (borrowing ColumnsView) -> Result
  ) throws(MessageError) -> Result {
    try unsafe unpack(bytes, sluice__v1__columns__unpack) { (message) throws(MessageError) in
      let view = try unsafe ColumnsView(message, in: self)
      if let count, count != view.count { throw .wrongCount(expected: count, found: view.count) }
      return body(view)
    }
  }
}
