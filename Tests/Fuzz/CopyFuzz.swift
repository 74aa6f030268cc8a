// fuzz-sources: Sources/Storage/Ingest/*.swift
// fuzz-corpus: copy

// Makes batches and trims out of arbitrary bytes, checks and encodes them, and reads the rows back:
// as many as were good, each of the right fields, to the last byte.

/// Takes numbers off the input; zeros at its end.
private struct Input {
  var bytes: [UInt8]
  var index = 0

  var isAtEnd: Bool { index >= bytes.count }

  mutating func byte() -> UInt8 {
    defer { index += 1 }
    return isAtEnd ? 0 : bytes[index]
  }

  mutating func word() -> UInt64 {
    (0..<8).reduce(UInt64(0)) { word, _ in word << 8 | UInt64(byte()) }
  }
}

private struct Keys {
  var entities: [Int64] = []
  var attributes: [UInt32] = []
  var observed: [Int64] = []

  mutating func append(_ input: inout Input) {
    let choice = input.byte()
    entities.append(choice & 1 == 0 ? Int64(choice & 6) : Int64(bitPattern: input.word()))
    attributes.append(
      choice & 16 == 0 ? UInt32(choice >> 5) : UInt32(truncatingIfNeeded: input.word())
    )
    observed.append(choice & 8 == 0 ? 1_000_000 : Int64(bitPattern: input.word()))
  }
}

private func rowCount(_ bytes: [UInt8], fields: Int) -> Int {
  var index = CopyEncoder.header.count
  func integer(_ length: Int) -> Int {
    precondition(index + length <= bytes.count, "a row ends inside the data")
    defer { index += length }
    return bytes[index..<index + length].reduce(0) { $0 << 8 | Int($1) }
  }
  for count in 0... {
    let header = integer(2)
    if header == 0xffff {
      precondition(index == bytes.count, "nothing follows the end")
      return count
    }
    precondition(header == fields, "a row has its fields")
    var present = 0
    for field in 0..<fields {
      let length = integer(4)
      if length == 0xffff_ffff { continue }
      if (4..<9).contains(field) { present += 1 }
      let fixed: [Int?] = [8, 8, 4, 4, 8, 8, 1, nil, nil, 16, 8]
      precondition(fixed[field] == nil || fixed[field] == length, "a field has its length")
      index += length
      precondition(index <= bytes.count, "a field ends inside the data")
    }
    precondition(present == 1, "a row has one value")
  }
  return 0
}

/// One run of libFuzzer.
@c(LLVMFuzzerTestOneInput)
public func fuzz(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
  var input = Input(bytes: unsafe Array(UnsafeBufferPointer(start: data, count: size)))
  var catalog = CatalogIndex()
  for id: Int64 in [2, 4, 6] { catalog.addEntity(id) }
  for type in ValueType.allCases {
    catalog.setAttribute(UInt32(type.rawValue), type: type, isHot: type.rawValue % 2 == 0)
  }
  var keys = [Keys](repeating: Keys(), count: 5)
  var numbers: [Double] = []
  var integers: [Int64] = []
  var flags: [Int32] = []
  var ends: [[UInt32]] = [[], []]
  var texts: [[UInt8]] = [[], []]
  let skip = Int(input.byte() & 15)
  let staged = input.byte() & 1 == 1
  while !input.isAtEnd {
    let type = Int(input.byte() % 5)
    keys[type].append(&input)
    switch type {
    case 0: numbers.append(Double(bitPattern: input.word()))
    case 1: integers.append(Int64(bitPattern: input.word()))
    case 2: flags.append(Int32(input.byte()))
    default:
      for _ in 0..<input.byte() % 40 { texts[type - 3].append(input.byte()) }
      ends[type - 3].append(UInt32(texts[type - 3].count))
    }
  }
  // An element's span needs a variable of its own to live in.
  let (key0, key1, key2, key3, key4) = (keys[0], keys[1], keys[2], keys[3], keys[4])
  let (labelEnds, labelText) = (ends[0], texts[0])
  let (documentEnds, documentText) = (ends[1], texts[1])
  var columns = BatchColumns()
  columns.numbers = ValueSection(
    entities: key0.entities.span,
    attributes: key0.attributes.span,
    observedAtUnixMicroseconds: key0.observed.span,
    values: numbers.span
  )
  columns.integers = ValueSection(
    entities: key1.entities.span,
    attributes: key1.attributes.span,
    observedAtUnixMicroseconds: key1.observed.span,
    values: integers.span
  )
  columns.flags = ValueSection(
    entities: key2.entities.span,
    attributes: key2.attributes.span,
    observedAtUnixMicroseconds: key2.observed.span,
    values: flags.span
  )
  columns.labels = TextSection(
    ends: ValueSection(
      entities: key3.entities.span,
      attributes: key3.attributes.span,
      observedAtUnixMicroseconds: key3.observed.span,
      values: labelEnds.span
    ),
    text: labelText.span
  )
  columns.documents = TextSection(
    ends: ValueSection(
      entities: key4.entities.span,
      attributes: key4.attributes.span,
      observedAtUnixMicroseconds: key4.observed.span,
      values: documentEnds.span
    ),
    text: documentText.span
  )
  precondition(columns.isWellFormed, "the batch was made well")
  let count = columns.count
  guard skip < count else { return 0 }

  var check = BatchCheck()
  check.run(
    columns,
    catalog,
    ValueLimits(labelBytes: 30),
    nowUnixMicroseconds: 2_000_000,
    skipping: skip
  )
  precondition(check.rejects.allSatisfy { (skip..<count).contains(Int($0.index)) })
  var encoder = CopyEncoder(staged ? .staged : .direct, capacity: 1 + skip)
  encoder.begin()
  encoder.append(
    columns,
    CopyEncoder.Origin(
      tenant: 1,
      producer: ProducerID(high: 1, low: 2),
      firstSequence: 3,
      skipping: skip
    ),
    rejects: check.rejects.span
  )
  encoder.end()
  let encoded = unsafe encoder.bytes.withUnsafeBytes { unsafe Array($0) }
  let rows = rowCount(encoded, fields: staged ? 11 : 9)
  precondition(rows == count - skip - check.rejects.count, "every good value has a row")

  var group = GroupStatement()
  let range = SequenceRange(first: 1, last: UInt64(count), checksum: 9)
  _ = group.add(
    tenant: 1,
    producer: ProducerID(high: 1, low: 2),
    epoch: 1,
    range: range,
    skipping: skip,
    rejects: check.rejects
  )
  group.hot.add(columns, tenant: 1, indexes: check.hot)
  let quotes = group.durableText.utf8.count { $0 == UInt8(ascii: "'") }
  // Six arrays of producers; three of rejected values and five of hot ones, if there are any.
  let arrays = 6 + (check.rejects.isEmpty ? 0 : 3) + (check.hot.isEmpty ? 0 : 5)
  precondition(quotes == 2 * arrays, "nothing a client sent ends a literal")
  return 0
}
