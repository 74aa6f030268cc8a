public import Wire

// What a monotonic reader has seen, as tokens that only a gateway can compare.

/// Collects tokens that later reads must cover.
///
/// Tokens are opaque, so the highest one cannot be told here. It need not be: an answer covers
/// every token that was sent with its request, so its own token takes their place. Reads under way
/// together leave one each, until the next read sends them all.
struct ReadTokens {
  private(set) var tokens: Set<[UInt8]> = []

  /// Takes note of an answer to a request that had `sent` as its floors.
  mutating func note(_ freshness: Freshness?, sent: Set<[UInt8]>) {
    // A degraded answer may lack what was asked for: it replaces nothing.
    guard let freshness, !freshness.degraded, !freshness.asOfToken.isEmpty else { return }
    tokens.subtract(sent)
    tokens.insert(freshness.asOfToken)
  }

  /// Takes note of a write that later reads must see.
  mutating func note(written token: [UInt8]) {
    if !token.isEmpty { tokens.insert(token) }
  }

  mutating func removeAll() { tokens.removeAll() }
}

/// A request that says how fresh its answer must be.
public protocol ReadingRequest: WireMessage {
  /// How fresh the answer must be.
  var read: ReadOptions { get set }
}

/// An answer that proves how fresh it is.
public protocol ReadingResponse: WireMessage {
  /// The proof.
  var freshness: Freshness? { get }
}

extension GetEntityRequest: ReadingRequest {}
extension GetEntityResponse: ReadingResponse {}
extension BatchGetEntitiesRequest: ReadingRequest {}
extension BatchGetEntitiesResponse: ReadingResponse {}
extension ListEntitiesRequest: ReadingRequest {}
extension ListEntitiesResponse: ReadingResponse {}
extension QueryHistoryRequest: ReadingRequest {}
extension QueryHistoryResponse: ReadingResponse {}
extension AggregateHistoryRequest: ReadingRequest {}
extension AggregateHistoryResponse: ReadingResponse {}
extension ExistsInRangeRequest: ReadingRequest {}
extension ExistsInRangeResponse: ReadingResponse {}
