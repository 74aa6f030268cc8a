internal import Storage
internal import Wire

// Lends the columns of a decoded batch to storage: the same memory under storage's names.

extension BatchColumns {
  /// The batch as storage reads it, valid as long as the view.
  @_lifetime(copy view)
  init(_ view: borrowing ColumnsView) {
    self.init()
    numbers = ValueSection(view.numbers)
    integers = ValueSection(view.integers)
    flags = ValueSection(view.flags)
    labels = TextSection(view.labels)
    documents = TextSection(view.documents)
  }
}

extension ValueSection {
  @_lifetime(copy view)
  fileprivate init(_ view: SectionView<Value>) {
    self.init(
      entities: view.entityIDs,
      attributes: view.attributeIDs,
      observedAtUnixMicroseconds: view.observedAt,
      values: view.values
    )
  }
}

extension TextSection {
  @_lifetime(copy view)
  fileprivate init(_ view: TextSectionView) {
    self.init(
      ends: ValueSection(
        entities: view.entityIDs,
        attributes: view.attributeIDs,
        observedAtUnixMicroseconds: view.observedAt,
        values: view.endOffsets
      ),
      // Bytes of bytes: nothing is reinterpreted.
      text: Span<UInt8>(_bytes: view.text)
    )
  }
}
