import Testing

@testable import Wire

/// What a decoder delivered, copied out.
struct Delivered: Equatable {
  var header: FrameHeader
  var body: [UInt8]
}

/// Feeds `bytes` in pieces of `size` and collects what comes out.
func decode(
  _ bytes: [UInt8],
  pieces size: Int = .max,
  stopAfter: Int = .max
) -> (frames: [Delivered], error: FrameError?, heldBytes: Int, isMidFrame: Bool) {
  var decoder = FrameDecoder()
  var frames: [Delivered] = []
  var failure: FrameError?
  var start = 0
  while start < bytes.count, failure == nil {
    let end = size == .max ? bytes.count : min(start + size, bytes.count)
    withSpan(Array(bytes[start..<end])) { span in
      do throws(FrameError) {
        try decoder.receive(span) { header, body in
          frames.append(Delivered(header: header, body: array(body)))
          return frames.count >= stopAfter ? .stop : .continue
        }
      } catch {
        failure = error
      }
    }
    start = end
  }
  return (frames, failure, decoder.heldBytes, decoder.isMidFrame)
}

@Suite("frames")
struct FrameDecoderTests {
  /// A request, an empty data frame, a data frame with a body, an end.
  static let conversation: [UInt8] =
    frame(stream: 1, type: 1, flags: 2, body: [0x0a, 1, 0x61])
    + frame(stream: 1, type: 3) + frame(stream: 1, type: 3, body: [9, 8, 7])
    + frame(stream: 1, type: 3, flags: 5)

  @Test("a header is ten bytes, big endian")
  func header() {
    let bytes = hex("00 01 02 03  80 00 00 05  03  07")
    withSpan(bytes) { span in
      let header = FrameHeader(decoding: span)
      #expect(header.length == 0x010203)
      #expect(header.streamID == 0x8000_0005)
      #expect(header.kind == .data)
      #expect(header.flags == [.remoteClosed, .remoteOpen, .noData])
      var queue = ByteQueue()
      queue.append(count: 10) { header.encode(to: &$0) }
      #expect(array(queue.pending) == bytes)
    }
  }

  @Test("a conversation split at every byte yields the same frames")
  func splits() {
    let whole = decode(Self.conversation)
    #expect(whole.frames.count == 4)
    #expect(whole.error == nil)
    for size in 1...Self.conversation.count {
      let pieces = decode(Self.conversation, pieces: size)
      #expect(pieces.frames == whole.frames, "pieces of \(size)")
      #expect(pieces.heldBytes == 0)
      #expect(!pieces.isMidFrame)
    }
    for cut in 1..<Self.conversation.count {
      var decoder = FrameDecoder()
      var frames: [Delivered] = []
      for part in [Array(Self.conversation[..<cut]), Array(Self.conversation[cut...])] {
        withSpan(part) { span in
          #expect(throws: Never.self) {
            try decoder.receive(span) { header, body in
              frames.append(Delivered(header: header, body: array(body)))
              return .continue
            }
          }
        }
      }
      #expect(frames == whole.frames, "cut at \(cut)")
    }
  }

  @Test("a frame that lies in the input is delivered in place")
  func zeroCopy() {
    let bytes = frame(stream: 1, type: 3, body: Array(repeating: 7, count: 1_000))
    var decoder = FrameDecoder()
    withSpan(bytes) { span in
      #expect(throws: Never.self) {
        try decoder.receive(span) { _, body in
          let inside = unsafe span.withUnsafeBytes { outer in
            unsafe body.withUnsafeBytes { inner in
              unsafe inner.baseAddress == outer.baseAddress.map { unsafe $0 + 10 }
            }
          }
          #expect(inside)
          return .continue
        }
      }
    }
    #expect(decoder.heldBytes == 0)
  }

  @Test("rule 12: memory follows the bytes received, not the length announced")
  func growth() {
    // 4 MiB announced, 11 bytes sent.
    let partial = decode(frame(length: 4_194_304, stream: 1, type: 3, body: [1]))
    #expect(partial.isMidFrame)
    #expect(partial.heldBytes <= 256)
    let more = decode(
      frame(length: 4_194_304, stream: 1, type: 3, body: Array(repeating: 1, count: 5_000)),
      pieces: 100
    )
    #expect(more.heldBytes >= 5_010)
    #expect(more.heldBytes <= 2 * 5_010)
  }

  @Test("rule 1: a body over 4 MiB is announced at once, thrown away, and the connection lives")
  func oversized() throws {
    // 00 40 00 01: one byte more than allowed.
    let header = hex("00 40 00 01  00 00 00 03  01  00")
    #expect(decode(header).frames.map(\.header.isOversized) == [true])
    let bytes = header + Array(repeating: 0xff, count: 4_194_305) + Self.conversation
    for size in [Int.max, 65_536, 9] {
      let result = decode(bytes, pieces: size)
      #expect(result.error == nil)
      try #require(result.frames.count == 5)
      #expect(result.frames[0].header.streamID == 3)
      #expect(result.frames[0].body == [])
      #expect(Array(result.frames[1...]) == decode(Self.conversation).frames)
      #expect(result.heldBytes == 0)
    }
    // 00 40 00 00 is allowed.
    #expect(decode(hex("00 40 00 00  00 00 00 03  01  00")).frames == [])
  }

  @Test(
    "rule 1: a first byte that is not 0 ends the connection, before the header is complete",
    arguments: [
      hex("01"), hex("01 00 00 00  00 00 00 01  01  00"), Array("GET / HTTP/1.1\r\n".utf8),
      hex("16 03 01"), hex("ff ff ff ff  00 00 00 01  03  00"),
    ]
  )
  func notFramed(_ bytes: [UInt8]) {
    for size in [Int.max, 1, 3] {
      let result = decode(bytes, pieces: size)
      #expect(result.error == .notFramed)
      #expect(result.frames == [])
    }
    let late = decode(Self.conversation + bytes, pieces: 4)
    #expect(late.frames.count == 4)
    #expect(late.error == .notFramed)
  }

  @Test("rule 1: what one connection may have thrown away is bounded")
  func discardBound() {
    var decoder = FrameDecoder()
    var delivered = 0
    var caught: FrameError?
    // 00 ff ff ff: 16 MiB less one, five times: the fifth is over 64 MiB.
    let block = Array(repeating: UInt8(0), count: 0xff_ffff)
    for _ in 0..<5 where caught == nil {
      withSpan(hex("00 ff ff ff  00 00 00 01  03  00") + block) { span in
        do throws(FrameError) {
          try decoder.receive(span) { _, _ in
            delivered += 1
            return .continue
          }
        } catch { caught = error }
      }
    }
    #expect(delivered == 4)
    #expect(caught == .discardedTooMuch)
  }

  @Test("after stop nothing more is delivered, in any input")
  func stop() {
    for size in [Int.max, 1] {
      let result = decode(Self.conversation + Self.conversation, pieces: size, stopAfter: 2)
      #expect(result.frames.count == 2)
      #expect(result.heldBytes == 0)
      #expect(!result.isMidFrame)
    }
  }

  @Test("random conversations in random pieces yield what one piece yields", arguments: 0..<40)
  func randomPieces(_ round: UInt64) {
    let seed = 0x51_0000 + round
    var random = SeededGenerator(seed: seed)
    var bytes: [UInt8] = []
    for _ in 0..<Int.random(in: 1...30, using: &random) {
      let body = (0..<Int.random(in: 0...300, using: &random)).map { _ in UInt8(1) }
      bytes += frame(
        stream: UInt32.random(in: 0...UInt32.max, using: &random),
        type: UInt8.random(in: 0...5, using: &random),
        body: body
      )
    }
    let whole = decode(bytes)
    var decoder = FrameDecoder()
    var frames: [Delivered] = []
    var start = 0
    while start < bytes.count {
      let end = min(bytes.count, start + Int.random(in: 0...200, using: &random))
      withSpan(Array(bytes[start..<end])) { span in
        _ = try? decoder.receive(span) { header, body in
          frames.append(Delivered(header: header, body: array(body)))
          return .continue
        }
      }
      start = end
    }
    #expect(frames == whole.frames, "seed \(seed)")
  }
}

@Suite("output queue")
struct ByteQueueTests {
  @Test("bytes come out in the order they went in, over growth and consumption")
  func order() {
    var random = SeededGenerator(seed: 7)
    var queue = ByteQueue()
    var model: [UInt8] = []
    for _ in 0..<2_000 {
      if Bool.random(using: &random) {
        let bytes = (0..<Int.random(in: 0...700, using: &random)).map { _ in
          UInt8.random(in: 0...255, using: &random)
        }
        withSpan(bytes) { queue.append($0) }
        model += bytes
      } else {
        let count = Int.random(in: 0...model.count, using: &random)
        queue.consume(count)
        model.removeFirst(count)
      }
      #expect(array(queue.pending) == model)
    }
  }

  @Test("an empty queue keeps a small block and gives a large one back")
  func release() {
    var queue = ByteQueue()
    #expect(queue.ownedBytes == 0)
    withSpan(Array(repeating: 1, count: 1_000)) { queue.append($0) }
    queue.consume(1_000)
    #expect(queue.ownedBytes > 0)
    withSpan(Array(repeating: 1, count: 100_000)) { queue.append($0) }
    queue.consume(99_999)
    #expect(queue.ownedBytes >= 100_000)
    queue.consume(1)
    #expect(queue.ownedBytes == 0)
  }

  @Test("a frame whose body cannot be written leaves nothing behind")
  func failedFrame() {
    struct Refused: Error {}
    var queue = ByteQueue()
    queue.appendDataEnd(streamID: 1)
    #expect(throws: Refused.self) {
      try queue.appendFrame(streamID: 3, kind: .data, bodyBytes: 5) {
        (_: inout MutableRawSpan) throws(Refused) in throw Refused()
      }
    }
    #expect(array(queue.pending) == hex("00 00 00 00  00 00 00 01  03  05"))
  }
}
