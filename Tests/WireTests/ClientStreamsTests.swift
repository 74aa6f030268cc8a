import Testing

@testable import Wire

@Suite("client streams")
struct ClientStreamsTests {
  func header(
    _ id: UInt32,
    _ kind: FrameKind,
    _ flags: FrameFlags = [],
    _ length: Int = 0
  ) -> FrameHeader {
    FrameHeader(length: length, streamID: id, kind: kind, flags: flags)
  }

  @Test("ids are odd, rise, wrap at 31 bits and skip what is open")
  func ids() {
    var streams = ClientStreams()
    #expect(streams.open(.bidirectional) == 1)
    #expect(streams.open(.unary) == 3)
    #expect(streams.open(.unary) == 5)
    #expect(streams.receive(header(3, .response)) == .respond(3))
    streams.nextID = 0x7fff_fffd
    let opened = (0..<4).map { _ in streams.open(.unary) }
    #expect(opened == [0x7fff_fffd, 0x7fff_ffff, 3, 7])
  }

  @Test("a response ends a unary call, once")
  func unary() {
    var streams = ClientStreams()
    guard let id = streams.open(.unary) else { return }
    #expect(streams.receive(header(id, .response)) == .respond(id))
    #expect(streams.receive(header(id, .response)) == .ignore)
    #expect(streams.unaryCallsInFlight == 0)
  }

  @Test("data, the good end, and the error end of a stream")
  func stream() {
    var streams = ClientStreams()
    guard let id = streams.open(.bidirectional), let other = streams.open(.serverStreaming) else {
      return
    }
    #expect(streams.receive(header(id, .data, [], 5)) == .deliver(id, ended: false))
    #expect(streams.receive(header(id, .data)) == .deliver(id, ended: false))
    #expect(streams.receive(header(id, .data, .noData)) == .ignore)
    #expect(streams.receive(header(other, .data, .remoteClosed, 5)) == .deliver(other, ended: true))
    #expect(streams.receive(header(id, .data, .end)) == .end(id))
    #expect(streams.receive(header(id, .data, [], 5)) == .ignore)
    guard let third = streams.open(.bidirectional) else { return }
    #expect(streams.receive(header(third, .response)) == .respond(third))
    #expect(streams.openStreams == 0)
  }

  @Test("what breaks a stream ends only it")
  func broken() {
    var streams = ClientStreams()
    guard let unary = streams.open(.unary), let stream = streams.open(.bidirectional) else {
      return
    }
    #expect(streams.receive(header(unary, .data, [], 1)) == .fail(unary, .dataInsteadOfResponse))
    var oversized = header(stream, .data)
    oversized.length = 4_194_305
    #expect(streams.receive(oversized) == .fail(stream, .frameTooLong))
    #expect(streams.endAll() == [])
  }

  @Test("late answers to a call that was given up are dropped")
  func abandoned() {
    var streams = ClientStreams()
    guard let id = streams.open(.unary) else { return }
    #expect(streams.abandon(id) == true)
    #expect(streams.abandon(id) == false)
    #expect(streams.receive(header(id, .response)) == .ignore)
  }

  @Test("as many at once as a server allows")
  func limits() {
    var streams = ClientStreams()
    for _ in 0..<1_024 { #expect(streams.open(.unary) != nil) }
    #expect(streams.open(.unary) == nil)
    for _ in 0..<256 { #expect(streams.open(.bidirectional) != nil) }
    #expect(streams.open(.serverStreaming) == nil)
    #expect(streams.receive(header(1, .response)) == .respond(1))
    #expect(streams.open(.unary) == 2_561)
    #expect(streams.endAll().count == 1_280)
  }

  @Test("frames that no server sends are ignored up to a limit")
  func misplaced() {
    var streams = ClientStreams()
    for _ in 0..<WireLimits.unknownFramesMax {
      #expect(streams.receive(header(2, .data)) == .ignore)
    }
    #expect(streams.receive(header(1, .request)) == .close(.tooManyUnknownFrames))
  }
}
