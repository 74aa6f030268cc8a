internal import Testing

@Suite("SwiftSource")
struct SwiftSourceTests {
  @Test(
    "code is told from comments and strings",
    arguments: [
      ("let a = 1", ["let a = 1"], [""]),
      ("a // b", ["a "], ["// b"]),
      ("a /* b /* c */ d */ e", ["a  e"], ["/* b /* c */ d */"]),
      ("a /* b\nc */ d", ["a ", " d"], ["/* b", "c */"]),
      (#"f("a // b")"#, [#"f("")"#], [""]),
      (#"f("\"a", b)"#, [#"f("", b)"#], [""]),
      (#"f("a\(g("b")) c", d)"#, [#"f(""g(""), d)"#], [""]),
      ("f(\"\"\"\n  a \" // b\n  \"\"\") // c", ["f(\"\"", "", ") "], ["", "", "// c"]),
      (##"f(#"a " \n"#, b) // c"##, [#"f("", b) "#], ["// c"]),
      (##"f(#"a \#(b) c"#)"##, [#"f(""b)"#], [""]),
      ("#if A\na\n#endif", ["#if A", "a", "#endif"], ["", "", ""]),
    ] as [(String, [String], [String])]
  )
  func split(text: String, code: [String], comments: [String]) {
    let source = SwiftSource(text)
    #expect(source.lines.map(\.code) == code)
    #expect(source.lines.map(\.comment) == comments)
  }
}
