// Documents good and bad, made at random and by hand, for comparing our check with PostgreSQL's.

import Storage

struct JSONSamples {
  private var random: SeededGenerator

  init(seed: UInt64) { random = SeededGenerator(state: seed) }

  /// Texts that have been taken for JSON somewhere, or have not although they are.
  static let byHand: [String] = [
    "", " ", "0", "-0", "01", "-", "+1", "1.", ".5", "1.5", "1e5", "1E+5", "1e", "1e+", "1.e1",
    "0.0e-0",
    "true", "tru", "TRUE", "nullx", "null null", "[]", "[ ]", "[,]", "[1,]", "[1,,2]", "{}", "{ }",
    "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{\"a\":1,\"a\":2}", "[1", "]", "[}", "{]",
    "[[]]]",
    "\"\"", "\"", "\"a", "\"\\\"", "\"\\x\"", "\"\\u12\"", "\"\\u0000\"", "\"\\u0001\"",
    "\"\\ud800\"",
    "\"\\udc00\"", "\"\\ud83d\\ude00\"", "\"\\ud83d\\u0041\"", "\"\\ud83dx\"", "\"\\ud83d\\n\"",
    "\"\\ud83d\\ud83d\"", "\"\\uD83D\\uDE00\"", "\"a\u{1}\"", "\"a\nb\"", "\"\t\"", "\"\u{7f}\"",
    "\u{feff}{}", "\u{a0}1", "1\u{0b}", "// c\n1", "NaN", "Infinity", "-Infinity", "1e400",
    "1e-400",
    "1e131071", "1e131072", "9e131071", "10e131071", "1e-16383", "1e-16384", "0e131072",
    "0e999999999",
    "0e-16384", "0.1e-16382", "0.1e-16383", "1e99999999999999999999", "-1e-99999999999999999999",
    "123456789012345678901234567890.5", "{\"\":1}", "{\"\\u0000\":1}", "{\"a\" :1}",
    "{ \"a\":\n1 }",
    "'a'", "[\"a\",]", "{\"a\":{\"b\":[{}]}}", "1 2", "1,2", "\"a\" \"b\"", "truefalse",
    "[true,false,null]",
  ]

  /// A document, sound or damaged.
  mutating func next() -> [UInt8] {
    var text: [UInt8]
    switch Int.random(in: 0..<8, using: &random) {
    case 0:
      text = Array((JSONSamples.byHand.randomElement(using: &random) ?? "").utf8)
    case 1:
      let depth = Int.random(in: 100...140, using: &random)
      text = Array(
        (String(repeating: "[", count: depth) + String(repeating: "]", count: depth)).utf8
      )
    default:
      text = []
      value(&text, depth: 0)
    }
    if Bool.random(using: &random) { damage(&text) }
    return text
  }

  private mutating func value(_ text: inout [UInt8], depth: Int) {
    space(&text)
    switch Int.random(in: 0..<(depth > 5 ? 4 : 7), using: &random) {
    case 0: text += number()
    case 1: string(&text)
    case 2: text += Array((["true", "false", "null"].randomElement(using: &random) ?? "").utf8)
    case 3: text += number()
    case 4, 5:
      text.append(UInt8(ascii: "{"))
      for index in 0..<Int.random(in: 0...3, using: &random) {
        if index > 0 { text.append(UInt8(ascii: ",")) }
        space(&text)
        string(&text)
        space(&text)
        text.append(UInt8(ascii: ":"))
        value(&text, depth: depth + 1)
      }
      space(&text)
      text.append(UInt8(ascii: "}"))
    default:
      text.append(UInt8(ascii: "["))
      for index in 0..<Int.random(in: 0...3, using: &random) {
        if index > 0 { text.append(UInt8(ascii: ",")) }
        value(&text, depth: depth + 1)
      }
      space(&text)
      text.append(UInt8(ascii: "]"))
    }
    space(&text)
  }

  private mutating func space(_ text: inout [UInt8]) {
    while Int.random(in: 0..<4, using: &random) == 0 {
      text.append([0x20, 0x09, 0x0a, 0x0d].randomElement(using: &random) ?? 0x20)
    }
  }

  private mutating func number() -> [UInt8] {
    var text = Bool.random(using: &random) ? "-" : ""
    text += String(
      UInt64.random(in: 0...1 << UInt64.random(in: 0..<63, using: &random), using: &random)
    )
    if Bool.random(using: &random) { text += ".\(UInt16.random(in: 0...999, using: &random))" }
    if Bool.random(using: &random) {
      text += ["e", "E"].randomElement(using: &random) ?? "e"
      text += ["", "+", "-"].randomElement(using: &random) ?? ""
      text += String(
        Int.random(in: 0...200_000, using: &random) >> Int.random(in: 0...16, using: &random)
      )
    }
    return Array(text.utf8)
  }

  private mutating func string(_ text: inout [UInt8]) {
    text.append(UInt8(ascii: "\""))
    for _ in 0..<Int.random(in: 0...6, using: &random) {
      switch Int.random(in: 0..<6, using: &random) {
      case 0:
        let escapes = ["\\\"", "\\\\", "\\/", "\\b", "\\f", "\\n", "\\r", "\\t", "\\ud83d\\ude00"]
        text += Array((escapes.randomElement(using: &random) ?? "").utf8)
      case 1:
        var hex = String(UInt16.random(in: 0...UInt16.max, using: &random), radix: 16)
        while hex.utf8.count < 4 { hex = "0" + hex }
        text += Array("\\u\(hex)".utf8)
      case 2: text += Array("ü€😀".utf8)
      default: text.append(UInt8.random(in: 0x23...0x5b, using: &random))
      }
    }
    text.append(UInt8(ascii: "\""))
  }

  private mutating func damage(_ text: inout [UInt8]) {
    guard !text.isEmpty else { return }
    let place = Int.random(in: 0..<text.count, using: &random)
    switch Int.random(in: 0..<4, using: &random) {
    case 0: text.remove(at: place)
    case 1: text[place] = UInt8.random(in: 1...255, using: &random)
    case 2: text.insert(text[Int.random(in: 0..<text.count, using: &random)], at: place)
    default: text.removeSubrange(place...)
    }
  }
}
