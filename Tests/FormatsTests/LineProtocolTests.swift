import Formats
import Testing

// Line protocol: escapes, types, errors with their place, and that chunks do not matter.

/// What an importer gives for a line.
private func importLines(
  _ chunks: [ArraySlice<UInt8>],
  _ change: (inout LineProtocolImport.Options) -> Void = { _ in }
) -> [ImportedRecord] {
  var options = LineProtocolImport.Options(now: Timestamp(microseconds: 42))
  change(&options)
  var importer = LineProtocolImport(options: options)
  var records: [ImportedRecord] = []
  for chunk in chunks {
    importer.feed(chunk)
    while let record = importer.next() { records.append(record) }
  }
  importer.finish()
  while let record = importer.next() { records.append(record) }
  return records
}

private func importText(
  _ text: String,
  _ change: (inout LineProtocolImport.Options) -> Void = { _ in }
) -> [ImportedRecord] {
  importLines([Array(text.utf8)[...]], change)
}

@Suite("Line protocol")
struct LineProtocolTests {
  private func point(
    _ entity: String,
    _ attribute: String,
    _ value: PointValue,
    _ time: Int64
  )
    -> Point
  {
    Point(
      entity: entity,
      attribute: attribute,
      time: Timestamp(microseconds: time),
      value: value
    )
  }

  @Test("every type of field becomes its type of value")
  func types() {
    let points = importText(
      "m f=1,g=-1.5e3,i=-7i,u=7u,s=\"a \\\"b\\\", \\\\c\\d\",t=T,x=false 1500\n"
    ).flatMap(\.points)
    #expect(
      points == [
        point("m", "f", .number(1), 1), point("m", "g", .number(-1_500), 1),
        point("m", "i", .integer(-7), 1), point("m", "u", .integer(7), 1),
        point("m", "s", .label("a \"b\", \\c\\d"), 1), point("m", "t", .flag(true), 1),
        point("m", "x", .flag(false), 1),
      ]
    )
  }

  @Test("tags are sorted into the entity key and keep their escapes")
  func series() {
    let points = importText(
      "my\\ m\\,x=y,b=2,a\\=\\ z=1\\,5,c=\\d f\\ g=1 2000\n"
    ).flatMap(\.points)
    #expect(points == [point("my\\ m\\,x=y,a\\=\\ z=1\\,5,b=2,c=\\d", "f g", .number(1), 2)])
  }

  @Test("an entity tag becomes the entity, and the tags that are left stay apart")
  func entityTag() {
    let text = "cpu,host=a,core=0 idle=1 1000\nmem,host=a free=2 1000\nmem free=2 1000\n"
    let kept = importText(text) { $0.entityTag = "host" }
    #expect(
      kept.flatMap(\.points) == [
        point("a", "cpu.idle,core=0", .number(1), 1), point("a", "mem.free", .number(2), 1),
      ]
    )
    #expect(
      kept.flatMap(\.problems).map(\.reason) == [.lineProtocol(.entityTagMissing)]
    )
    let dropped = importText(text) {
      $0.entityTag = "host"
      $0.keepsOtherTags = false
    }
    #expect(dropped.first?.points == [point("a", "cpu.idle", .number(1), 1)])
  }

  @Test("comments, blank lines, CRLF, missing times and strings over lines are read")
  func lines() {
    let records = importText(
      "# a comment = \"\n\n  \r\nm f=1\r\n  m  f=2   5  \nm f=\"x\ny\" 6\nm f=3"
    ) {
      $0.reader.precision = .microseconds
    }
    #expect(records.map(\.line) == [4, 5, 6, 8])
    #expect(
      records.flatMap(\.points) == [
        point("m", "f", .number(1), 42), point("m", "f", .number(2), 5),
        point("m", "f", .label("x\ny"), 6), point("m", "f", .number(3), 42),
      ]
    )
  }

  @Test("quotes outside of field values mean nothing")
  func quotesInNames() {
    let records = importText("\"m\",\"t\"=\"v \"f\"=1\nm,t=\" f=2\n")
    #expect(records.flatMap(\.problems) == [])
    #expect(
      records.flatMap(\.points) == [
        point("\"m\",\"t\"=\"v", "\"f\"", .number(1), 42), point("m,t=\"", "f", .number(2), 42),
      ]
    )
  }

  @Test(
    "errors name the byte and the reason",
    arguments: [
      (",a=1 f=1", 1, .measurementMissing), ("m", 2, .fieldsMissing), ("m ", 3, .fieldsMissing),
      ("m,a f=1", 4, .equalsMissing), ("m,=1 f=1", 3, .keyMissing),
      ("m,a= f=1", 5, .tagValueMissing), ("m,a=1,a=2 f=1", 7, .tagTwice),
      ("m,a=b=c f=1", 6, .equalsUnescaped), ("m f", 4, .equalsMissing), ("m =1", 3, .keyMissing),
      ("m f=", 5, .fieldValueMissing), ("m f=1,", 7, .keyMissing),
      ("m f=1x", 5, .fieldValueMalformed), ("m f=nan", 5, .fieldValueMalformed),
      ("m f=tRue", 5, .fieldValueMalformed), ("m f=-1u", 5, .fieldValueMalformed),
      ("m f=1.5i", 5, .fieldValueMalformed), ("m f=1e999", 5, .fieldValueMalformed),
      ("m f=9223372036854775808u", 5, .integerTooLarge),
      ("m f=-9223372036854775809i", 5, .integerTooLarge),
      ("m f=\"a", 5, .unclosedString), ("m f=\"a\"b", 8, .textAfterString),
      ("m f=1 x", 7, .timestampMalformed), ("m f=1 1.5", 7, .timestampMalformed),
      ("m f=1 99999999999999999999", 7, .timestampOutOfRange),
      ("m f=1 1 2", 9, .textAfterTimestamp),
      ("m f=\"\0\"", 6, .containsNul),
    ] as [(String, Int, LineProtocolError.Problem)]
  )
  func errors(text: String, column: Int, problem: LineProtocolError.Problem) {
    let problems = importText("m f=0\n" + text).flatMap(\.problems)
    #expect(problems.map(\.line) == [2])
    #expect(problems.map(\.column) == [column])
    #expect(problems.map(\.reason) == [.lineProtocol(problem)])
  }

  @Test("after a bad line the next one is read")
  func recovery() {
    var options = LineProtocolReader.Options()
    options.lineBytesMax = 8
    let text = "m f=1234\nm f=12345\nm f=\"\n\n\n\n\n\nm f=1\nm\nm f=2\n"
    let records = importText(text) { $0.reader = options }
    #expect(
      records.flatMap(\.points).map(\.value) == [.number(1_234), .number(1), .number(2)]
    )
    #expect(
      records.flatMap(\.problems).map { "\($0.line) \($0.reason)" } == [
        "2 lineProtocol(Formats.LineProtocolError.Problem.lineTooLong(bytesMax: 8))",
        "3 lineProtocol(Formats.LineProtocolError.Problem.lineTooLong(bytesMax: 8))",
        "10 lineProtocol(Formats.LineProtocolError.Problem.fieldsMissing)",
      ]
    )
  }

  @Test("a string that is not closed costs its own line, and what follows is read")
  func unclosed() {
    let text = "m f=1\nm g=\"a\nb\",f=\"x\r\nm f=2\n\nm f=3\nm f"
    let records = importText(text)
    #expect(records.flatMap(\.points).map(\.value) == [.number(1), .number(2), .number(3)])
    #expect(records.map(\.line) == [1, 2, 4, 6, 7])
    #expect(
      records.flatMap(\.problems).map(\.reason) == [
        .lineProtocol(.unclosedString), .lineProtocol(.equalsMissing),
      ]
    )
  }

  @Test("a string that makes a line too long costs its own line, and what follows is read")
  func unclosedTooLong() {
    let text = "m f=\"a\nm f=1\n" + String(repeating: "m f=2\n", count: 9)
    let records = importText(text) { $0.reader.lineBytesMax = 20 }
    #expect(records.map(\.line) == Array(1...11))
    #expect(records[0].problems.map(\.reason) == [.lineProtocol(.lineTooLong(bytesMax: 20))])
    #expect(
      records.flatMap(\.points).map(\.value) == [.number(1)]
        + Array(repeating: .number(2), count: 9)
    )
  }

  @Test("generated lines are read back as they were meant, wherever the bytes are split")
  func roundTrip() {
    for seed in 0..<40 as Range<UInt64> {
      var generator = SeededGenerator(seed: seed)
      let generated = (0..<3).map { _ in GeneratedLine(&generator) }
      let bytes = Array(generated.map(\.text).joined(separator: "\n").utf8)
      let expected = generated.flatMap(\.points)
      for split in 0...bytes.count {
        let records = importLines([bytes[..<split], bytes[split...]])
        #expect(records.flatMap(\.problems) == [], "seed \(seed)")
        #expect(records.flatMap(\.points) == expected, "seed \(seed), split at \(split)")
      }
    }
  }

  @Test("any bytes give the same points and problems, however they are split")
  func splits() {
    let alphabet = Array("m,= \\\"\n\r#1it".utf8)
    for seed in 0..<300 as Range<UInt64> {
      var generator = SeededGenerator(seed: seed)
      let bytes = (0..<40).compactMap { _ in alphabet.randomElement(using: &generator) }
      let limit: (inout LineProtocolImport.Options) -> Void = { $0.reader.lineBytesMax = 14 }
      let whole = importLines([bytes[...]], limit)
      for split in bytes.indices {
        #expect(whole == importLines([bytes[..<split], bytes[split...]], limit), "seed \(seed)")
      }
    }
  }
}

/// A random line with the points it stands for.
private struct GeneratedLine {
  let text: String
  let points: [Point]

  init(_ generator: inout SeededGenerator) {
    // A backslash at the end of a name would escape what follows; the protocol cannot write it.
    func name() -> String {
      let body: [Character] = ["a", "Z", ",", "=", " ", "\"", "#", "é", "\\"]
      return generator.text(of: body, lengths: 0...4) + "n"
    }
    func escaped(_ name: String, _ special: String) -> String {
      String(name.flatMap { special.contains($0) ? ["\\", $0] : [$0] })
    }
    let measurement = "m" + name()
    let tags = Dictionary(
      (0..<Int.random(in: 0...2, using: &generator)).map { _ in (name(), name()) }
    ) { first, _ in first }
    let time = Int64.random(in: -1_000_000...1_000_000, using: &generator)
    let values: [PointValue] = (0..<Int.random(in: 1...3, using: &generator)).map { _ in
      switch Int.random(in: 0...3, using: &generator) {
      case 0: .number(Double(bitPattern: UInt64.random(in: 0..<(0x7FF << 52), using: &generator)))
      case 1: .integer(Int64.random(in: .min ... .max, using: &generator))
      case 2: .flag(Bool.random(using: &generator))
      default: .label(generator.text(of: ["a", "\"", "\\", "\n", ",", "=", " ", "日"]))
      }
    }
    let fields = values.map { (name(), $0) }

    var series = escaped(measurement, ", ")
    for tag in tags { series += ",\(escaped(tag.key, ",= "))=\(escaped(tag.value, ",= "))" }
    let written = fields.map { name, value in
      escaped(name, ",= ") + "=" + Self.text(of: value)
    }
    text = "\(series) \(written.joined(separator: ",")) \(time * 1_000)"

    let sorted = tags.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    var key = escaped(measurement, ", ")
    for tag in sorted { key += ",\(escaped(tag.key, ",= "))=\(escaped(tag.value, ",= "))" }
    points = fields.map { name, value in
      Point(
        entity: key,
        attribute: name,
        time: Timestamp(microseconds: time),
        value: value
      )
    }
  }

  private static func text(of value: PointValue) -> String {
    switch value {
    case .number(let number): number.description
    case .integer(let integer): "\(integer)i"
    case .flag(let flag): flag ? "true" : "F"
    case .label(let label), .document(let label):
      "\"" + String(label.flatMap { $0 == "\"" || $0 == "\\" ? ["\\", $0] : [$0] }) + "\""
    }
  }
}
