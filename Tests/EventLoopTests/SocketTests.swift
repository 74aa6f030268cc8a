internal import EventLoop
internal import Glibc
internal import Testing

@Suite("Socket")
struct SocketTests {
  @Test("carries bytes both ways, and the end of each way")
  func echoVersion4() throws { try echo("127.0.0.1") }

  @Test(
    "the same over IPv6",
    .enabled(if: (try? Endpoint.listening("::1")) != nil, "this machine has no IPv6")
  )
  func echoVersion6() throws { try echo("::1") }

  private func echo(_ host: String) throws {
    let loop = try EventLoop()
    let listener = try Endpoint.listening(host)
    let port = try listener.socket.localPort()
    let address = SocketAddress(host: host, port: port)
    let client = try Peer(loop, Endpoint(Socket.connect(to: address)))
    client.finish(with: Array("hello".utf8))
    client.onEnd = { loop.stop() }
    var server: Peer?
    let accepting = Watcher { _ in
      do {
        guard let socket = try listener.socket.accept() else { return }
        let peer = try Peer(loop, Endpoint(socket))
        peer.onEnd = { [unowned peer] in peer.finish(with: peer.received.reversed()) }
        server = peer
      } catch {
        Issue.record(error)
      }
    }
    _ = try loop.add(descriptor: listener.number, interest: .readable, handler: accepting)
    runBounded(loop)
    #expect(server?.received == Array("hello".utf8))
    #expect(client.received == Array("olleh".utf8))
  }

  @Test("both ends send small frames at once, and notice peers that are gone")
  func streamOptions() throws {
    let (client, server) = try Endpoint.pair()
    func option(_ socket: CInt, _ level: CInt, _ name: CInt) -> CInt {
      var value: CInt = -1
      var length = socklen_t(MemoryLayout<CInt>.size)
      return unsafe getsockopt(socket, level, name, &value, &length) == 0 ? value : -1
    }
    for number in [client.number, server.number] {
      #expect(option(number, CInt(IPPROTO_TCP), TCP_NODELAY) == 1)
      #expect(option(number, SOL_SOCKET, SO_KEEPALIVE) == 1)
      #expect(option(number, CInt(IPPROTO_TCP), TCP_USER_TIMEOUT) > 0)
    }
  }

  @Test("a full connection takes nothing more until the peer reads")
  func backPressure() throws {
    let (client, server) = try Endpoint.pair()
    let chunk = [UInt8](repeating: 7, count: 1 << 16)
    var sentCount = 0
    while case let count = try client.send(chunk), count > 0 { sentCount += count }
    #expect(sentCount > 0)
    var receivedCount = 0
    while receivedCount < sentCount {
      try waitUntilReady(server, .readable)
      receivedCount += try server.receive(countMax: 1 << 16).1.count
    }
    #expect(receivedCount == sentCount)
    #expect(try waitUntilReady(client, .writable) == .writable)
    #expect(try client.send([1]) == 1)
  }

  @Test("nothing to read is not the end of the stream")
  func wouldBlock() throws {
    let (client, server) = try Endpoint.pair()
    #expect(try server.receive().0 == .wouldBlock)
    client.socket.shutdownWriting()
    #expect(try waitUntilReady(server, .readable) == .readable)
    #expect(try server.receive().0 == .endOfStream)
  }

  @Test("a peer that closed with data unread is a disconnect, for the reader and the writer")
  func reset() throws {
    var pair: (client: Endpoint?, server: Endpoint) = try Endpoint.pair()
    #expect(try pair.server.send([1, 2, 3]) == 3)
    pair.client = nil
    // The interest is empty: an error and a hangup are told all the same.
    #expect(try waitUntilReady(pair.server, []) == [.error, .hangup])
    let reading = #expect(throws: SystemError.self) { try pair.server.receive() }
    #expect(reading == SystemError(call: "recv", code: ECONNRESET))
    #expect(reading?.isDisconnect == true)
    let writing = #expect(throws: SystemError.self) { try pair.server.send([1]) }
    #expect(writing == SystemError(call: "send", code: EPIPE))
    #expect(writing?.isDisconnect == true)
  }

  @Test("a refused connection is a disconnect")
  func refused() throws {
    let port = try Endpoint.listening().socket.localPort()
    let address = SocketAddress(host: "127.0.0.1", port: port)
    let endpoint = Endpoint(try Socket.connect(to: address))
    #expect(try waitUntilReady(endpoint, .writable).isSuperset(of: [.writable, .error]))
    let error = #expect(throws: SystemError.self) { try endpoint.socket.finishConnecting() }
    #expect(error == SystemError(call: "connect", code: ECONNREFUSED))
    #expect(error?.isDisconnect == true)
    #expect(error?.description == "connect: Connection refused")
  }

  @Test("two listeners share a port and both get connections")
  func sharedPort() throws {
    let loop = try EventLoop()
    let first = try Endpoint.listening()
    let port = try first.socket.localPort()
    let listeners = [first, try Endpoint.listening("127.0.0.1", port)]
    var clients: [Endpoint] = []
    for _ in 0..<64 {
      let address = SocketAddress(host: "127.0.0.1", port: port)
      clients.append(Endpoint(try Socket.connect(to: address)))
    }
    var counts = [0, 0]
    for (index, listener) in listeners.enumerated() {
      let watcher = Watcher { _ in
        do { counts[index] += try listener.acceptAndClose() } catch { Issue.record(error) }
        if counts[0] + counts[1] == clients.count { loop.stop() }
      }
      _ = try loop.add(descriptor: listener.number, interest: .readable, handler: watcher)
    }
    runBounded(loop)
    #expect(counts[0] + counts[1] == 64)
    // Spread by a hash of the ports: one side empty has a chance of 2^-63.
    #expect(counts[0] > 0 && counts[1] > 0)
  }

  @Test("listeners that leave the port to the system do not get one that another has")
  func distinctPorts() throws {
    let listeners = try (0..<64).map { _ in try Endpoint.listening() }
    let ports = try listeners.map { try $0.socket.localPort() }
    #expect(Set(ports).count == ports.count)
    #expect(!ports.contains(0))
  }

  @Test("an address of another machine cannot be listened on, and the error says so")
  func foreignAddress() {
    let error = #expect(throws: SystemError.self) { try Endpoint.listening("192.0.2.1") }
    #expect(error?.description == "bind: Cannot assign requested address")
  }

  @Test("a name that cannot be resolved is told in the resolver's words")
  func unknownHost() {
    // Refused by the resolver itself, without asking a name server.
    let error = #expect(throws: SystemError.self) { try Endpoint.listening("a..b") }
    #expect(error.map { $0.code < 0 } == true)
    #expect(error?.description.hasPrefix("getaddrinfo: ") == true)
  }

  @Test("errors say what they are")
  func errors() {
    #expect(SystemError(call: "accept4", code: EMFILE).isOutOfDescriptors)
    #expect(!SystemError(call: "accept4", code: EMFILE).isDisconnect)
    #expect(SystemError(call: "bind", code: EADDRINUSE).isAddressInUse)
    let unknown = SystemError(call: "getaddrinfo", code: EAI_NONAME)
    #expect(unknown.description == "getaddrinfo: Name or service not known")
  }
}
