// Draws a series of values over time as lines of text for a terminal.

/// One value of a chart.
public struct ChartSample: Equatable, Sendable {
  /// When the value was observed.
  public var time: Timestamp
  /// The value; what is not finite leaves a gap.
  public var value: Double

  /// Puts a sample together.
  public init(time: Timestamp, value: Double) {
    self.time = time
    self.value = value
  }
}

/// A chart of one series with a value axis at the left and a time axis below.
///
/// Samples may come in any order and number; those that share a column are drawn over each other
/// (lines) or averaged (areas). The line is interrupted at values that are not finite and where
/// a step in time is more than five times the usual one.
public struct Chart: Sendable {
  /// How the series is drawn.
  public enum Style: String, CaseIterable, Sendable {
    /// A line of braille dots, two across and four down in each character.
    case braille
    /// A filled area of block characters, eight steps in each character.
    case blocks
    /// A line of asterisks, for terminals without Unicode.
    case ascii
  }

  /// The narrowest and lowest chart that is drawn; smaller sizes are taken as these.
  public static let sizeMin = (width: 20, height: 2)

  /// The columns of the whole chart, labels included.
  public var width: Int
  /// The rows of the plot, without the time axis and its labels.
  public var height: Int
  /// How the series is drawn.
  public var style: Style

  /// A chart of a size.
  ///
  /// - Parameters:
  ///   - width: the columns of the whole chart, labels included.
  ///   - height: the rows of the plot, without the time axis and its labels.
  ///   - style: how the series is drawn.
  public init(width: Int = 80, height: Int = 12, style: Style = .braille) {
    self.width = max(width, Self.sizeMin.width)
    self.height = max(height, Self.sizeMin.height)
    self.style = style
  }

  /// The chart, each line ended by a line feed; one line saying so when there is nothing to draw.
  public func render(_ samples: [ChartSample]) -> String {
    let sorted = samples.sorted { $0.time < $1.time }
    let finite = sorted.filter(\.value.isFinite)
    guard let first = finite.first, let last = finite.last else { return "(no values)\n" }
    let scale = ChartScale(values: finite.map(\.value), rows: height)
    let labelWidth = scale.labels.values.reduce(0) { max($0, DisplayWidth.of($1)) }
    // The axis takes one column; a very long label may not take the plot's last ones.
    let columns = max(width - labelWidth - 2, 8)
    let period = ChartPeriod(first: first.time, last: last.time)
    let runs = Self.runs(sorted)
    let rows =
      style == .blocks
      ? areaRows(runs, scale, period, columns) : lineRows(runs, scale, period, columns)

    var text = ""
    for row in 0..<height {
      let label = scale.labels[row] ?? ""
      let blanks = String(repeating: " ", count: max(labelWidth - DisplayWidth.of(label), 0))
      var line = blanks + label + " " + axis(hasLabel: !label.isEmpty) + rows[row]
      while line.hasSuffix(" ") { line.removeLast() }
      text += line + "\n"
    }
    let margin = String(repeating: " ", count: labelWidth + 1)
    let corner = style == .ascii ? "+" : "└"
    let rule = String(repeating: style == .ascii ? "-" : "─", count: columns)
    return text + margin + corner + rule + "\n" + margin + " " + period.labels(width: columns)
      + "\n"
  }

  private func axis(hasLabel: Bool) -> String {
    guard style != .ascii else { return hasLabel ? "+" : "|" }
    return hasLabel ? "┤" : "│"
  }

  /// The stretches of samples between gaps.
  static func runs(_ sorted: [ChartSample]) -> [[ChartSample]] {
    let times = sorted.filter(\.value.isFinite).map(\.time.microseconds)
    let steps = zip(times, times.dropFirst()).map { Int128($1) - Int128($0) }.sorted()
    let stepMax = steps.count >= 3 ? steps[steps.count / 2] * 5 : Int128.max
    var runs: [[ChartSample]] = []
    var run: [ChartSample] = []
    for sample in sorted {
      let step = run.last.map { Int128(sample.time.microseconds) - Int128($0.time.microseconds) }
      // A median of zero says nothing: most samples then share their time.
      if !sample.value.isFinite || (stepMax > 0 && (step ?? 0) > stepMax) {
        if !run.isEmpty { runs.append(run) }
        run = []
      }
      if sample.value.isFinite { run.append(sample) }
    }
    if !run.isEmpty { runs.append(run) }
    return runs
  }

  private func lineRows(
    _ runs: [[ChartSample]],
    _ scale: ChartScale,
    _ period: ChartPeriod,
    _ columns: Int
  ) -> [String] {
    var canvas = ChartCanvas(columns: columns, rows: height, isBraille: style == .braille)
    for run in runs {
      var previous: (x: Int, y: Int)?
      for sample in run {
        let x = Int((period.share(of: sample.time) * Double(canvas.width - 1)).rounded())
        let y = Int((scale.share(of: sample.value) * Double(canvas.height - 1)).rounded())
        let point = (x: x, y: canvas.height - 1 - y)
        canvas.line(from: previous ?? point, to: point)
        previous = point
      }
    }
    return canvas.lines()
  }

  private func areaRows(
    _ runs: [[ChartSample]],
    _ scale: ChartScale,
    _ period: ChartPeriod,
    _ columns: Int
  ) -> [String] {
    var shares = [Double?](repeating: nil, count: columns)
    for run in runs {
      var sums = [(total: Double, count: Int)](repeating: (0, 0), count: columns)
      for sample in run {
        let column = Int((period.share(of: sample.time) * Double(columns - 1)).rounded())
        sums[column].total += scale.share(of: sample.value)
        sums[column].count += 1
      }
      var previous: Int?
      for column in 0..<columns where sums[column].count > 0 {
        let share = sums[column].total / Double(sums[column].count)
        // Columns between two samples of a run lie on the line between them.
        if let previous, let start = shares[previous] {
          for between in (previous + 1)..<column where between < column {
            let part = Double(between - previous) / Double(column - previous)
            shares[between] = start + (share - start) * part
          }
        }
        shares[column] = share
        previous = column
      }
    }
    // The lowest value still shows as the lowest eighth.
    let eighths = shares.map { share in
      share.map { max(Int(($0 * Double(height * 8)).rounded()), 1) } ?? 0
    }
    let blocks: [Character] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"]
    return (0..<height).map { row in
      let below = (height - 1 - row) * 8
      return String(eighths.map { blocks[min(max($0 - below, 0), 8)] })
    }
  }
}
