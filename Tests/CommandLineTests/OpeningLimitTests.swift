internal import Client
internal import EventLoop
internal import Testing

@testable internal import sluice

// How long a command waits for a session.

@Suite("Opening")
struct OpeningLimitTests {
  @Test("a session that does not open ends with the user's patience, and says why")
  func limit() throws {
    // Nothing listens on this port.
    let address = try #require(SocketAddress("127.0.0.1:1"))
    let start = MonotonicTime.now()
    let failure: CommandFailure? = try EventLoop.runBlocking { loop in
      do {
        let client = try SluiceClient([address])
        let producer = await client.producer(
          ProducerOptions(producerID: RandomID.bytes(), connectWithin: .seconds(60))
        )
        let limit = Duration.milliseconds(300)
        let outcome: Result<Void, any Error>
        do {
          outcome = .success(
            try await OpeningLimit.waitUntilOpen(producer, within: limit, on: loop)
          )
        } catch {
          outcome = .failure(error)
        }
        await client.close()
        try outcome.get()
        return nil
      } catch {
        return CommandFailure(error)
      }
    }
    #expect(failure?.status == .unavailable)
    #expect(failure?.message.hasPrefix("no session within --timeout 300 ms: ") == true)
    #expect(failure?.message.contains("127.0.0.1:1") == true)
    #expect(MonotonicTime.now() - start < .seconds(30))
  }
}
