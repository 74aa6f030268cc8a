internal import Formats
internal import Wire

// The proof of an answer's age, for people and for programs.

/// Prints `Freshness`.
enum FreshnessText {
  /// The older one of two proofs, for an answer that came in pages.
  static func older(_ left: Freshness?, _ right: Freshness?) -> Freshness? {
    guard let left, let right else { return left ?? right }
    let isLeft =
      left.degraded == right.degraded
      ? left.stalenessBoundMilliseconds >= right.stalenessBoundMilliseconds : left.degraded
    return isLeft ? left : right
  }

  /// "replica-2, at most 130 ms old", and what else is worth knowing.
  static func line(_ freshness: Freshness?) -> String {
    guard let freshness else { return "age unknown: the gateway gave no proof" }
    var parts = [node(freshness)]
    let age = age(freshness.stalenessBoundMilliseconds)
    parts.append(freshness.estimated ? "about \(age) old (estimated)" : "at most \(age) old")
    if freshness.cache == .hit { parts.append("from the cache") }
    if freshness.waitedMilliseconds > 0 {
      parts.append("waited \(freshness.waitedMilliseconds) ms")
    }
    if freshness.degraded { parts.append("DEGRADED: older than was asked for") }
    return parts.joined(separator: ", ")
  }

  /// The same as the value of a key of JSON.
  static func write(_ freshness: Freshness?, to json: inout JSONWriter) {
    guard let freshness else { return json.null() }
    json.beginObject()
    json.key("source")
    json.value(sourceName(freshness.source))
    json.key("node")
    json.value(freshness.node)
    json.key("staleness_bound_ms")
    json.value(freshness.stalenessBoundMilliseconds)
    json.key("estimated")
    json.value(freshness.estimated)
    json.key("degraded")
    json.value(freshness.degraded)
    json.key("waited_ms")
    json.value(freshness.waitedMilliseconds)
    json.key("cache")
    json.value("\(freshness.cache)")
    json.key("as_of_token")
    json.value(Hexadecimal.text(freshness.asOfToken))
    json.endObject()
  }

  private static func node(_ freshness: Freshness) -> String {
    freshness.node.isEmpty ? sourceName(freshness.source) : freshness.node
  }

  private static func age(_ milliseconds: Int64) -> String {
    milliseconds < 1_000
      ? "\(milliseconds) ms" : Quantity.duration(.milliseconds(milliseconds))
  }

  private static func sourceName(_ source: ReadSource) -> String {
    switch source {
    case .unspecified: "an unknown source"
    case .primary: "primary"
    case .replica: "replica"
    case .cache: "cache"
    case .analytics: "analytics"
    }
  }
}
