import Formats
import Testing

// Charts: what a known series looks like, and that no series can break the drawing.

@Suite("Charts")
struct ChartTests {
  private func samples(_ values: [Double], step: Int64 = 60_000_000) -> [ChartSample] {
    values.enumerated().map { index, value in
      ChartSample(
        time: Timestamp(microseconds: 1_392_388_200_000_000 + Int64(index) * step),
        value: value
      )
    }
  }

  @Test("a rising line in ASCII")
  func ascii() {
    let chart = Chart(width: 30, height: 5, style: .ascii)
    #expect(
      chart.render(samples([0, 1, 2, 3, 4])) == """
        4 +                       ****
          |                 ******
        2 +          *******
          |    ******
        0 +****
          +---------------------------
           2014-02-14 14:30:00

        """
    )
  }

  @Test("a gap in time or a value that is not finite interrupts the line")
  func gaps() {
    let blocks = Chart(width: 40, height: 2, style: .blocks)
    let whole = blocks.render(samples([1, 1, 1, 1, 1, 1, 1, 1]))
    let broken = blocks.render(samples([1, 1, 1, .nan, .infinity, 1, 1, 1]))
    #expect(!whole.split(separator: "\n")[1].contains("█ "))
    #expect(broken.split(separator: "\n")[1].contains("█ "))
    var late = samples([1, 1, 1, 1, 1])
    late.append(ChartSample(time: Timestamp(microseconds: 1_392_389_640_000_000), value: 1))
    #expect(blocks.render(late).split(separator: "\n")[1].contains("█ "))
  }

  @Test("nothing to draw is said in words")
  func empty() {
    #expect(Chart().render([]) == "(no values)\n")
    #expect(Chart().render(samples([.nan])) == "(no values)\n")
  }

  @Test("every series fits its size in every style", arguments: Chart.Style.allCases)
  func sizes(style: Chart.Style) {
    let extremes = [-Double.greatestFiniteMagnitude, .greatestFiniteMagnitude]
    let series: [[Double]] = [
      [1], [5, 5, 5], [0, 0], extremes, [.greatestFiniteMagnitude], [.leastNonzeroMagnitude, 0],
      [1e-300, 2e-300],
      [1, .nan, 2], [-.infinity, 1, .infinity], [1e9, 1e9 + 1], [-5, 5],
      (0..<1_000).map { Double($0 % 37) }, [1e16, 1e16 + 2], [-1e-9, 1e-9],
    ]
    for values in series {
      for (width, height) in [(80, 12), (20, 2), (0, 0), (37, 5), (200, 40)] {
        for step in [0, 1, 60_000_000, 86_400_000_000_000] as [Int64] {
          let text = Chart(width: width, height: height, style: style)
            .render(samples(values, step: step))
          let lines = text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
          #expect(lines.count == max(height, 2) + 2)
          let widest = lines.map { DisplayWidth.of(String($0)) }.max() ?? 0
          #expect(widest <= max(width, 32), "\(values.prefix(4)) in \(width)\n\(text)")
        }
      }
    }
  }

  @Test("the ends of time can be drawn")
  func times() {
    let ends = [Timestamp.storableRange.lowerBound, Timestamp.storableRange.upperBound]
    let text = Chart().render(ends.map { ChartSample(time: $0, value: 1) })
    #expect(text.contains("-4713-11-24") && text.contains("+294247-01-10"))
  }
}
