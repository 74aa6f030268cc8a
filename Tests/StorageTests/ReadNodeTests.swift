import EventLoop
import Testing

@testable import Storage

@Suite("what a worker knows of a node")
struct ReadNodeTests {
  @Test("a proof ends the reason of an earlier time, and is no reason itself")
  func reasons() async throws {
    let (before, after) = try await onLoop { loop in
      let node = ReadNode(
        ReadNodeSettings(
          name: "replica-1",
          origin: .replica,
          dsn: try PostgresDSN("host=/nowhere")
        ),
        connections: 1,
        loop: loop,
        log: { _ in }
      )
      let token = FreshnessToken(systemIdentifier: 1, timeline: 1, lsn: PostgresLSN(value: 7))
      let ring = LSNRing()
      node.see(nil, because: "refused")
      let before = node.status(ring).trouble
      // As a look at a healthy node does, then one at a drained node.
      node.see(token, because: node.noProof)
      node.see(nil)
      let after = node.status(ring).trouble
      await node.shutDown()
      return (before, after)
    }
    #expect(before == "refused")
    #expect(after == "nothing has been heard of it yet")
  }
}
