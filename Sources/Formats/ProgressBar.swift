// Draws one line that says how far a long command has come.

/// The state of a long command, drawn by pure functions.
public struct ProgressBar: Sendable {
  /// What has been done so far.
  public var completed: Int64
  /// What there is to do; nil or 0 when unknown.
  public var total: Int64?
  /// How long it has taken so far.
  public var elapsedSeconds: Double
  /// The current rate; nil takes the average since the start.
  public var perSecond: Double?
  /// What is counted, for example `values`.
  public var unit: String
  /// Whether only ASCII characters may be used.
  public var isAscii: Bool

  /// The state of a command.
  ///
  /// - Parameters:
  ///   - completed: what has been done so far.
  ///   - total: what there is to do, when known.
  ///   - elapsedSeconds: how long it has taken so far.
  ///   - perSecond: the current rate; nil takes the average since the start.
  ///   - unit: what is counted, for example `values`.
  ///   - isAscii: whether only ASCII characters may be used.
  public init(
    completed: Int64,
    total: Int64? = nil,
    elapsedSeconds: Double,
    perSecond: Double? = nil,
    unit: String = "",
    isAscii: Bool = false
  ) {
    self.completed = completed
    self.total = total
    self.elapsedSeconds = elapsedSeconds
    self.perSecond = perSecond
    self.unit = unit
    self.isAscii = isAscii
  }

  /// The share that is done, 0 to 1; nil when the total is unknown.
  public var fraction: Double? {
    guard let total, total > 0 else { return nil }
    return min(max(Double(completed) / Double(total), 0), 1)
  }

  /// Seconds that are left at the current rate; nil when they cannot be known.
  public var remainingSeconds: Double? {
    guard let total, total > 0, rate > 0 else { return nil }
    return max(Double(total) - Double(completed), 0) / rate
  }

  private var rate: Double {
    if let perSecond { return perSecond }
    return elapsedSeconds > 0 ? Double(completed) / elapsedSeconds : 0
  }

  /// One line of at most this width, without a line end.
  ///
  /// `━━━━━━╸────  62 %  6,200,000 of 10,000,000 values  1.2 M values/s  3.2 s left`
  public func render(width: Int = 80) -> String {
    let counts = Quantity.grouped(completed)
    let unitText = unit.isEmpty ? "" : " \(unit)"
    guard let fraction, let total else {
      let parts = [counts + unitText, Quantity.rate(rate), Quantity.seconds(elapsedSeconds)]
      return DisplayWidth.truncated(parts.joined(separator: "  "), to: width)
    }
    // Rounded down, so that 100 % means done.
    let percent = Int(fraction * 100)
    var parts = [
      String(repeating: " ", count: percent < 10 ? 2 : percent < 100 ? 1 : 0) + "\(percent) %",
      "\(counts) of \(Quantity.grouped(total))\(unitText)", Quantity.rate(rate),
    ]
    if let remainingSeconds { parts.append("\(Quantity.seconds(remainingSeconds)) left") }
    var text = parts.joined(separator: "  ")
    // The bar gives way first, then the details from the right.
    while parts.count > 1, DisplayWidth.of(text) > width {
      parts.removeLast()
      text = parts.joined(separator: "  ")
    }
    let room = width - DisplayWidth.of(text) - 2
    guard room >= 5 else { return DisplayWidth.truncated(text, to: width) }
    return bar(fraction, width: min(room, 40)) + "  " + text
  }

  /// The line that stays when the command is done.
  ///
  /// `10,000,000 values in 8.4 s, 1.19 M/s`
  public func renderDone() -> String {
    let unitText = unit.isEmpty ? "" : " \(unit)"
    let average = elapsedSeconds > 0 ? Double(completed) / elapsedSeconds : 0
    return Quantity.grouped(completed) + unitText + " in " + Quantity.seconds(elapsedSeconds)
      + ", " + Quantity.rate(average)
  }

  private func bar(_ fraction: Double, width: Int) -> String {
    let halves = Int(fraction * Double(width * 2))
    let (full, half) = (halves / 2, halves % 2)
    let (done, edge, open) = isAscii ? ("#", "-", "-") : ("━", "╸", "─")
    let text = String(repeating: done, count: full) + (half == 1 ? edge : "")
    return text + String(repeating: open, count: width - full - half)
  }
}
