internal import Formats
internal import Testing
internal import Wire

@testable internal import sluice

// What is printed for people.

@Suite("Terminal")
struct TerminalTests {
  @Test("names out of data do not steer the terminal")
  func names() {
    #expect(ValueText.title("a\u{1B}[2J", id: 7) == "a\\u{1b}[2J  #7")
    #expect(ChartText.render([], title: "a\u{7}b").hasPrefix("a\\u{7}b\n\n"))
    var report = ImportReport(files: ["f.csv"])
    report.skippedCount = 1
    let source = SourceLine(file: 0, line: 2)
    report.skipped = [InputProblem(source: source, column: 3, advice: "a\u{1B}b: not a number")]
    #expect(report.problemText() == "f.csv:2:3: a\\u{1b}b: not a number\n")
    #expect(report.leftOutText == "1 line or value could not be read")
  }

  @Test("an unknown age is empty in CSV")
  func ages() {
    var node = Node(name: "replica-1")
    node.stalenessBoundMilliseconds = -1
    let rows = NodeText.csv([node]).split(separator: "\n").map {
      $0.split(separator: ",", omittingEmptySubsequences: false)
    }
    #expect(rows[0][3] == "staleness_bound_ms" && rows[1][3] == "")
    #expect(rows[0].last == "estimated" && rows[1].last == "false")
  }

  @Test("what is estimated is not said to be proven")
  func estimates() {
    var freshness = Freshness(source: .analytics, node: "warehouse")
    freshness.stalenessBoundMilliseconds = 2_100
    #expect(FreshnessText.line(freshness) == "warehouse, at most 2.1 s old")
    freshness.estimated = true
    #expect(FreshnessText.line(freshness) == "warehouse, about 2.1 s old (estimated)")
    var node = Node(name: "warehouse", state: .closed, provenLSN: "0/7", estimated: true)
    node.stalenessBoundMilliseconds = 250
    #expect(NodeText.table([node]).contains("about 0/7  about 250 ms"))
  }
}
