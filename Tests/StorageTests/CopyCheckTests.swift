import Storage
import Testing

private let now: Int64 = 1_800_000_000_000_000

private func catalog() -> CatalogIndex {
  var catalog = CatalogIndex()
  for entity: Int64 in [1, 2, 65_536, 1 << 40] { catalog.addEntity(entity) }
  for (index, type) in ValueType.allCases.enumerated() {
    catalog.setAttribute(UInt32(index + 1), type: type, isHot: type == .number)
  }
  return catalog
}

private func check(
  _ fixture: CopyFixture,
  _ limits: ValueLimits = ValueLimits(),
  skipping: Int = 0
) -> BatchCheck {
  var check = BatchCheck()
  fixture.withColumns { columns in
    check.run(columns, catalog(), limits, nowUnixMicroseconds: now, skipping: skipping)
  }
  return check
}

private func reason(_ build: (inout CopyFixture) -> Void) -> RejectReason? {
  var fixture = CopyFixture()
  build(&fixture)
  return check(fixture, ValueLimits(labelBytes: 10, documentBytes: 20, documentDepth: 3))
    .rejects.first?.reason
}

@Suite("Batch check")
struct CopyCheckTests {
  @Test("every reason is found")
  func reasons() {
    #expect(reason { $0.add(1) } == nil)
    #expect(reason { $0.add(.nan) } == nil)
    #expect(reason { $0.add(-.infinity) } == nil)
    #expect(reason { $0.add(1, entity: 3) } == .unknownEntity)
    #expect(reason { $0.add(1, entity: 0) } == .unknownEntity)
    #expect(reason { $0.add(1, entity: -1) } == .unknownEntity)
    #expect(reason { $0.add(1, entity: .min) } == .unknownEntity)
    #expect(reason { $0.add(1, entity: .max) } == .unknownEntity)
    #expect(reason { $0.add(1, entity: 1 << 40) } == nil)
    #expect(reason { $0.add(1, attribute: 0) } == .unknownAttribute)
    #expect(reason { $0.add(1, attribute: 6) } == .unknownAttribute)
    #expect(reason { $0.add(1, attribute: .max) } == .unknownAttribute)
    #expect(reason { $0.add(1, attribute: 2) } == .wrongType)
    #expect(reason { $0.add(integer: 1, attribute: 1) } == .wrongType)
    #expect(reason { $0.add(1, at: -62_135_596_800_000_000) } == nil)
    #expect(reason { $0.add(1, at: -62_135_596_800_000_001) } == .timeOutOfRange)
    #expect(reason { $0.add(1, at: .min) } == .timeOutOfRange)
    #expect(reason { $0.add(1, at: now + 3_600_000_000) } == nil)
    #expect(reason { $0.add(1, at: now + 3_600_000_001) } == .timeInFuture)
    #expect(reason { $0.add(1, at: .max) } == .timeInFuture)
    #expect(reason { $0.add(label: []) } == nil)
    #expect(reason { $0.add(label: [0x61, 0xff]) } == .textNotUTF8)
    #expect(reason { $0.add(label: [0x61, 0]) } == .textHasNUL)
    #expect(reason { $0.add(label: Array("0123456789".utf8)) } == nil)
    #expect(reason { $0.add(label: Array("01234567890".utf8)) } == .tooLong)
    #expect(reason { $0.add(document: Array("[[[]]]".utf8)) } == nil)
    #expect(reason { $0.add(document: Array("[[[[]]]]".utf8)) } == .jsonTooDeep)
    #expect(reason { $0.add(document: Array("{".utf8)) } == .notJSON)
    #expect(reason { $0.add(document: []) } == .notJSON)
    #expect(reason { $0.add(document: Array("\"01234567890123456789\"".utf8)) } == .tooLong)
  }

  @Test("indexes run through the sections, and good values of hot attributes are named")
  func indexes() {
    var fixture = CopyFixture()
    fixture.add(1)
    fixture.add(2, entity: 77)
    fixture.add(3, entity: 2)
    fixture.add(integer: 1)
    fixture.add(flag: 1, attribute: 2)
    fixture.add(label: [0])
    fixture.add(document: Array("1".utf8))
    let result = check(fixture)
    #expect(
      result.rejects == [
        RejectedValue(index: 1, reason: .unknownEntity),
        RejectedValue(index: 4, reason: .wrongType),
        RejectedValue(index: 5, reason: .textHasNUL),
      ]
    )
    #expect(result.hot == [0, 2])
  }

  @Test("what is unknown is asked for, entity and attribute at once")
  func unknown() {
    var fixture = CopyFixture()
    fixture.add(1, entity: 88, attribute: 99)
    fixture.add(1, entity: 88, attribute: 99)
    fixture.add(1, entity: 1, attribute: 98)
    let result = check(fixture)
    #expect(result.unknownEntities == [88])
    #expect(result.unknownAttributes == [99, 98])
    #expect(result.rejects.count == 3)
  }

  @Test("skipped values are not looked at")
  func skipping() {
    var fixture = CopyFixture()
    fixture.add(1, entity: 88)
    fixture.add(integer: 1, entity: 88)
    fixture.add(flag: 1)
    #expect(check(fixture, skipping: 1).rejects.map(\.index) == [1])
    #expect(check(fixture, skipping: 2).rejects.isEmpty)
  }

  @Test("every unknown id is told, for what nobody asks for is rejected in the end")
  func many() {
    var fixture = CopyFixture()
    for index in 0..<5000 {
      fixture.add(1, entity: Int64(1000 + index))
      fixture.add(1, entity: 1, attribute: index % 2 == 0 ? 900 : 901)
    }
    let result = check(fixture)
    #expect(result.rejects.count == 10_000)
    #expect(result.unknownEntities == Set(1000..<6000))
    #expect(result.unknownAttributes == [900, 901])
  }

  @Test("a section of unequal columns or falling ends is not well formed")
  func shape() {
    var fixture = CopyFixture()
    fixture.add(label: [1, 2])
    fixture.add(label: [3])
    #expect(fixture.withColumns { $0.isWellFormed })
    var broken = fixture
    broken.labelEnds = [3, 2]
    #expect(!broken.withColumns { $0.isWellFormed })
    broken.labelEnds = [1, 2]
    #expect(!broken.withColumns { $0.isWellFormed })
    broken = fixture
    broken.add(1)
    broken.numberKeys.entities = []
    #expect(!broken.withColumns { $0.isWellFormed })
  }

  @Test("UTF-8 is checked as RFC 3629 says, at any offset from a word")
  func utf8() {
    let good = ["ü", "€", "😀", "\u{d7ff}", "\u{e000}", "\u{10ffff}", "\u{80}", "\u{7ff}"]
    let bad: [[UInt8]] = [
      [0x80], [0xc0, 0x80], [0xc1, 0xbf], [0xe0, 0x9f, 0xbf], [0xed, 0xa0, 0x80], [0xc3],
      [0xf0, 0x8f, 0xbf, 0xbf], [0xf4, 0x90, 0x80, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xe2, 0x82],
      [0xf0, 0x9f, 0x98], [0xe2, 0x28, 0xa1], [0xff],
    ]
    for padding in 0..<10 {
      let before = [UInt8](repeating: 0x61, count: padding)
      for text in good { #expect(textReason(before + Array(text.utf8)) == nil) }
      for text in bad { #expect(textReason(before + text) == .textNotUTF8) }
      #expect(textReason(before + [0] + before) == .textHasNUL)
    }
  }

  private func textReason(_ bytes: [UInt8]) -> RejectReason? { TextCheck.reason(bytes.span) }

  @Test("a catalog is a value: a copy does not see later changes")
  func copies() {
    var first = catalog()
    let second = first
    first.addEntity(3)
    first.setAttribute(9, type: .flag, isHot: true)
    #expect(first.hasEntity(3) && !second.hasEntity(3))
    #expect(first.type(of: 9) == .flag && second.type(of: 9) == nil)
    #expect(first.isHot(9) && !second.isHot(9))
  }
}
