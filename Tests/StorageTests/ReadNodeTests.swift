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

  @Test(
    "what a node fails is what its breaker counts: no errors of statements, no short patience",
    .needsDatabases
  )
  func failures() async throws {
    try await Readers.run(feed: .ordered) { readers in
      func failures() -> [UInt64] { readers.router.status.map(\.failures) }
      func ask(_ sql: String, _ patience: Duration) async {
        for requirement in [ReadRequirement(.strong), readers.requirement] {
          let error = await storageFailure { () throws(StorageError) in
            try await readers.router.read(
              [PostgresStatement(sql)],
              requirement,
              deadline: soon(patience)
            )
          }
          #expect(error != nil)
        }
      }
      #expect(failures() == [0, 0])
      await ask("SELECT 1 / 0", .seconds(60))
      await ask("SELECT pg_sleep(30)", .milliseconds(500))
      #expect(failures() == [0, 0])
      await ask("SELECT pg_sleep(30)", .milliseconds(1_500))
      #expect(failures() == [1, 1])
      await ask("SELECT pg_terminate_backend(pg_backend_pid())", .seconds(60))
      #expect(failures() == [2, 2])
    }
  }
}
