// Draws a series of numbers as one line of small bars.

/// A chart of one line.
public enum Sparkline {
  private static let bars: [Character] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"]
  private static let asciiBars: [Character] = ["_", ".", "-", "=", "+", "*", "%", "#"]

  /// Draws the numbers from the lowest to the highest of them.
  ///
  /// Numbers that are not finite leave a blank; equal numbers are drawn at half height.
  ///
  /// - Parameters:
  ///   - numbers: the series, evenly spaced.
  ///   - width: the most characters; longer series are averaged. Nil draws one for each number.
  ///   - isAscii: whether only ASCII characters may be used.
  /// - Returns: the line, without a line end.
  public static func render(
    _ numbers: [Double],
    width: Int? = nil,
    isAscii: Bool = false
  ) -> String {
    let series = averaged(numbers, width: width)
    let finite = series.filter(\.isFinite)
    guard let low = finite.min(), let high = finite.max() else {
      return String(repeating: " ", count: series.count)
    }
    let bars = isAscii ? asciiBars : bars
    // The difference of two finite numbers may not be finite; halves of tiny ones may be zero.
    let scale = (high - low).isFinite ? 1 : 0.5
    let span = high * scale - low * scale
    return String(
      series.map { number in
        guard number.isFinite else { return " " }
        let share = span > 0 ? (number * scale - low * scale) / span : 0.5
        return bars[min(Int(share * Double(bars.count)), bars.count - 1)]
      }
    )
  }

  private static func averaged(_ numbers: [Double], width: Int?) -> [Double] {
    guard let width, numbers.count > width else { return numbers }
    guard width > 0 else { return [] }
    return (0..<width).map { column in
      let part = numbers[(column * numbers.count / width)..<((column + 1) * numbers.count / width)]
      let finite = part.filter(\.isFinite)
      guard !finite.isEmpty else { return .nan }
      return finite.reduce(0) { $0 + $1 / Double(finite.count) }
    }
  }
}
