import Testing
import Wire

@testable import Client

@Suite("what a monotonic reader has seen")
struct ReadTokensTests {
  private func answer(_ token: UInt8, degraded: Bool = false) -> Freshness {
    Freshness(asOfToken: [token], degraded: degraded)
  }

  @Test("an answer takes the place of the tokens that were sent with its request")
  func replaces() {
    var tokens = ReadTokens()
    tokens.note(answer(1), sent: [])
    #expect(tokens.tokens == [[1]])
    tokens.note(answer(2), sent: [[1], [9]])
    #expect(tokens.tokens == [[2]])
  }

  @Test("reads under way together leave one token each, the next read joins them")
  func concurrent() {
    var tokens = ReadTokens()
    tokens.note(answer(1), sent: [])
    let sent = tokens.tokens
    tokens.note(answer(3), sent: sent)
    tokens.note(answer(2), sent: sent)
    #expect(tokens.tokens == [[2], [3]])
    tokens.note(answer(4), sent: tokens.tokens)
    #expect(tokens.tokens == [[4]])
  }

  @Test("a degraded answer, and one without proof or with an estimate, replace nothing")
  func degraded() {
    var tokens = ReadTokens()
    tokens.note(answer(5), sent: [])
    tokens.note(answer(1, degraded: true), sent: [[5]])
    tokens.note(nil, sent: [[5]])
    tokens.note(Freshness(), sent: [[5]])
    tokens.note(Freshness(source: .analytics, estimated: true), sent: [[5]])
    #expect(tokens.tokens == [[5]])
    tokens.removeAll()
    #expect(tokens.tokens.isEmpty)
  }
}
