// Maps the values and the times of a chart to shares of its height and width, and labels them.

/// The value axis: its ends and the rows that get a label.
struct ChartScale {
  let low: Double
  let high: Double
  /// Labels by row, row 0 being the highest.
  let labels: [Int: String]

  /// An axis whose ends are round numbers around the values, which must be finite and not none.
  init(values: [Double], rows: Int) {
    let smallest = values.min() ?? 0
    let largest = values.max() ?? 0
    let intervals = max(min((rows - 1) / 2, 6), 1)
    var (low, high) = (smallest, largest)
    if low == high {
      // A constant series runs through the middle.
      let room = low == 0 ? 1 : max(low.magnitude * 0.1, .leastNormalMagnitude)
      (low, high) = (low - room, high + room)
    }
    let step = Self.roundStep((high - low) / Double(intervals))
    let roundLow = (low / step).rounded(.down) * step
    let roundHigh = (high / step).rounded(.up) * step
    guard step > 0, roundLow.isFinite, roundHigh.isFinite, roundLow < roundHigh,
      roundHigh - roundLow < .infinity
    else {
      // At the ends of what a double holds there are no round numbers left.
      (self.low, self.high) =
        low < high && low.isFinite && high.isFinite
        ? (low, high) : (-.greatestFiniteMagnitude, .greatestFiniteMagnitude)
      labels = [0: Quantity.compact(self.high), rows - 1: Quantity.compact(self.low)]
      return
    }
    (self.low, self.high) = (roundLow, roundHigh)
    let count = Int(((roundHigh - roundLow) / step).rounded())
    var labels: [Int: String] = [:]
    for index in 0...count {
      let value = roundLow + Double(index) * step
      let share = Double(index) / Double(count)
      let row = rows - 1 - Int((share * Double(rows - 1)).rounded())
      labels[row] = Self.label(value, step: step)
    }
    self.labels = labels
  }

  /// Where a value lies between the ends, 0 to 1.
  func share(of value: Double) -> Double {
    // The difference of two finite numbers may not be finite; halves of tiny ones may be zero.
    let isHuge = !(high - low).isFinite
    let share = isHuge ? (value / 2 - low / 2) / (high / 2 - low / 2) : (value - low) / (high - low)
    return min(max(share, 0), 1)
  }

  /// The next of 1, 2, 2.5 or 5 times a power of ten.
  private static func roundStep(_ step: Double) -> Double {
    guard step.isFinite, step > 0 else { return 0 }
    var power = 1.0
    while power * 10 <= step { power *= 10 }
    while power > step, power > 0 { power /= 10 }
    for factor in [1, 2, 2.5, 5] where power * factor >= step { return power * factor }
    return power * 10
  }

  /// A label with as many digits as tell neighbouring labels apart.
  private static func label(_ value: Double, step: Double) -> String {
    // Rounding may leave 1e-17 where zero is meant.
    if value.magnitude < step / 1_000 { return "0" }
    guard step >= 1e-6, value.magnitude < 1e15 else { return Quantity.scientific(value) }
    let prefixes: [(Double, String)] = [(1e12, " T"), (1e9, " G"), (1e6, " M"), (1e4, " k")]
    for (limit, name) in prefixes where value.magnitude >= limit {
      let factor = limit == 1e4 ? 1e3 : limit
      return Quantity.decimal(value / factor, digits: digits(step / factor)) + name
    }

    return Quantity.decimal(value, digits: digits(step))
  }

  private static func digits(_ step: Double) -> Int {
    var digits = 0
    var scaled = step
    while digits < 9, (scaled - scaled.rounded()).magnitude > 1e-6 * scaled {
      scaled *= 10
      digits += 1
    }
    return digits
  }
}

/// The time axis.
struct ChartPeriod {
  let first: Timestamp
  let last: Timestamp

  private var spanMicroseconds: Int128 { Int128(last.microseconds) - Int128(first.microseconds) }

  /// Where a time lies between the ends, 0 to 1; in the middle when they are the same.
  func share(of time: Timestamp) -> Double {
    guard first < last else { return 0.5 }
    let share = Double(Int128(time.microseconds) - Int128(first.microseconds))
    return min(max(share / Double(spanMicroseconds), 0), 1)
  }

  /// The first time, the last, and the middle where it fits; the first always has its date.
  func labels(width: Int) -> String {
    let isWithinDay = spanMicroseconds < Int128(Timestamp.dayMicroseconds)
    var start = Self.text(of: first, hasDate: true, span: spanMicroseconds)
    if start.count > width { start = Self.text(of: first, hasDate: !isWithinDay, span: .max) }
    guard first < last else {
      return String(repeating: " ", count: max((width - start.count) / 2, 0)) + start
    }
    let end = Self.text(of: last, hasDate: !isWithinDay, span: spanMicroseconds)
    guard start.count + end.count + 2 <= width else { return start }
    let middleTime = Int128(first.microseconds) + spanMicroseconds / 2
    let middle = Self.text(
      of: Timestamp(microseconds: Int64(middleTime)),
      hasDate: !isWithinDay,
      span: spanMicroseconds
    )
    let before = (width - middle.count) / 2 - start.count
    let after = width - start.count - before - middle.count - end.count
    guard before >= 2, after >= 2 else {
      return start + String(repeating: " ", count: width - start.count - end.count) + end
    }
    return start + String(repeating: " ", count: before) + middle
      + String(repeating: " ", count: after) + end
  }

  /// A time as fine as the span of the axis asks for.
  private static func text(of time: Timestamp, hasDate: Bool, span: Int128) -> String {
    let parts = time.description.dropLast().split(separator: "T")
    guard let date = parts.first, let clock = parts.last else { return "" }
    switch span {
    case ..<1_000_000: return (hasDate ? "\(date) " : "") + clock.prefix(12)
    case ..<Int128(Timestamp.dayMicroseconds): return (hasDate ? "\(date) " : "") + clock.prefix(8)
    case ..<(14 * Int128(Timestamp.dayMicroseconds)): return "\(date) \(clock.prefix(5))"
    case .max where !hasDate: return String(clock.prefix(8))
    default: return String(date)
    }
  }
}
