// How long acknowledgements took, in a memory that does not grow.

/// The newest latencies and the longest of all.
struct LatencyLog: Sendable {
  /// 64 Ki of 4 bytes: every batch of an import of 65 M values, a day of an agent.
  private static let countMax = 1 << 16

  private var milliseconds: [Float] = []
  private var next = 0
  private var longest = 0.0
  private(set) var newest: Double?

  /// Takes one latency in.
  mutating func append(_ latency: Double) {
    newest = latency
    longest = max(longest, latency)
    guard milliseconds.count == Self.countMax else {
      milliseconds.append(Float(latency))
      return
    }
    milliseconds[next] = Float(latency)
    next = (next + 1) % Self.countMax
  }

  /// Percentiles of the newest, and the longest of all.
  var summary: Latencies {
    var summary = Latencies(milliseconds.map(Double.init))
    summary.max = longest
    return summary
  }
}

/// How long acknowledgements took, in milliseconds.
struct Latencies: Sendable {
  let count: Int
  let median: Double
  let percentile95: Double
  var max: Double

  init(_ milliseconds: [Double]) {
    let sorted = milliseconds.sorted()
    count = sorted.count
    // Nearest rank: a value that was measured.
    func percentile(_ share: Double) -> Double {
      sorted.isEmpty
        ? 0 : sorted[Swift.max(0, Int((share * Double(sorted.count)).rounded(.up)) - 1)]
    }
    median = percentile(0.5)
    percentile95 = percentile(0.95)
    max = sorted.last ?? 0
  }
}
