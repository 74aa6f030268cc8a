import Storage
import Testing

private func reason(_ text: String, depth: Int = 128) -> RejectReason? {
  reason(Array(text.utf8), depth: depth)
}

private func reason(_ text: [UInt8], depth: Int = 128) -> RejectReason? {
  JSONText.reason(text.span, depthMax: depth)
}

@Suite("JSON text")
struct JSONTextTests {
  @Test(
    "JSON passes",
    arguments: [
      "0", "-0", " 1 ", "1.5e-3", "1E+5", "\"\"", "\"\\u00e9\\ud83d\\ude00\\n\"", "true", "false",
      "null", "[]", "{}", "[1,[2,{\"a\":[]}]]", "{\"a\":1,\"a\":2,\"\":{}}", "\t\r\n{}\n",
      "\"\u{7f}\"",
      "1e131071", "1e-16383",
    ]
  )
  func good(text: String) { #expect(reason(text) == nil) }

  @Test(
    "anything else does not",
    arguments: [
      "", " ", "01", "-", "+1", "1.", ".5", "1e", "1e+", "tru", "TRUE", "truex", "[1,]", "[,]",
      "[1",
      "]", "[}", "{]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "\"", "\"\\x\"", "\"\\u12\"",
      "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"a\nb\"", "1 2", "NaN", "// 1", "'a'",
      "1e131072", "1e-16384", "1e999999999999999999999", "\u{feff}1", "[1}", "{\"a\":1]",
    ]
  )
  func bad(text: String) { #expect(reason(text) == .notJSON) }

  @Test("a short text that jsonb would write out as a huge one is too long")
  func blownUp() {
    func numbers(_ count: Int, _ number: String) -> String {
      "[" + Array(repeating: number, count: count).joined(separator: ",") + "]"
    }
    #expect(reason(numbers(4, "1e131071")) == nil)
    #expect(reason(numbers(5, "1e131071")) == .tooLong)
    #expect(reason(numbers(33, "1e-16383")) == .tooLong)
    #expect(reason(numbers(10_000, "1.5e3")) == nil)
  }

  @Test("a zero character is refused in every form")
  func zero() {
    #expect(reason("\"\\u0000\"") == .textHasNUL)
    #expect(reason("{\"\\u0000\":1}") == .textHasNUL)
    #expect(reason([0x22, 0, 0x22]) == .textHasNUL)
    #expect(reason([0x22, 0xff, 0x22]) == .textNotUTF8)
  }

  @Test("depth is counted to its limit", arguments: [1, 63, 64, 65, 128, 1024])
  func depth(limit: Int) {
    func nested(_ depth: Int) -> String {
      let opening = (0..<depth).map { $0 % 2 == 0 ? "[" : "{\"a\":" }.joined()
      let closing = (0..<depth).reversed().map { $0 % 2 == 0 ? "]" : "}" }.joined()
      return opening + "1" + closing
    }
    #expect(reason(nested(limit), depth: limit) == nil)
    #expect(reason(nested(limit + 1), depth: limit) == .jsonTooDeep)
  }

  @Test("the check reads every random document to an end")
  func random() {
    var samples = JSONSamples(seed: 5)
    var good = 0
    for _ in 0..<5000 where reason(samples.next()) == nil { good += 1 }
    #expect((1000..<4500).contains(good))
  }
}
