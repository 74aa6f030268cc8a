import EventLoop
import Testing
import Wire

@testable import Client

@Suite("a producer without a gateway", .timeLimit(.minutes(15)))
struct ProducerTests {
  /// A port that was free a moment ago: nobody listens there.
  private func deadAddress() throws -> SocketAddress {
    let socket = try Socket.listen(on: SocketAddress(host: "127.0.0.1", port: 0))
    return SocketAddress(host: "127.0.0.1", port: try socket.localPort())
  }

  private func options(connectWithin: Duration) -> ProducerOptions {
    ProducerOptions(producerID: RandomID.bytes(), connectWithin: connectWithin)
  }

  private func withClient(
    _ body: (SluiceClient) async throws -> Void
  ) async throws {
    let client = try SluiceClient([try deadAddress(), try deadAddress()])
    try await body(client)
    await client.close()
  }

  /// How a call failed; nil when it did not.
  private func failure<Value>(_ call: () async throws(ClientError) -> Value) async -> ClientError? {
    do throws(ClientError) {
      _ = try await call()
      return nil
    } catch {
      return error
    }
  }

  private var oneValue: ColumnsBuilder {
    var columns = ColumnsBuilder()
    columns.appendNumber(1, entityID: 1, attributeID: 1, observedAtMicroseconds: 1)
    return columns
  }

  @Test("when no gateway is there in time, whoever waits is told why")
  func cannotConnect() async throws {
    try await withClient { client in
      let producer = await client.producer(options(connectWithin: .milliseconds(200)))
      let error = await #expect(throws: ClientError.self) { try await producer.waitUntilOpen() }
      guard case .cannotConnect(let why) = error else {
        Issue.record("another error: \(String(describing: error))")
        return
      }
      #expect(why.contains("127.0.0.1"))
    }
  }

  @Test("what failed for good fails at once the next time")
  func failsAgain() async throws {
    try await withClient { client in
      let producer = await client.producer(options(connectWithin: .zero))
      await #expect(throws: ClientError.self) { try await producer.waitUntilOpen() }
      await #expect(throws: ClientError.self) { try await producer.send(oneValue) }
      await #expect(throws: ClientError.self) { try await producer.waitUntilDurable(1) }
    }
  }

  @Test("closing ends every wait with `closed`")
  func closes() async throws {
    try await withClient { client in
      let producer = await client.producer(options(connectWithin: .seconds(60)))
      async let open = failure { () throws(ClientError) in try await producer.waitUntilOpen() }
      async let sent = failure { () throws(ClientError) in try await producer.send(oneValue) }
      async let durable = failure { () throws(ClientError) in try await producer.waitUntilDurable(1)
      }
      async let staged = failure { () throws(ClientError) in try await producer.waitUntilStaged(1) }
      await producer.close()
      let failures = await [open, sent, durable, staged]
      #expect(failures == [.closed, .closed, .closed, .closed])
      #expect(await producer.position == ProducerPosition())
    }
  }

  @Test("a client that closes takes its producers with it")
  func clientCloses() async throws {
    let client = try SluiceClient([try deadAddress()])
    let producer = await client.producer(options(connectWithin: .seconds(60)))
    async let sent = failure { () throws(ClientError) in try await producer.send(oneValue) }
    // The wait may not have begun: closing is final either way.
    await client.close()
    #expect(await sent == .closed)
  }

  @Test("a call without a gateway says so, naming every address, and a closed client is closed")
  func calls() async throws {
    let addresses = [try deadAddress(), try deadAddress()]
    let client = try SluiceClient(addresses)
    let error = await #expect(throws: ClientError.self) { _ = try await client.status() }
    #expect(addresses.allSatisfy { "\(String(describing: error))".contains("\($0)") })
    #expect(error?.isRetryable == true)
    await client.close()
    await client.close()
  }

  @Test(
    "what may be tried again",
    arguments: [
      (ClientError.cannotConnect(""), true), (.disconnected, true), (.timedOut, true),
      (.status(Status(.unavailable, "")), true), (.status(Status(.resourceExhausted, "")), true),
      (.status(Status(.aborted, "", reason: "FENCED")), false),
      (.status(Status(.dataLoss, "", reason: "SEQ_CONFLICT")), false),
      (.status(Status(.invalidArgument, "")), false), (.protocolViolation(""), false),
      (.tooLarge(bytes: 2, limit: 1), false), (.closed, false),
    ]
  )
  func retryable(error: ClientError, isRetryable: Bool) {
    #expect(error.isRetryable == isRetryable)
    #expect(!error.description.isEmpty)
  }

  @Test("identifiers are 16 bytes and differ")
  func identifiers() {
    let ids = Set((0..<1_000).map { _ in RandomID.bytes() })
    #expect(ids.count == 1_000)
    #expect(ids.allSatisfy { $0.count == 16 })
  }
}
