import Testing

@testable import Server

@Suite("names of clients in the log")
struct LoggedTextTests {
  @Test(
    "stay on their line and tell a terminal nothing",
    arguments: [
      ("agent/1.0 Büro-17 \u{1f600}", "\"agent/1.0 Büro-17 \u{1f600}\""),
      ("a\nb\u{1b}[31m\"\\", "\"a\\nb\\u{1B}[31m\\\"\\\\\""),
      ("\u{9b}31m\u{2028}\u{202e}", "\"\\u{009B}31m\\u{2028}\\u{202E}\""),
    ]
  )
  func quoted(name: String, line: String) { #expect(name.quotedForLog == line) }
}
