// The proof of an answer that says that something is not there.

extension Status {
  /// How old the answer can be at most that something is not there; nil where none says it.
  ///
  /// ErrorInfo's metadata holds the fields of Freshness by their names: numbers in decimal digits,
  /// the token in hexadecimal ones. Source: read.proto, "Freshness".
  public var freshness: Freshness? {
    guard
      let source = self["source"].flatMap({ name in
        ReadSource.allCases.first { "\($0)" == name }
      })
    else { return nil }
    return Freshness(
      source: source,
      node: self["node"] ?? "",
      asOfToken: self["as_of_token"].flatMap { Hexadecimal.bytes($0) } ?? [],
      stalenessBoundMilliseconds: self["staleness_bound_ms"].flatMap { Int64($0) } ?? 0,
      degraded: self["degraded"] == "true",
      waitedMilliseconds: self["waited_ms"].flatMap { Int64($0) } ?? 0,
      cache: CacheUse.allCases.first { "\($0)" == self["cache"] } ?? .unspecified,
      estimated: self["estimated"] == "true"
    )
  }

  /// Adds the proof of what it says.
  public mutating func add(_ freshness: Freshness) {
    metadata += [
      KeyValue("source", "\(freshness.source)"), KeyValue("node", freshness.node),
      KeyValue("as_of_token", Hexadecimal.text(freshness.asOfToken)),
      KeyValue("staleness_bound_ms", "\(freshness.stalenessBoundMilliseconds)"),
      KeyValue("degraded", "\(freshness.degraded)"),
      KeyValue("waited_ms", "\(freshness.waitedMilliseconds)"),
      KeyValue("cache", "\(freshness.cache)"), KeyValue("estimated", "\(freshness.estimated)"),
    ]
  }

  private subscript(name: String) -> String? { metadata.first { $0.key == name }?.value }
}
