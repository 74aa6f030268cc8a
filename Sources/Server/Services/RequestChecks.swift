internal import EventLoop
internal import Storage
internal import Wire

// Checks that several services make of their requests.

/// Limits of requests and answers that the protocol files name.
enum RequestLimits {
  /// Length of an external key.
  static let keyBytes = 1...WireLimits.externalKeyBytesMax
  /// Entities in one BatchGetEntities.
  static let entitiesMax = 1_000
  /// Keys in one ResolveEntities.
  static let keysMax = 10_000
  /// Names in one ResolveAttributes.
  static let namesMax = 1_000
  /// Entities or attributes in one history call.
  static let historyIDsMax = 1_000
  /// Room for text and columns in an answer: a frame without 8 KiB for envelope, tokens and
  /// freshness.
  static let answerBytesMax = WireLimits.frameBodyBytesMax - 8_192
  /// What of it the token of the next page of a list may take, where it holds a label.
  static let orderTokenBytes = ServerLimits.labelBytesMax
  /// Buckets of an answer without further figures: 76 bytes each, 3.8 MB.
  static let bucketsMax = 50_000
  /// Percentiles of each bucket.
  static let percentilesMax = 16
  /// Tokens that one read has to heed: two for each call that a connection may have in flight.
  static let floorTokensMax = 2_048
}

extension Status {
  /// Checks the length of a text in bytes; that it is UTF-8 without NUL was checked when it was
  /// decoded.
  static func check(_ field: String, _ text: String, bytes: ClosedRange<Int>) throws(Status) {
    guard bytes.contains(text.utf8.count) else {
      let range = "\(bytes.lowerBound) to \(bytes.upperBound)"
      throw .invalid(field, "must have \(range) bytes")
    }
  }

  /// Checks how many entries a repeated field has.
  static func check(_ field: String, count: Int, _ range: ClosedRange<Int>) throws(Status) {
    guard range.contains(count) else {
      throw .invalid(field, "must have \(range.lowerBound) to \(range.upperBound) entries")
    }
  }

  /// The number of entries in a page, as AIP-158 has it: 0 is the default, too many are the most.
  static func pageSize(_ asked: Int32, default standard: Int, max: Int) throws(Status) -> Int {
    guard asked >= 0 else { throw .invalid("page_size", "must not be negative") }
    return asked == 0 ? standard : min(Int(asked), max)
  }
}

extension ReadRequirement {
  /// EVENTUAL without a bound.
  private static let eventualDefault: Int64 = 3_000
  /// ANALYTICS without a bound.
  private static let analyticsDefault: Int64 = 300_000
  private static let stalenessRange: ClosedRange<Int64> = 250...3_600_000

  /// What a request's options ask for, and what its connection wrote before.
  ///
  /// - Throws: INVALID_ARGUMENT with the field.
  init(_ options: ReadOptions, _ call: Call) throws(Status) {
    self.init(
      try ReadRequirement.level(options),
      allowsDegraded: options.allowDegraded,
      includesStaged: options.includeStaged,
      floors: try ReadRequirement.floors(options),
      isMonotonic: options.isMonotonic,
      sessionToken: call.request.sessionToken
    )
    if includesStaged, case .analytics = level {
      throw .invalid("read.include_staged", "runs on the primary, ANALYTICS never does")
    }
  }

  private static func floors(_ options: ReadOptions) throws(Status) -> [FreshnessToken] {
    try Status.check(
      "read.floor_tokens",
      count: options.floorTokens.count,
      0...RequestLimits.floorTokensMax
    )
    var floors: [FreshnessToken] = []
    for (index, bytes) in options.floorTokens.enumerated() {
      guard let token = FreshnessToken(bytes) else { throw .badToken(.floor(index)) }
      floors.append(token)
    }
    return floors
  }

  private static func level(_ options: ReadOptions) throws(Status) -> Storage.ReadLevel {
    guard options.token.isEmpty || options.level == .atLeast else {
      throw .invalid("read.token", "is for level AT_LEAST; at others floor_tokens do the same")
    }
    switch options.level {
    case .strong: return .strong
    case .atLeast:
      guard let token = FreshnessToken(options.token) else { throw .badToken(.ofLevel) }
      return .atLeast(token)
    case .unspecified, .eventual:
      return .eventual(maxStaleness: try staleness(options, eventualDefault))
    case .analytics:
      return .analytics(maxStaleness: try staleness(options, analyticsDefault))
    }
  }

  private static func staleness(
    _ options: ReadOptions,
    _ standard: Int64
  ) throws(Status) -> Duration {
    let asked = options.maxStalenessMilliseconds
    guard asked != 0 else { return .milliseconds(standard) }
    guard stalenessRange.contains(asked) else {
      throw .invalid("read.max_staleness_ms", "must be 0 or 250 to 3600000")
    }
    return .milliseconds(asked)
  }
}

extension Freshness {
  /// A proof as clients see it.
  init(_ proof: ReadProof) {
    self.init(
      source: ReadSource(proof.origin),
      node: proof.node,
      asOfToken: proof.asOf.isEstimated ? [] : proof.asOf.bytes,
      stalenessBoundMilliseconds: proof.staleness.boundMilliseconds,
      degraded: proof.isDegraded,
      waitedMilliseconds: proof.waited.wholeMilliseconds,
      cache: CacheUse(proof.cache),
      estimated: proof.asOf.isEstimated
    )
  }
}

extension ReadSource {
  /// A kind of node as clients see it.
  init(_ origin: ReadOrigin) {
    switch origin {
    case .primary: self = .primary
    case .replica: self = .replica
    case .warehouse: self = .analytics
    case .cache: self = .cache
    }
  }
}

extension CacheUse {
  fileprivate init(_ use: ReadCacheUse) {
    switch use {
    case .hit: self = .hit
    case .miss: self = .miss
    case .bypass: self = .bypass
    }
  }
}

extension Duration {
  /// Whole milliseconds, rounded up: a bound must not become smaller.
  var boundMilliseconds: Int64 { (self + .nanoseconds(999_999)).wholeMilliseconds }
}
