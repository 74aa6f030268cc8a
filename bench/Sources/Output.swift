internal import Glibc

// Lines of JSON to the harness, and its answer.

/// Standard output without a buffer: a line is seen when it is written.
enum Output {
  /// A value of JSON.
  enum Value {
    case number(Double)
    case count(Int)
    case text(String)
    case pairs([(Double, Double)])

    fileprivate var json: String {
      switch self {
      case .number(let value): value.isFinite ? "\(value)" : "null"
      case .count(let value): "\(value)"
      case .text(let text): "\"\(text)\""
      case .pairs(let pairs): "[" + pairs.map { "[\($0.0),\($0.1)]" }.joined(separator: ",") + "]"
      }
    }
  }

  /// The measurement begins now, under a load that goes on: what went before was warm-up.
  static func begin() { line([("event", .text("begin"))]) }

  /// The same before a load that begins when the harness has looked at every process.
  static func beginAtRest() {
    line([("event", .text("begin")), ("waits", .count(1))])
    _ = readLine()
  }

  /// The measurement ended just now; waits until the harness has looked at every process.
  static func end() {
    line([("event", .text("end"))])
    _ = readLine()
  }

  static func result(_ fields: [(String, Value)]) {
    line([("event", .text("result"))] + fields)
  }

  static func fail(_ reason: String) -> Never {
    let plain = reason.filter { $0 != "\"" && $0 != "\\" && $0 != "\n" }
    line([("event", .text("error")), ("reason", .text(plain))])
    exit(1)
  }

  private static func line(_ fields: [(String, Value)]) {
    let text = "{" + fields.map { "\"\($0.0)\":\($0.1.json)" }.joined(separator: ",") + "}\n"
    // The harness reads; should it be gone, there is nobody to tell.
    guard writeWhole(Array(text.utf8), to: 1) else { exit(1) }
  }
}
