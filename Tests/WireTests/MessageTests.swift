import Testing

@testable import Wire

@Suite("messages")
struct MessageTests {
  /// Encodes, decodes and encodes again.
  func check<Message: WireMessage>(_ message: Message, _ arena: MessageArena, _ seed: UInt64) {
    do throws(MessageError) {
      let bytes = try message.encoded(arena: arena)
      let again = try withSpan(bytes) { (span) throws(MessageError) in
        try Message(decoding: span, arena: arena)
      }
      // Descriptions show every field; -0.0 differs from 0.0 in them.
      #expect("\(again)" == "\(message)", "seed \(seed)")
      #expect(try again.encoded(arena: arena) == bytes, "seed \(seed)")
    } catch {
      Issue.record("\(Message.self): \(error), seed \(seed)")
    }
  }

  @Test("every message comes back as it was", arguments: 0..<60)
  func roundTrip(_ round: UInt64) {
    let seed = 0x3e55_0000 + round
    var random = SeededGenerator(seed: seed)
    let arena = MessageArena()
    for message in RandomMessages.all(&random) { check(message, arena, seed) }
    #expect(arena.ownedBytes <= WireLimits.arenaKeptBytesMax)
  }

  @Test("literal bytes of other languages' encoders are understood")
  func literal() throws {
    let arena = MessageArena()
    // Open{1, producer "pp", durability STAGED, lowest_held_seq 9, client_name "é"}.
    let open = hex("08 01  12 02 70 70  20 02  31 09 00 00 00 00 00 00 00  3a 02 c3 a9")
    let message = try withSpan(open) { try Open(decoding: $0, arena: arena) }
    #expect(
      message
        == Open(
          protocolVersion: 1,
          producerID: [0x70, 0x70],
          durability: .staged,
          lowestHeldSeq: 9,
          clientName: "é"
        )
    )
    // Unpacked repeated fixed64, one tag each.
    let ids = hex("09 01 00 00 00 00 00 00 00  09 ff ff ff ff ff ff ff ff")
    #expect(
      try withSpan(ids) { try ResolveEntitiesResponse(decoding: $0, arena: arena) }
        == ResolveEntitiesResponse(entityIDs: [1, -1])
    )
    // GetEntityRequest{external_key "k"}; `read` left out is the default.
    #expect(
      try withSpan(hex("12 01 6b")) { try GetEntityRequest(decoding: $0, arena: arena) }
        == GetEntityRequest(by: .externalKey("k"))
    )
  }

  /// The error of reading, `nil` when there is none.
  func failure<Message: WireMessage>(
    _ type: Message.Type,
    _ bytes: [UInt8],
    _ arena: MessageArena = MessageArena()
  ) -> MessageError? {
    withSpan(bytes) { span in
      do throws(MessageError) {
        _ = try Message(decoding: span, arena: arena)
        return nil
      } catch {
        return error
      }
    }
  }

  @Test("texts must be UTF-8 without NUL, and the error names the field")
  func texts() {
    #expect(failure(AttributeSpec.self, hex("0a 02 c3 28")) == .notUTF8(field: "name"))
    #expect(failure(AttributeSpec.self, hex("1a 03 61 00 62")) == .hasNUL(field: "unit"))
    #expect(
      failure(ResolveEntitiesRequest.self, hex("0a 01 61  0a 02 ed a0"))
        == .notUTF8(field: "external_key[1]")
    )
    let nested = failure(ResolveAttributesRequest.self, hex("0a 03 0a 01 61  0a 03 0a 01 ff"))
    #expect(nested == .notUTF8(field: "attributes[1].name"))
    #expect(
      nested?.status.fieldViolations
        == [Status.FieldViolation(field: "attributes[1].name", description: "is not UTF-8")]
    )
    #expect(nested?.status.code == .invalidArgument)
    // Overlong slash, a surrogate, beyond U+10FFFF.
    for bad in [hex("12 02 c0 af"), hex("12 03 ed a0 80"), hex("12 04 f4 90 80 80")] {
      #expect(failure(GetEntityRequest.self, bad) == .notUTF8(field: "external_key"))
    }
  }

  @Test("an unknown enum is an error from a client, and unspecified from a server")
  func enums() throws {
    #expect(failure(Open.self, hex("20 03")) == .unknownEnumValue(field: "durability"))
    #expect(
      failure(GetEntityRequest.self, hex("12 01 6b  1a 02 08 63"))
        == .unknownEnumValue(field: "read.level")
    )
    let reject = try withSpan(hex("10 63")) { try Reject(decoding: $0, arena: MessageArena()) }
    #expect(reject.reason == .unspecified)
  }

  @Test("a oneof must be set")
  func oneofs() {
    #expect(failure(GetEntityRequest.self, []) == .notSet(field: "by"))
    #expect(failure(WriteRequest.self, []) == .notSet(field: "message"))
    #expect(failure(Value.self, []) == .notSet(field: "kind"))
    // A negation that is false says nothing.
    #expect(failure(FilterStep.self, hex("20 00")) == .notSet(field: "negation"))
    #expect(failure(FilterStep.self, hex("20 01")) == nil)
  }

  @Test(
    "broken protobuf is malformed",
    arguments: [hex("0a 05 61"), hex("ff"), hex("0b"), hex("07")]
  )
  func malformed(_ bytes: [UInt8]) {
    #expect(failure(AttributeSpec.self, bytes) == .malformed)
    #expect(failure(Status.self, bytes) == .malformed)
    _ = withSpan(bytes) { span in
      #expect(throws: MessageError.malformed) {
        _ = try MessageArena().withColumns(span) { $0.count }
      }
    }
  }

  @Test("up to eight unknown fields are skipped, nine are refused")
  func unknownFields() {
    let unknown = hex("f8 07 01")  // field 127, varint 1
    let known = hex("0a 01 61")
    #expect(failure(AttributeSpec.self, known + (0..<8).flatMap { _ in unknown }) == nil)
    #expect(
      failure(AttributeSpec.self, known + (0..<9).flatMap { _ in unknown })
        == .tooManyUnknownFields
    )
    let nested = (0..<9).flatMap { _ in unknown }
    #expect(
      failure(ResolveAttributesRequest.self, [0x0a, UInt8(nested.count)] + nested)
        == .tooManyUnknownFields
    )
    #expect(
      failure(Open.self, (0..<200_000).flatMap { _ in unknown }) == .tooManyUnknownFields
    )
  }

  @Test("a field that ends one byte behind its message is refused, also where more bytes follow")
  func boundaries() {
    // Request{metadata{key of 2 bytes, 1 there}, payload}: the next byte belongs to the envelope.
    let body = hex("0a 01 73  12 01 6d  2a 03 0a 02 6b  1a 01 68")
    withSpan(body) { span in
      #expect(throws: EnvelopeError.truncated) { try RequestEnvelope(decoding: span) }
      // The same at the end of the body, with numbers.
      for cut in [
        hex("0a 02 73"), hex("21 01 02 03 04 05 06 07"), hex("25 01 02 03"), hex("20 80"),
      ] {
        withSpan(cut) { cut in
          #expect(throws: EnvelopeError.truncated) { try RequestEnvelope(decoding: cut) }
        }
      }
    }
    // WriteRequest{batch{columns of 2 bytes, 1 there}, ping}: the next byte belongs to the outer
    // message.
    withSpan(hex("12 03 22 02 61  f8 07 01")) { span in
      #expect(throws: MessageError.malformed) {
        _ = try WriteRequestView(decoding: span, arena: MessageArena()).isBatch
      }
    }
  }

  @Test("30 KB of nesting overflows no stack")
  func nesting() {
    // Field 1, length-delimited, 10,000 levels deep: where a type is recursive this kills a
    // process.
    var headers: [[UInt8]] = []
    var size = 0
    while size < 30_000 {
      var header = ByteQueue()
      header.appendLength(field: 1, size)
      headers.append(array(header.pending))
      size += header.count
    }
    let bytes = headers.reversed().flatMap { $0 }
    _ = failure(ResolveAttributesRequest.self, bytes)
    _ = failure(Status.self, bytes)
    _ = failure(WriteRequest.self, bytes)
    _ = withSpan(bytes) { try? RequestEnvelope(decoding: $0) }
    let groups = Array(repeating: UInt8(0x0b), count: 30_000)
    #expect(failure(ResolveAttributesRequest.self, groups) == .malformed)
  }

  @Test("a message that unpacks past the cap fails cleanly, and the arena lives on")
  func arenaCap() throws {
    let arena = MessageArena(bytesMax: 1 << 20)
    // 100,000 empty attributes: 200 KB become 6 MB.
    let hostile = (0..<100_000).flatMap { _ in hex("0a 00") }
    #expect(failure(ResolveAttributesRequest.self, hostile, arena) == .tooLarge)
    #expect(arena.ownedBytes <= 1 << 20)
    #expect(failure(ResolveAttributesRequest.self, hex("0a 00"), arena) == nil)
    // And what should be written does not fit either.
    let large = ListAttributesResponse(nextPageToken: Array(repeating: 0, count: 2 << 20))
    #expect(throws: MessageError.tooLarge) { _ = try large.encoded(arena: arena) }
    #expect(try GetStatusRequest().encoded(arena: arena) == [])
  }

  @Test("a hostile 4 MiB message stays within the default cap")
  func hostile() {
    let arena = MessageArena()
    let bytes = (0..<4_194_304).map { UInt8($0 % 2 == 0 ? 0x0a : 0) }
    #expect(failure(ResolveAttributesRequest.self, bytes, arena) == .tooLarge)
    #expect(arena.ownedBytes <= WireLimits.arenaKeptBytesMax)
  }

  @Test("scopes nest: what the outer one allocated survives the inner")
  func scopes() throws {
    let arena = MessageArena(bytesMax: 1 << 20)
    let status = Status(.notFound, "x", reason: "R")
    try withSpan(ColumnsTests.oneNumber) { span in
      try arena.withColumns(span) { view in
        for _ in 0..<1_000 {
          _ = try? status.encoded(arena: arena)
          _ = try? withSpan(hex("0a 00")) {
            try ResolveAttributesRequest(decoding: $0, arena: arena)
          }
        }
        #expect(view.numbers.values[0] == 1.5)
        #expect(view.numbers.entityIDs[0] == 1)
      }
    }
  }

  @Test("truncating a message anywhere never crashes, and neither does changing a byte")
  func mutations() {
    var random = SeededGenerator(seed: 0xbad)
    let arena = MessageArena()
    for message in RandomMessages.all(&random) {
      guard let bytes = try? message.encoded(arena: arena) else { continue }
      func attempt<Message: WireMessage>(_ message: Message) {
        let type = Message.self
        for end in 0...bytes.count { _ = failure(type, Array(bytes[..<end]), arena) }
        for index in bytes.indices {
          var changed = bytes
          changed[index] = UInt8.random(in: 0...255, using: &random)
          _ = failure(type, changed, arena)
        }
      }
      attempt(message)
    }
  }
}

@Suite("statuses and envelopes")
struct StatusTests {
  @Test("an error is google.rpc.Status with ErrorInfo, RetryInfo and BadRequest")
  func bytes() throws {
    let status = Status(
      .failedPrecondition,
      "gap",
      reason: "GAP",
      metadata: [KeyValue("expected_seq", "7")],
      retryAfterMilliseconds: 1_500,
      fieldViolations: [Status.FieldViolation(field: "f", description: "d")]
    )
    let prefix = Array("type.googleapis.com/google.rpc.".utf8)
    func any(_ type: String, _ value: [UInt8]) -> [UInt8] {
      let url = prefix + Array(type.utf8)
      let body = [0x0a, UInt8(url.count)] + url + [0x12, UInt8(value.count)] + value
      return [0x1a, UInt8(body.count)] + body
    }
    let info =
      hex("0a 03") + Array("GAP".utf8) + hex("12 06") + Array("sluice".utf8)
      + hex("1a 11 0a 0c") + Array("expected_seq".utf8) + hex("12 01 37")
    let expected =
      hex("08 09 12 03") + Array("gap".utf8) + any("ErrorInfo", info)
      // Duration{1 s, 500,000,000 ns}.
      + any("RetryInfo", hex("0a 08 08 01 10 80 ca b5 ee 01"))
      + any("BadRequest", hex("0a 06 0a 01 66 12 01 64"))
    #expect(try status.encoded(arena: MessageArena()) == expected)
  }

  @Test("the proof of an answer that something is not there comes back as it was")
  func freshness() throws {
    var status = Status(.notFound, "nothing", reason: "ENTITY_NOT_FOUND")
    #expect(status.freshness == nil)
    let proof = Freshness(
      source: .replica,
      node: "replica-1",
      asOfToken: [0, 0x7f, 0xff],
      stalenessBoundMilliseconds: 130,
      degraded: true,
      waitedMilliseconds: 7,
      cache: .bypass,
      estimated: false
    )
    status.add(proof)
    let arena = MessageArena()
    let sent = try withSpan(status.encoded(arena: arena)) { try Status(decoding: $0, arena: arena) }
    #expect(sent.freshness == proof)
    // What another gateway may send.
    status.metadata = [KeyValue("source", "analytics"), KeyValue("as_of_token", "7")]
    #expect(status.freshness == Freshness(source: .analytics))
    status.metadata[0].value = "moon"
    #expect(status.freshness == nil)
  }

  @Test("an unknown code is UNKNOWN; details of other domains are skipped")
  func tolerant() throws {
    let status = try withSpan(hex("08 63  1a 05 0a 01 78 12 00")) {
      try Status(decoding: $0, arena: MessageArena())
    }
    #expect(status == Status(.unknown, ""))
  }

  @Test("a response is read in place")
  func response() throws {
    try withSpan(hex("0a 00  12 02 68 69")) { body in
      let response = try ResponseEnvelope(decoding: body, arena: MessageArena())
      #expect(response.status == .ok)
      #expect(array(body.extracting(response.payload)) == Array("hi".utf8))
    }
    let failed = try withSpan(hex("0a 06 08 05 12 02 6e 6f")) {
      try ResponseEnvelope(decoding: $0, arena: MessageArena())
    }
    #expect(failed.status == Status(.notFound, "no"))
    #expect(failed.payload.isEmpty)
  }

  @Test("an error that the arena cannot hold still goes out, with its code")
  func lostDetails() throws {
    var queue = ByteQueue()
    let status = Status(.notFound, String(repeating: "x", count: 1_000))
    queue.appendResponse(streamID: 1, status: status, arena: MessageArena(bytesMax: 64))
    #expect(array(queue.pending) == hex("00 00 00 04  00 00 00 01  02 00  0a 02 08 05"))
  }

  @Test("what the client writes as a request, the server reads")
  func request() throws {
    let arena = MessageArena()
    var queue = ByteQueue()
    let call = CallHeader(
      service: "s",
      method: "m",
      timeoutNanoseconds: 5_000,
      metadata: [KeyValue("k", "v")]
    )
    let message = HealthCheckRequest(service: "a")
    try queue.appendRequest(streamID: 7, call, message, flags: .remoteClosed, arena: arena)
    let none: HealthCheckRequest? = nil
    try queue.appendRequest(streamID: 9, call, none, flags: .remoteOpen, arena: arena)
    let frames = decode(array(queue.pending)).frames
    try #require(frames.count == 2)
    #expect(frames[0].header.flags == .remoteClosed)
    #expect(frames[1].header.flags == .remoteOpen)
    for (index, expected) in [message, nil].enumerated() {
      try withSpan(frames[index].body) { body in
        let request = try RequestEnvelope(decoding: body)
        #expect(array(body.extracting(request.service)) == Array("s".utf8))
        #expect(array(body.extracting(request.method)) == Array("m".utf8))
        #expect(request.timeoutNanoseconds == 5_000)
        #expect(request.metadataValue("k", in: body) != nil)
        let payload = body.extracting(request.payload)
        if let expected {
          #expect(try HealthCheckRequest(decoding: payload, arena: arena) == expected)
        } else {
          #expect(payload.byteCount == 0)
        }
      }
    }
  }
}

extension WriteRequestView {
  /// Whether it holds a batch.
  fileprivate var isBatch: Bool {
    if case .batch = self { true } else { false }
  }
}
