// A batch that owns its columns, made by hand or at random, and what PostgreSQL must show of it.

import Storage

/// Reproducible random numbers (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}

struct CopyFixture {
  struct Keys {
    var entities: [Int64] = []
    var attributes: [UInt32] = []
    var observed: [Int64] = []

    mutating func append(_ entity: Int64, _ attribute: UInt32, _ observed: Int64) {
      entities.append(entity)
      attributes.append(attribute)
      self.observed.append(observed)
    }
  }

  var numberKeys = Keys()
  var numbers: [Double] = []
  var integerKeys = Keys()
  var integers: [Int64] = []
  var flagKeys = Keys()
  var flags: [Int32] = []
  var labelKeys = Keys()
  var labelEnds: [UInt32] = []
  var labelText: [UInt8] = []
  var documentKeys = Keys()
  var documentEnds: [UInt32] = []
  var documentText: [UInt8] = []

  mutating func add(_ number: Double, entity: Int64 = 1, attribute: UInt32 = 1, at: Int64 = 0) {
    numberKeys.append(entity, attribute, at)
    numbers.append(number)
  }

  mutating func add(integer: Int64, entity: Int64 = 1, attribute: UInt32 = 2, at: Int64 = 0) {
    integerKeys.append(entity, attribute, at)
    integers.append(integer)
  }

  mutating func add(flag: Int32, entity: Int64 = 1, attribute: UInt32 = 3, at: Int64 = 0) {
    flagKeys.append(entity, attribute, at)
    flags.append(flag)
  }

  mutating func add(label: [UInt8], entity: Int64 = 1, attribute: UInt32 = 4, at: Int64 = 0) {
    labelKeys.append(entity, attribute, at)
    labelText += label
    labelEnds.append(UInt32(labelText.count))
  }

  mutating func add(document: [UInt8], entity: Int64 = 1, attribute: UInt32 = 5, at: Int64 = 0) {
    documentKeys.append(entity, attribute, at)
    documentText += document
    documentEnds.append(UInt32(documentText.count))
  }

  var count: Int {
    numbers.count + integers.count + flags.count + labelEnds.count + documentEnds.count
  }

  func withColumns<Result>(_ body: (borrowing BatchColumns) -> Result) -> Result {
    var columns = BatchColumns()
    columns.numbers = ValueSection(
      entities: numberKeys.entities.span,
      attributes: numberKeys.attributes.span,
      observedAtUnixMicroseconds: numberKeys.observed.span,
      values: numbers.span
    )
    columns.integers = ValueSection(
      entities: integerKeys.entities.span,
      attributes: integerKeys.attributes.span,
      observedAtUnixMicroseconds: integerKeys.observed.span,
      values: integers.span
    )
    columns.flags = ValueSection(
      entities: flagKeys.entities.span,
      attributes: flagKeys.attributes.span,
      observedAtUnixMicroseconds: flagKeys.observed.span,
      values: flags.span
    )
    columns.labels = TextSection(
      ends: ValueSection(
        entities: labelKeys.entities.span,
        attributes: labelKeys.attributes.span,
        observedAtUnixMicroseconds: labelKeys.observed.span,
        values: labelEnds.span
      ),
      text: labelText.span
    )
    columns.documents = TextSection(
      ends: ValueSection(
        entities: documentKeys.entities.span,
        attributes: documentKeys.attributes.span,
        observedAtUnixMicroseconds: documentKeys.observed.span,
        values: documentEnds.span
      ),
      text: documentText.span
    )
    return body(columns)
  }

  /// Everything that has ever been written wrongly somewhere, then values at random.
  static func random(count: Int, seed: UInt64, largeBytes: Int = 1000) -> CopyFixture {
    var random = SeededGenerator(state: seed)
    var fixture = CopyFixture()
    for number in [
      0, -0.0, .nan, .infinity, -.infinity, .greatestFiniteMagnitude, .leastNonzeroMagnitude,
      0.1 + 0.2, 1e23, -1.5,
    ] { fixture.add(number, at: -62_135_596_800_000_000) }
    for integer in [Int64.min, .max, 0, -1, 9_007_199_254_740_993] {
      fixture.add(integer: integer, at: 946_684_800_000_000)
    }
    for flag: Int32 in [0, 1, 2, -1] { fixture.add(flag: flag) }
    for label in ["", "a", "ü€😀", "tab\tline\nback\\slash'quote\""] {
      fixture.add(label: Array(label.utf8))
    }
    let large = "[\"" + String(repeating: "x", count: largeBytes) + "\"]"
    for document in ["{}", "null", "[1, 2.50, \"ü\"]", "{\"a\": {\"b\": [true, false]}}", large] {
      fixture.add(document: Array(document.utf8))
    }
    while fixture.count < count {
      let entity = Int64.random(in: 1...Int64.max, using: &random)
      let attribute = UInt32.random(in: 1...UInt32(Int32.max), using: &random)
      let at = Int64.random(in: -62_135_596_800_000_000...9_000_000_000_000_000, using: &random)
      switch UInt8.random(in: 0..<5, using: &random) {
      case 0:
        let number = Double(bitPattern: random.next())
        fixture.add(number, entity: entity, attribute: attribute, at: at)
      case 1:
        let integer = Int64(bitPattern: random.next())
        fixture.add(integer: integer, entity: entity, attribute: attribute, at: at)
      case 2:
        fixture.add(
          flag: Int32.random(in: 0...1, using: &random),
          entity: entity,
          attribute: attribute,
          at: at
        )
      case 3:
        let label = (0..<Int.random(in: 0..<40, using: &random)).map { _ in
          UInt8.random(in: 1..<128, using: &random)
        }
        fixture.add(label: label, entity: entity, attribute: attribute, at: at)
      default:
        let number = Int.random(in: 0..<1000, using: &random)
        fixture.add(
          document: Array("{\"n\": \(number)}".utf8),
          entity: entity,
          attribute: attribute,
          at: at
        )
      }
    }
    return fixture
  }

  /// Lines as this query shows them, in the order of the rows:
  /// entity, observed µs, tenant, attribute, float8send in hex, integer, flag, label and document
  /// in hex.
  func expectedLines(tenant: Int32, skipping: Int, rejected: Set<Int>) -> [String] {
    var lines: [String] = []
    var index = 0
    func line(_ keys: Keys, _ place: Int, _ value: String) {
      if index >= skipping, !rejected.contains(index) {
        lines.append(
          "\(keys.entities[place])|\(keys.observed[place])|\(tenant)|\(keys.attributes[place])|"
            + value
        )
      }
      index += 1
    }
    for place in numbers.indices {
      line(numberKeys, place, CopyFixture.hex(numbers[place].bitPattern) + "||||")
    }
    for place in integers.indices { line(integerKeys, place, "|\(integers[place])|||") }
    for place in flags.indices { line(flagKeys, place, "||\(flags[place] == 0 ? "f" : "t")||") }
    var start = 0
    for place in labelEnds.indices {
      let end = Int(labelEnds[place])
      line(labelKeys, place, "|||x" + CopyFixture.hex(labelText[start..<end]) + "|")
      start = end
    }
    start = 0
    for place in documentEnds.indices {
      let end = Int(documentEnds[place])
      line(documentKeys, place, "||||x" + CopyFixture.hex(documentText[start..<end]))
      start = end
    }
    return lines
  }

  static func hex(_ bits: UInt64) -> String {
    let digits = String(bits, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  static func hex(_ bytes: ArraySlice<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    for byte in bytes {
      text.append(digits[Int(byte >> 4)])
      text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
  }
}
