import Testing

@testable import Formats

@Suite("conditions")
struct WhereTextTests {
  typealias Step = WhereText.Step

  @Test("conditions become steps, with the usual precedence")
  func steps() throws {
    let cases: [(String, [Step])] = [
      ("a = 1", [.comparison(name: "a", .equal, literal: "1")]),
      (
        "cpu.user_percent>=-1.5e3",
        [.comparison(name: "cpu.user_percent", .greaterOrEqual, literal: "-1.5e3")]
      ),
      ("`a b` != 'x\\'\\u00e9'", [.comparison(name: "a b", .notEqual, literal: "x'é")]),
      ("a EXISTS", [.comparison(name: "a", .exists, literal: nil)]),
      ("a Starts With \"b\\\"\\\\\"", [.comparison(name: "a", .prefix, literal: "b\"\\")]),
      ("`not` exists", [.comparison(name: "not", .exists, literal: nil)]),
      (
        "a exists or b exists and not c exists",
        [
          .comparison(name: "a", .exists, literal: nil),
          .comparison(name: "b", .exists, literal: nil),
          .comparison(name: "c", .exists, literal: nil), .not, .all(2), .any(2),
        ]
      ),
      (
        "(a exists or b exists) and c < 1 and d <= 2",
        [
          .comparison(name: "a", .exists, literal: nil),
          .comparison(name: "b", .exists, literal: nil), .any(2),
          .comparison(name: "c", .less, literal: "1"),
          .comparison(name: "d", .lessOrEqual, literal: "2"), .all(3),
        ]
      ),
      ("not not a > \"\"", [.comparison(name: "a", .greater, literal: ""), .not, .not]),
    ]
    for (text, steps) in cases { #expect(try WhereText(text).steps == steps, "\(text)") }
    #expect(try WhereText("a = 1 or b = 2 or a = 3").names == ["a", "b"])
  }

  @Test("what cannot be read is refused, with the place")
  func refused() {
    let cases: [(String, Int)] = [
      ("", 0), ("a", 1), ("a =", 3), ("a = 1 b", 6), ("a = 1 and", 9), ("(a = 1", 6), ("a = 1)", 5),
      ("= 1", 0), ("a ! 1", 2), ("a = \"x", 4), ("a = \"\\x\"", 6), ("a = '\\u0000'", 7),
      ("a starts 'x'", 2), ("``= 1", 0), ("a = (1)", 4), ("a ; b", 2), ("a = `b`", 4),
      (String(repeating: "(", count: 100), 64), (String(repeating: "not ", count: 100), 256),
    ]
    for (text, offset) in cases {
      #expect(throws: WhereError.self) { _ = try WhereText(text) }
      do throws(WhereError) {
        _ = try WhereText(text)
      } catch {
        #expect(error.offset == offset, "\(text): \(error)")
      }
    }
  }
}
