internal import EventLoop
internal import Testing

@Suite("SocketAddress")
struct SocketAddressTests {
  @Test(
    "is read from its text and written back",
    arguments: [
      ("127.0.0.1:7171", "127.0.0.1", 7171), ("localhost:0", "localhost", 0),
      ("[::1]:7171", "::1", 7171), ("0.0.0.0:65535", "0.0.0.0", 65_535),
    ] as [(String, String, UInt16)]
  )
  func parses(text: String, host: String, port: UInt16) throws {
    let address = try #require(SocketAddress(text))
    #expect(address == SocketAddress(host: host, port: port))
    #expect(address.description == text)
  }

  @Test(
    "anything else is refused",
    arguments: [
      "", ":", ":7171", "[]:7171", "localhost", "localhost:", "localhost:x", "localhost:65536",
      "localhost:-1", "localhost:+1", "localhost: 1", "::1:7171", "[::1]", "[::1:7171",
    ]
  )
  func refuses(text: String) {
    #expect(SocketAddress(text) == nil)
  }

  @Test(
    "knows what only this machine can reach",
    arguments: [
      ("127.0.0.1", true), ("127.8.8.8", true), ("::1", true), ("localhost", true),
      ("0.0.0.0", false), ("::", false), ("10.0.0.1", false), ("127.example.org", false),
      ("localhost.example.org", false),
    ]
  )
  func loopback(host: String, isLoopback: Bool) {
    #expect(SocketAddress(host: host, port: 1).isLoopback == isLoopback)
  }
}
