import Formats
import Testing

// Cutting CSV into records: the rules of RFC 4180, the limits, and that chunks do not matter.

/// What a reader gives for an input, records and errors in their order.
enum CSVOutcome: Equatable {
  case record(line: Int, [String])
  case error(CSVError)
}

/// Reads an input that arrives in these chunks.
func readCSV(
  _ chunks: [ArraySlice<UInt8>],
  options: CSVReader.Options = CSVReader.Options()
) -> [CSVOutcome] {
  var reader = CSVReader(options: options)
  var outcomes: [CSVOutcome] = []
  func drain() {
    while true {
      do throws(CSVError) {
        guard let record = try reader.next() else { return }
        outcomes.append(.record(line: record.line, record.fields))
      } catch {
        outcomes.append(.error(error))
      }
    }
  }
  for chunk in chunks {
    reader.feed(chunk)
    drain()
  }
  reader.finish()
  drain()
  return outcomes
}

@Suite("CSV")
struct CSVTests {
  @Test(
    "records are read as RFC 4180 says",
    arguments: [
      ("", []),
      ("\n\r\n\n", []),
      ("a,b\n1,2\n", [["a", "b"], ["1", "2"]]),
      ("a,b\r\n1,2", [["a", "b"], ["1", "2"]]),
      ("\u{FEFF}a\n1\n", [["a"], ["1"]]),
      ("a,b\n,\n", [["a", "b"], ["", ""]]),
      ("\"a\"\"b\",\"c,d\"\n", [["a\"b", "c,d"]]),
      ("\"two\r\nlines\",x\n", [["two\r\nlines", "x"]]),
      ("\"\"\n", [[""]]),
      ("\"\"", [[""]]),
      ("a\n\n\nb\n", [["a"], ["b"]]),
      ("a,", [["a", ""]]),
      ("käse,日本\n", [["käse", "日本"]]),
      (" a , b \n", [[" a ", " b "]]),
    ] as [(String, [[String]])]
  )
  func records(text: String, expected: [[String]]) {
    let bytes = Array(text.utf8)
    let whole = readCSV([bytes[...]])
    #expect(whole == readCSV(bytes.indices.map { bytes[$0...$0] }), "byte by byte")
    let records = whole.map { outcome in
      if case .record(_, let fields) = outcome { return fields }
      return ["an error"]
    }
    #expect(records == expected)
  }

  @Test("errors name the line, and the next record is read")
  func errors() {
    let cases: [(String, [CSVOutcome])] = [
      (
        "a\nb\"c\"d\ne\n",
        [
          .record(line: 1, ["a"]), .error(CSVError(line: 2, problem: .strayQuote)),
          .record(line: 3, ["e"]),
        ]
      ),
      (
        "\"a\"b\nc\n",
        [.error(CSVError(line: 1, problem: .textAfterQuote)), .record(line: 2, ["c"])]
      ),
      (
        "a\n\n\"b\nc\n",
        [
          .record(line: 1, ["a"]), .error(CSVError(line: 3, problem: .unclosedQuote)),
          .record(line: 4, ["c"]),
        ]
      ),
      (
        "a,b\nc,\"d\ne,\"\"\n\nf,g",
        [
          .record(line: 1, ["a", "b"]), .error(CSVError(line: 2, problem: .unclosedQuote)),
          .record(line: 3, ["e", ""]), .record(line: 5, ["f", "g"]),
        ]
      ),
      (
        "a\rb\nc\n",
        [.error(CSVError(line: 1, problem: .bareCarriageReturn)), .record(line: 2, ["c"])]
      ),
      (
        "\"a\n\nb\"\nc,d\ne\n",
        [
          .record(line: 1, ["a\n\nb"]),
          .error(CSVError(line: 4, problem: .fieldCount(expected: 1, found: 2))),
          .record(line: 5, ["e"]),
        ]
      ),
    ]
    for (text, expected) in cases {
      #expect(readCSV([Array(text.utf8)[...]]) == expected, "\(text)")
    }
  }

  @Test("two broken characters side by side do not make a whole one")
  func invalidUTF8() {
    let bytes: [UInt8] = [0x61, 0xC3, 0x2C, 0xA9, 0x0A]
    #expect(
      readCSV([bytes[...]]) == [
        .error(CSVError(line: 1, problem: .invalidUTF8(field: 1, offset: 1)))
      ]
    )
  }

  @Test("a record may be as long as the limit and no longer, also across line feeds in quotes")
  func limits() {
    var options = CSVReader.Options()
    options.recordBytesMax = 8
    options.fieldCountMax = 3
    options.requiresEqualFieldCounts = false
    let text = "12345678\n123456789\n\"1\n2\n3\n4\n5\"\na,b,c\na,b,c,\"\n\",e\nok\n"
    #expect(
      readCSV([Array(text.utf8)[...]], options: options) == [
        .record(line: 1, ["12345678"]),
        .error(CSVError(line: 2, problem: .recordTooLong(bytesMax: 8))),
        .error(CSVError(line: 3, problem: .recordTooLong(bytesMax: 8))),
        .record(line: 8, ["a", "b", "c"]),
        .error(CSVError(line: 9, problem: .tooManyFields(max: 3))),
        .record(line: 11, ["ok"]),
      ]
    )
  }

  @Test("what an unclosed quote has cost behind the limit is told")
  func unclosedTooLong() {
    var options = CSVReader.Options()
    options.recordBytesMax = 8
    for end in ["", "\n"] {
      let text = "a\n\"bcdefgh\nc\nd\"\"\ne" + end
      #expect(
        readCSV([Array(text.utf8)[...]], options: options) == [
          .record(line: 1, ["a"]),
          .error(CSVError(line: 2, problem: .recordTooLong(bytesMax: 8))),
          .error(CSVError(line: 2, problem: .unclosedQuoteTooLong(unreadLines: 3))),
        ]
      )
    }
  }

  @Test("what the writer writes is read back, wherever the bytes are split")
  func roundTrip() {
    let alphabet: [Character] = [
      "a", "7", ",", ";", "\"", "\n", "\r", "\r\n", " ", "é", "日", "🦉", "\u{FEFF}", "\u{301}", "\t",
    ]
    for seed in 0..<150 as Range<UInt64> {
      var generator = SeededGenerator(seed: seed)
      let columnCount = Int.random(in: 1...4, using: &generator)
      let records = (0..<Int.random(in: 1...6, using: &generator)).map { _ in
        (0..<columnCount).map { _ in generator.text(of: alphabet) }
      }
      var options = CSVReader.Options()
      options.delimiter = UInt8(ascii: Bool.random(using: &generator) ? "," : ";")
      let lineEnd = Bool.random(using: &generator) ? "\n" : "\r\n"
      var writer = CSVWriter(delimiter: options.delimiter, lineEnd: lineEnd)
      for record in records { writer.write(record) }
      let bytes = Array(writer.take().utf8)
      let expected = records.map { $0.map { Array($0.utf8) } }
      for split in 0...bytes.count {
        let outcomes = readCSV([bytes[..<split], bytes[split...]], options: options)
        let fields = outcomes.map { outcome in
          if case .record(_, let fields) = outcome { return fields.map { Array($0.utf8) } }
          return []
        }
        #expect(fields == expected, "seed \(seed), split at \(split)")
      }
    }
  }

  @Test("any bytes give the same records and errors, however they are split")
  func splits() {
    let alphabet = Array("\",\n\r\"ab\u{E9}\u{FEFF}".utf8)
    for seed in 0..<300 as Range<UInt64> {
      var generator = SeededGenerator(seed: seed)
      let bytes = (0..<40).compactMap { _ in alphabet.randomElement(using: &generator) }
      var options = CSVReader.Options()
      options.recordBytesMax = 12
      options.fieldCountMax = 4
      let whole = readCSV([bytes[...]], options: options)
      #expect(whole == readCSV(bytes.indices.map { bytes[$0...$0] }, options: options))
      for split in bytes.indices {
        #expect(
          whole == readCSV([bytes[..<split], bytes[split...]], options: options),
          "seed \(seed)"
        )
      }
    }
  }
}
