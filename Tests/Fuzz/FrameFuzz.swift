// fuzz-sources: Sources/Wire
// fuzz-corpus: frame

// The frame decoder: any way of cutting the input into pieces yields the same frames and the same
// error, memory stays within twice the bytes received, and the stream states take every frame
// without breaking an invariant.

/// What one frame looked like, without keeping its body.
private struct Seen: Equatable {
  var header: FrameHeader
  var checksum: UInt32
}

private struct Outcome: Equatable {
  var frames: [Seen] = []
  var error: FrameError?
}

private func run(_ input: RawSpan, pieces sizes: [Int]) -> Outcome {
  var decoder = FrameDecoder()
  var outcome = Outcome()
  var start = 0
  var turn = 0
  while start < input.byteCount, outcome.error == nil {
    let size = sizes.isEmpty ? input.byteCount : sizes[turn % sizes.count]
    turn += 1
    let end = min(start + max(size, 1), input.byteCount)
    do throws(FrameError) {
      try decoder.receive(input.extracting(start..<end)) { header, body in
        precondition(body.byteCount == (header.isOversized ? 0 : Int(header.length)))
        outcome.frames.append(Seen(header: header, checksum: crc32c(body)))
        return .continue
      }
    } catch {
      outcome.error = error
    }
    start = end
    precondition(decoder.heldBytes <= max(2 * end, 256), "memory ahead of the bytes received")
  }
  return outcome
}

private func runStreams(_ input: RawSpan) {
  var decoder = FrameDecoder()
  var server = ServerStreams()
  var client = ClientStreams()
  var endings: [StreamToken: Int] = [:]
  var open: [StreamToken] = []
  _ = client.open(.unary)
  _ = client.open(.bidirectional)
  do throws(FrameError) {
    try decoder.receive(input) { header, body in
      _ = client.receive(header)
      let action: ServerAction<Int> = server.receive(header, body) { service, method in
        switch (service.byteCount + method.byteCount) % 4 {
        case 0: .unknownMethod
        case 1: .found(1, .unary)
        case 2: .found(2, .bidirectional)
        default: .found(3, .serverStreaming)
        }
      }
      switch action {
      case .dispatchUnary(let token, _, let request), .openStream(let token, _, _, let request, _):
        _ = crc32c(body.extracting(request.payload))
        open.append(token)
      case .fail(let token, _):
        endings[token, default: 0] += 1
      case .deliver(let token, let remoteClosed):
        precondition(server.isOpen(token))
        if remoteClosed, server.end(token) { endings[token, default: 0] += 1 }
      case .close: return .stop
      case .halfClose, .refuse, .ignore: break
      }
      return .continue
    }
  } catch {}
  for token in open where server.end(token) { endings[token, default: 0] += 1 }
  for token in open { precondition(endings[token] == 1, "not exactly one ending") }
  precondition(server.openStreams == 0 && server.unaryCallsInFlight == 0, "a stream was lost")
}

/// libFuzzer calls it with every input.
@c(LLVMFuzzerTestOneInput)
public func fuzz(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
  let input = unsafe RawSpan(_unsafeBytes: UnsafeRawBufferPointer(start: data, count: size))
  let whole = run(input, pieces: [])
  precondition(run(input, pieces: [1]) == whole, "bytes one by one yield something else")
  // The pieces come from the input itself, so that the fuzzer steers them.
  var sizes: [Int] = []
  for index in 0..<min(8, size) { sizes.append(Int(input.byte(at: size - 1 - index)) % 24 + 1) }
  precondition(run(input, pieces: sizes) == whole, "pieces yield something else")
  runStreams(input)
  return 0
}
