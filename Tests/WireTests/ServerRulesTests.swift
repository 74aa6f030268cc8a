import Testing

@testable import Wire

/// A server connection without a socket: bytes in, actions out.
struct ServerUnderTest: ~Copyable {
  enum Method: Equatable, Sendable { case echo, watch, write }
  typealias Action = ServerAction<Method>

  var decoder = FrameDecoder()
  var streams = ServerStreams()

  static let methods: MethodTable<Method> = {
    var table = MethodTable<Method>()
    table.add("t.S", "Echo", .unary, .echo)
    table.add("t.S", "Watch", .serverStreaming, .watch)
    table.add("t.S", "Write", .bidirectional, .write)
    return table
  }()

  /// Feeds bytes and returns what each frame meant.
  mutating func receive(_ bytes: [UInt8]) -> [Action] {
    var actions: [Action] = []
    withSpan(bytes) { span in
      do throws(FrameError) {
        try decoder.receive(span) { header, body in
          let action: Action = streams.receive(header, body) { service, method in
            Self.methods.find(service: service, method: method)
          }
          actions.append(action)
          if case .close = action { return .stop }
          return .continue
        }
      } catch {
        Issue.record("\(error)")
      }
    }
    return actions
  }

  /// Feeds one frame and returns its meaning.
  mutating func one(_ bytes: [UInt8]) -> Action {
    let actions = receive(bytes)
    #expect(actions.count == 1)
    return actions.first ?? .ignore
  }
}

/// What an action is, without its details.
enum Sketch: Equatable {
  case unary(UInt32)
  case open(UInt32, remoteClosed: Bool)
  case deliver(UInt32, last: Bool)
  case halfClose(UInt32)
  case refuse(UInt32, Status.Code, String)
  case fail(UInt32, Status.Code, String)
  case ignore
  case close(CloseReason)

  init(_ action: ServerUnderTest.Action) {
    switch action {
    case .dispatchUnary(let token, _, _): self = .unary(token.id)
    case .openStream(let token, _, _, _, let closed): self = .open(token.id, remoteClosed: closed)
    case .deliver(let token, let last): self = .deliver(token.id, last: last)
    case .halfClose(let token): self = .halfClose(token.id)
    case .refuse(let id, let status): self = .refuse(id, status.code, status.reason)
    case .fail(let token, let status): self = .fail(token.id, status.code, status.reason)
    case .ignore: self = .ignore
    case .close(let reason): self = .close(reason)
    }
  }
}

@Suite("server rules of the wire")
struct ServerRulesTests {
  /// Request{service "t.S", method "Echo" | "Watch" | "Write", payload "hi"}.
  static let echo = hex("0a 03 74 2e 53  12 04 45 63 68 6f  1a 02 68 69")
  static let watch = hex("0a 03 74 2e 53  12 05 57 61 74 63 68  1a 02 68 69")
  static let write = hex("0a 03 74 2e 53  12 05 57 72 69 74 65")

  /// The same as literal frames.
  static let echoOn1 = hex(
    "00 00 00 0f  00 00 00 01  01  00   0a 03 74 2e 53  12 04 45 63 68 6f  1a 02 68 69"
  )
  static let writeOn1 = hex(
    "00 00 00 0c  00 00 00 01  01  02   0a 03 74 2e 53  12 05 57 72 69 74 65"
  )

  func sketches(_ frames: [UInt8]...) -> [Sketch] {
    var server = ServerUnderTest()
    return frames.flatMap { server.receive($0).map { Sketch($0) } }
  }

  @Test("rule 1: an oversized request is refused on its id, and the next call works")
  func rule1() {
    // 00 40 00 01: 4 MiB and one byte.
    let oversized = hex("00 40 00 01  00 00 00 03  01  00")
    let body = Array(repeating: UInt8(0), count: 4_194_305)
    #expect(
      sketches(oversized + body + Self.echoOn1)
        == [.refuse(3, .resourceExhausted, "FRAME_TOO_LONG"), .unary(1)]
    )
    // On an open stream the same answer is the stream's ending, and there is no second one.
    var server = ServerUnderTest()
    guard case .openStream(let token, _, _, _, _) = server.one(Self.writeOn1) else {
      Issue.record("not opened")
      return
    }
    let data = hex("00 40 00 01  00 00 00 01  03  00")
    #expect(Sketch(server.one(data)) == .fail(1, .resourceExhausted, "FRAME_TOO_LONG"))
    #expect(server.streams.end(token) == false)
  }

  @Test(
    "rule 2: even ids and 0 get one INVALID_ARGUMENT",
    arguments: [
      (hex("00 00 00 0f  00 00 00 00  01  00"), UInt32(0)),
      (hex("00 00 00 0f  00 00 00 02  01  00"), UInt32(2)),
      (hex("00 00 00 0f  ff ff ff fe  01  00"), UInt32(0xffff_fffe)),
    ]
  )
  func rule2Even(_ header: [UInt8], _ id: UInt32) {
    #expect(sketches(header + Self.echo) == [.refuse(id, .invalidArgument, "BAD_STREAM_ID")])
  }

  @Test("rule 2: odd ids are taken in any order, also after wrapping, but not twice at once")
  func rule2Order() {
    #expect(
      sketches(
        // 5, 3, 7fffffff, 1: no order.
        hex("00 00 00 0f  00 00 00 05  01  00") + Self.echo,
        hex("00 00 00 0f  00 00 00 03  01  00") + Self.echo,
        hex("00 00 00 0f  7f ff ff ff  01  00") + Self.echo,
        Self.echoOn1,
        // 5 again while it is open: its one ending is the error.
        hex("00 00 00 0f  00 00 00 05  01  00") + Self.echo,
        // And again: it is free.
        hex("00 00 00 0f  00 00 00 05  01  00") + Self.echo
      )
        == [
          .unary(5), .unary(3), .unary(0x7fff_ffff), .unary(1),
          .fail(5, .invalidArgument, "STREAM_ALREADY_OPEN"), .unary(5),
        ]
    )
  }

  @Test("rule 3: the method decides, whatever the flags say", arguments: UInt8(0)...7)
  func rule3(_ flags: UInt8) {
    #expect(sketches(frame(stream: 1, type: 1, flags: flags, body: Self.echo)) == [.unary(1)])
    #expect(
      sketches(frame(stream: 1, type: 1, flags: flags, body: Self.watch))
        == [.open(1, remoteClosed: true)]
    )
    #expect(
      sketches(frame(stream: 1, type: 1, flags: flags, body: Self.write))
        == [.open(1, remoteClosed: flags & 1 != 0)]
    )
  }

  @Test("rule 4: unknown types, and Response, are ignored up to a limit")
  func rule4() {
    // Types 0, 2, 4 and 255.
    let unknown = hex(
      """
      00 00 00 00  00 00 00 01  00  00   00 00 00 01  00 00 00 01  02  00  aa
      00 00 00 00  00 00 00 00  04  00   00 00 00 00  00 00 00 01  ff  ff
      """
    )
    #expect(sketches(unknown, Self.echoOn1) == [.ignore, .ignore, .ignore, .ignore, .unary(1)])
    var server = ServerUnderTest()
    for _ in 0..<25 {
      #expect(server.receive(unknown).map { Sketch($0) } == [.ignore, .ignore, .ignore, .ignore])
    }
    #expect(
      Sketch(server.one(hex("00 00 00 00 00 00 00 01 09 00"))) == .close(.tooManyUnknownFrames)
    )
  }

  @Test("rule 5: data on an id never opened: one INVALID_ARGUMENT, then silence")
  func rule5NeverOpened() {
    let data = hex("00 00 00 02  00 00 00 09  03  00  68 69")
    #expect(
      sketches(data, data, data) == [
        .refuse(9, .invalidArgument, "STREAM_NOT_OPEN"), .ignore, .ignore,
      ]
    )
  }

  @Test("rule 5: data on a unary call: one INVALID_ARGUMENT, which is its ending, then silence")
  func rule5Unary() {
    let data = hex("00 00 00 02  00 00 00 01  03  00  68 69")
    var server = ServerUnderTest()
    guard case .dispatchUnary(let token, _, _) = server.one(Self.echoOn1) else {
      Issue.record("not dispatched")
      return
    }
    #expect(Sketch(server.one(data)) == .fail(1, .invalidArgument, "NOT_A_STREAM"))
    #expect(Sketch(server.one(data)) == .ignore)
    #expect(server.streams.end(token) == false)
    // After a call that ended well likewise.
    guard
      case .dispatchUnary(let second, _, _) = server.one(frame(stream: 3, type: 1, body: Self.echo))
    else { return }
    #expect(server.streams.end(second) == true)
    let late = hex("00 00 00 02  00 00 00 03  03  00  68 69")
    #expect(Sketch(server.one(late)) == .refuse(3, .invalidArgument, "STREAM_NOT_OPEN"))
    #expect(Sketch(server.one(late)) == .ignore)
  }

  @Test("rule 5: data on a stream that ended lately, or was refused, is dropped silently")
  func rule5Late() {
    var server = ServerUnderTest()
    guard case .openStream(let token, _, _, _, _) = server.one(Self.writeOn1) else { return }
    #expect(server.streams.end(token) == true)
    let late = hex("00 00 00 02  00 00 00 01  03  00  68 69")
    #expect(Sketch(server.one(late)) == .ignore)
    #expect(Sketch(server.one(late)) == .ignore)
    // Refused: no such method "Wrong", then the data that the client had sent on.
    let refused = hex("00 00 00 0c  00 00 00 05  01  02   0a 03 74 2e 53  12 05 57 72 6f 6e 67")
    #expect(Sketch(server.one(refused)) == .refuse(5, .unimplemented, "UNKNOWN_METHOD"))
    #expect(Sketch(server.one(hex("00 00 00 01  00 00 00 05  03  00  aa"))) == .ignore)
  }

  @Test("rule 5: a flood of data without streams closes the connection")
  func rule5Flood() {
    var server = ServerUnderTest()
    for index in 0..<UInt32(WireLimits.misplacedFramesMax) {
      let action = server.one(frame(stream: index * 2 + 1, type: 3))
      #expect(Sketch(action) == .refuse(index * 2 + 1, .invalidArgument, "STREAM_NOT_OPEN"))
    }
    #expect(Sketch(server.one(frame(stream: 9_001, type: 3))) == .close(.tooManyMisplacedFrames))
  }

  @Test("rule 6: a body with remote closed is delivered, and the client's side is closed")
  func rule6() {
    #expect(
      sketches(
        Self.writeOn1,
        hex("00 00 00 02  00 00 00 01  03  00  68 69"),
        hex("00 00 00 02  00 00 00 01  03  01  68 69"),
        // One more: the client broke its own word.
        hex("00 00 00 02  00 00 00 01  03  00  68 69")
      )
        == [
          .open(1, remoteClosed: false), .deliver(1, last: false), .deliver(1, last: true),
          .fail(1, .invalidArgument, "STREAM_HALF_CLOSED"),
        ]
    )
    // Without a message it only closes; an empty message without "no data" is a message.
    #expect(
      sketches(
        Self.writeOn1,
        hex("00 00 00 00  00 00 00 01  03  00"),
        hex("00 00 00 00  00 00 00 01  03  05")
      )
        == [.open(1, remoteClosed: false), .deliver(1, last: false), .halfClose(1)]
    )
  }

  @Test("rule 7: a stream has exactly one ending, also when its id lives on")
  func rule7() {
    var server = ServerUnderTest()
    guard case .openStream(let first, _, _, _, _) = server.one(Self.writeOn1) else { return }
    #expect(server.streams.isOpen(first) == true)
    #expect(server.streams.end(first) == true)
    #expect(server.streams.end(first) == false)
    #expect(server.streams.isOpen(first) == false)
    guard case .openStream(let second, _, _, _, _) = server.one(Self.writeOn1) else {
      Issue.record("an id that ended cannot be used again")
      return
    }
    #expect(server.streams.end(first) == false)
    #expect(server.streams.isOpen(second) == true)
    #expect(server.streams.openStreams == 1)
    #expect(server.streams.endAll() == [second])
    #expect(server.streams.end(second) == false)
  }

  @Test("rule 7: endings on the wire are what clients of other languages expect")
  func rule7Bytes() throws {
    let arena = MessageArena()
    var queue = ByteQueue()
    queue.appendDataEnd(streamID: 3)
    // Response{status {}, payload "\x0a\x01a"}: the empty status is there.
    try queue.appendResponse(streamID: 1, HealthCheckRequest(service: "a"), arena: arena)
    // Response{status {code 5, message "no"}}.
    queue.appendResponse(streamID: 5, status: Status(.notFound, "no"), arena: arena)
    #expect(
      array(queue.pending)
        == hex(
          """
          00 00 00 00  00 00 00 03  03  05
          00 00 00 07  00 00 00 01  02  00   0a 00  12 03 0a 01 61
          00 00 00 08  00 00 00 05  02  00   0a 06 08 05 12 02 6e 6f
          """
        )
    )
  }

  @Test("rule 8: payload, timeout and metadata are found in place")
  func rule8() {
    // timeout_nano -1; metadata k=v; unknown field 9; payload last.
    let body =
      Self.write
      + hex("20 ff ff ff ff ff ff ff ff ff 01  2a 06 0a 01 6b 12 01 76  48 05  1a 02 68 69")
    var server = ServerUnderTest()
    guard
      case .openStream(_, .write, .bidirectional, let request, false) = server.one(
        frame(stream: 1, type: 1, flags: 2, body: body)
      )
    else {
      Issue.record("not opened")
      return
    }
    #expect(request.timeoutNanoseconds == -1)
    #expect(Array(body[request.payload]) == Array("hi".utf8))
    #expect(request.metadata.count == 1)
    withSpan(body) { span in
      #expect(request.metadataValue("k", in: span).map { Array(body[$0]) } == Array("v".utf8))
      #expect(request.metadataValue("x", in: span) == nil)
    }
  }

  @Test(
    "rule 8: a broken envelope refuses the call and leaves the connection alone",
    arguments: [
      hex("0a 7f 74"),  // a length beyond the end
      hex("0a ff ff ff ff ff ff ff ff ff 7f"),  // a length beyond 64 bits
      hex("0b"),  // a group
      hex("08 01"),  // service as a number
      hex("00 00"),  // field 0
      hex("0a 01 73"),  // no method
      [],
    ]
  )
  func rule8Broken(_ body: [UInt8]) {
    let found = sketches(frame(stream: 3, type: 1, body: body), Self.echoOn1)
    guard case .refuse(3, .invalidArgument, _) = found.first else {
      Issue.record("\(found)")
      return
    }
    #expect(found.last == .unary(1))
  }

  @Test("rule 11: 256 streams and 1,024 unary calls, and no more until one ends")
  func rule11Streams() {
    var server = ServerUnderTest()
    var tokens: [StreamToken] = []
    for index in 0..<UInt32(256) {
      if case .openStream(let token, _, _, _, _) = server.one(
        frame(stream: index * 2 + 1, type: 1, body: Self.write)
      ) {
        tokens.append(token)
      }
    }
    for index in 0..<UInt32(1_024) {
      if case .dispatchUnary(let token, _, _) = server.one(
        frame(stream: index * 2 + 10_001, type: 1, body: Self.echo)
      ) {
        tokens.append(token)
      }
    }
    #expect(tokens.count == 1_280)
    #expect(
      Sketch(server.one(frame(stream: 8_001, type: 1, body: Self.write)))
        == .refuse(8_001, .resourceExhausted, "TOO_MANY_STREAMS")
    )
    guard case .refuse(_, let status) = server.one(frame(stream: 8_003, type: 1, body: Self.echo))
    else {
      Issue.record("not refused")
      return
    }
    #expect(status.reason == "TOO_MANY_CALLS")
    #expect(status.retryAfterMilliseconds != nil)
    for token in tokens { #expect(server.streams.end(token) == true) }
    #expect(server.streams.openStreams == 0)
    #expect(server.streams.unaryCallsInFlight == 0)
    #expect(
      Sketch(server.one(frame(stream: 8_005, type: 1, body: Self.write)))
        == .open(8_005, remoteClosed: false)
    )
  }

  @Test("rule 11: metadata of 8 KiB and 64 entries, service and method of 256 bytes")
  func rule11Envelope() {
    func entry(_ count: Int) -> [UInt8] {
      // 2a len { 12 len value }, lengths under 16,384 in two bytes.
      func length(_ count: Int) -> [UInt8] { [UInt8(count & 0x7f | 0x80), UInt8(count >> 7)] }
      let field = [0x12] + length(count) + Array(repeating: UInt8(1), count: count)
      return [0x2a] + length(field.count) + field
    }
    func name(_ count: Int) -> [UInt8] {
      [0x0a, UInt8(count & 0x7f | 0x80), UInt8(count >> 7)]
        + Array(repeating: 0x61, count: count) + hex("12 01 62")
    }
    func parse(_ body: [UInt8]) -> EnvelopeError? {
      withSpan(body) { span in
        do throws(EnvelopeError) {
          _ = try RequestEnvelope(decoding: span)
          return nil
        } catch {
          return error
        }
      }
    }
    #expect(parse(Self.echo + entry(8_192)) == nil)
    #expect(parse(Self.echo + entry(8_193)) == .metadataTooLong)
    #expect(parse(Self.echo + (0..<64).flatMap { _ in entry(1) }) == nil)
    #expect(parse(Self.echo + (0..<65).flatMap { _ in entry(1) }) == .metadataTooMany)
    #expect(parse(name(255)) == nil)
    #expect(parse(name(256)) == .methodTooLong)
  }

  @Test("rule 14: an answer that does not fit into a frame is not begun")
  func rule14() throws {
    let arena = MessageArena()
    var queue = ByteQueue()
    let limit = WireLimits.frameBodyBytesMax
    // Response: 2 bytes status, 5 tag and length; the message: 5 tag and length.
    let fits = ListAttributesResponse(nextPageToken: Array(repeating: 1, count: limit - 12))
    try queue.appendResponse(streamID: 1, fits, arena: arena)
    #expect(queue.count == limit + FrameHeader.byteCount)
    queue.reset()
    let over = ListAttributesResponse(nextPageToken: Array(repeating: 1, count: limit - 11))
    #expect(throws: MessageError.tooLarge) {
      try queue.appendResponse(streamID: 1, over, arena: arena)
    }
    #expect(queue.count == 0)
  }

  @Test("random frames never lose a stream or end one twice", arguments: 0..<20)
  func randomFrames(_ round: UInt64) {
    let seed = 0x5e_0000 + round
    var random = SeededGenerator(seed: seed)
    var server = ServerUnderTest()
    var open: Set<StreamToken> = []
    for _ in 0..<3_000 {
      if Int.random(in: 0..<4, using: &random) == 0, let token = open.randomElement(using: &random)
      {
        #expect(server.streams.end(token) == true, "seed \(seed)")
        open.remove(token)
        continue
      }
      let bodies = [Self.echo, Self.watch, Self.write, [1, 2]]
      let bytes = frame(
        stream: UInt32.random(in: 0...40, using: &random),
        type: Int.random(in: 0..<3, using: &random) == 0 ? 1 : 3,
        flags: UInt8.random(in: 0...7, using: &random),
        body: bodies[Int.random(in: 0..<4, using: &random)]
      )
      switch server.one(bytes) {
      case .dispatchUnary(let token, _, _), .openStream(let token, _, _, _, _):
        let isNew = open.insert(token).inserted
        #expect(isNew)
      case .fail(let token, _):
        let wasOpen = open.remove(token) != nil
        #expect(wasOpen, "seed \(seed)")
      case .deliver(let token, _), .halfClose(let token): #expect(open.contains(token))
      case .close: return
      case .refuse, .ignore: break
      }
      #expect(server.streams.openStreams + server.streams.unaryCallsInFlight == open.count)
    }
  }
}

@Suite("stream table")
struct StreamTableTests {
  @Test("behaves like a dictionary", arguments: 0..<10)
  func model(_ round: UInt64) {
    var random = SeededGenerator(seed: 0x7ab1e + round)
    var table = StreamTable<Int>()
    var model: [UInt32: Int] = [:]
    for step in 0..<5_000 {
      let id = UInt32.random(in: 1...(round < 5 ? 64 : 5_000), using: &random)
      if Int.random(in: 0..<5, using: &random) < 2 {
        #expect(table.remove(id) == model.removeValue(forKey: id))
      } else {
        table[id] = step
        model[id] = step
      }
      #expect(table.count == model.count)
      let other = UInt32.random(in: 1...64, using: &random)
      #expect(table[other] == model[other])
    }
    for (id, value) in model { #expect(table[id] == value) }
  }
}
