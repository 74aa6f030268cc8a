import Formats
import Testing

// What people and programs see: tables, JSON, charts, progress and numbers.

@Suite("Output")
struct OutputTests {
  @Test("a plain table aligns numbers at the right and text at the left")
  func plainTable() {
    var table = Table(["NAME", "VALUES", "NOTE"])
    table.append(["a", "1,234", "x"])
    table.append(["日本", "5.5 k", "é\u{301}"])
    table.append(["long name", ""])
    #expect(
      table.render() == """
        NAME       VALUES  NOTE
        a           1,234  x
        日本        5.5 k  é\u{301}
        long name

        """
    )
  }

  @Test("a boxed table stays straight, cuts long cells and shows control characters")
  func boxedTable() {
    var table = Table(["k", "v"], style: .box, columnWidthMax: 6)
    table.append(["a\nb", "\u{1B}[31m red"])
    table.append(["🦉", "ok"])
    #expect(
      table.render() == """
        ┌──────┬────────┐
        │ k    │ v      │
        ├──────┼────────┤
        │ a\\nb │ \\u{1b… │
        │ 🦉   │ ok     │
        └──────┴────────┘

        """
    )
  }

  @Test("JSON is written with commas, escapes and line ends where they belong")
  func json() {
    var writer = JSONWriter()
    writer.beginObject()
    writer.key("a\"\\\n\u{1}")
    writer.beginArray()
    writer.value(1)
    writer.value(0.1)
    writer.value(Double.nan)
    writer.value(-Double.infinity)
    writer.beginObject()
    writer.endObject()
    writer.endArray()
    writer.key("b")
    writer.value(PointValue.document("{\"x\":1}"))
    writer.key("c")
    writer.null()
    writer.endObject()
    writer.value("é\u{85}")
    #expect(
      writer.take() == """
        {"a\\"\\\\\\n\\u0001":[1,0.1,"NaN","-Infinity",{}],"b":{"x":1},"c":null}
        "é\\u0085"

        """
    )
    #expect(writer.take() == "")
    var indented = JSONWriter(indentation: 2)
    indented.beginObject()
    indented.key("a")
    indented.beginArray()
    indented.value(true)
    indented.endArray()
    indented.endObject()
    #expect(indented.take() == "{\n  \"a\": [\n    true\n  ]\n}\n")
  }

  @Test("doubles read back as the same double")
  func doubles() throws {
    var generator = SeededGenerator(seed: 3)
    var numbers = [
      0.0, -0.0, 1e22, 1e23, 0.1, .leastNonzeroMagnitude, .greatestFiniteMagnitude, 1 / 3,
      123_456.7,
    ]
    for _ in 0..<10_000 {
      let number = Double(bitPattern: generator.next())
      if number.isFinite { numbers.append(number) }
    }
    for number in numbers {
      let text = JSONWriter.text(of: number)
      guard case .number(let read) = try PointValue(parsing: text, as: .number) else {
        Issue.record("not a number")
        continue
      }
      #expect(read.bitPattern == number.bitPattern, "\(text)")
    }
  }

  @Test(
    "numbers are only what they look like",
    arguments: [
      ("1", 1), ("+1.5", 1.5), (".5", 0.5), ("5.", 5), ("1E3", 1_000), ("-1e-3", -0.001),
      ("0x10", nil), ("1_000", nil), ("1e", nil), ("", nil), ("-", nil), (".", nil), ("1 2", nil),
      ("1e400", nil), ("9007199254740993", 9_007_199_254_740_992), ("INF", .infinity),
      ("-infinity", -.infinity), ("infinite", nil), ("1e99999999999", nil),
    ] as [(String, Double?)]
  )
  func numbers(text: String, expected: Double?) {
    let value = try? PointValue(parsing: text, as: .number)
    #expect(value == expected.map(PointValue.number))
  }

  @Test(
    "documents are JSON as PostgreSQL takes it",
    arguments: [
      ("{}", true), (" [1, -2.5e+3, \"\\u00e9\\n\", null, true, {\"a\": {}}] ", true), ("1", true),
      ("\"\\ud83e\\udd89\"", true), ("{", false), ("[1,]", false), ("{\"a\":1,}", false),
      ("01", false), ("1.", false), ("\"\\u0000\"", false), ("\"\\ud83e\"", false),
      ("\"a\nb\"", false), ("nul", false), ("[1] 2", false), ("", false), ("'a'", false),
    ] as [(String, Bool)]
  )
  func documents(text: String, isDocument: Bool) {
    #expect(((try? PointValue(parsing: text, as: .document)) != nil) == isDocument)
  }

  @Test("nesting is limited, so a document cannot exhaust the stack")
  func nesting() {
    let deep = String(repeating: "[", count: 100_000)
    #expect(throws: PointValueError.self) { try PointValue(parsing: deep, as: .document) }
  }

  @Test("quantities are short and keep their unit")
  func quantities() {
    #expect(Quantity.grouped(1_234_567) == "1,234,567")
    #expect(Quantity.grouped(Int64.min) == "-9,223,372,036,854,775,808")
    #expect(Quantity.grouped(-100) == "-100")
    #expect(
      [999, 999.6, 1_234, 12_345, 999_950, 0.5, 0].map(Quantity.compact) == [
        "999", "1 k", "1.23 k", "12.3 k", "1 M", "0.5", "0",
      ]
    )
    #expect(Quantity.rate(12_345) == "12.3 k/s")
    #expect(Quantity.rate(1.2e6, unit: "values") == "1.2 M values/s")
    #expect(
      [0, 1_023, 1_024, 1_572_864].map { Quantity.bytes($0) } == [
        "0 B", "1023 B", "1 KiB", "1.5 MiB",
      ]
    )
    #expect(
      [0, 8.5e-7, 0.001_24, 0.999_9, 12.5, 59.99, 200, 7_500, 90_000, -200].map(Quantity.seconds)
        == [
          "0 s", "850 ns", "1.24 ms", "1 s", "12.5 s", "1m00s", "3m20s", "2h05m", "1d01h", "-3m20s",
        ]
    )
    #expect(Quantity.duration(.milliseconds(3)) == "3 ms")
    #expect(Quantity.percent(0.125) == "12.5 %")
    #expect(Quantity.decimal(-0.004, digits: 2) == "0")
    #expect(Quantity.decimal(1.5, digits: 3, keepsZeros: true) == "1.500")
    #expect(Quantity.compact(.nan) == "NaN")
    #expect(Quantity.compact(1e300) == "1e300")
  }

  @Test("a sparkline shows the shape, also of constant and broken series")
  func sparklines() {
    #expect(Sparkline.render([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█")
    #expect(Sparkline.render([5, 5, .nan, .infinity]) == "▅▅  ")
    #expect(Sparkline.render([]) == "")
    #expect(Sparkline.render([0, 0, 8, 8], width: 2, isAscii: true) == "_#")
    let ends = [-Double.greatestFiniteMagnitude, 0, .greatestFiniteMagnitude]
    #expect(Sparkline.render(ends) == "▁▅█")
  }

  @Test("a progress bar fits its width and says what is left")
  func progress() {
    let bar = ProgressBar(
      completed: 620_000,
      total: 1_000_000,
      elapsedSeconds: 0.62,
      unit: "values"
    )
    #expect(
      bar.render(width: 80)
        == "━━━━━━━━━━━━━━╸─────────   62 %  620,000 of 1,000,000 values  1 M/s  380 ms left"
    )
    for width in 0..<120 { #expect(DisplayWidth.of(bar.render(width: width)) <= width) }
    #expect(bar.renderDone() == "620,000 values in 620 ms, 1 M/s")
    let unknown = ProgressBar(completed: 5, elapsedSeconds: 0, unit: "rows")
    #expect(unknown.render() == "5 rows  0/s  0 s")
    let done = ProgressBar(completed: 9, total: 9, elapsedSeconds: 3, isAscii: true)
    #expect(done.render(width: 40) == "##########  100 %  9 of 9  3/s  0 s left")
  }
}
