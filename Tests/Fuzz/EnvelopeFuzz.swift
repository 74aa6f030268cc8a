// fuzz-sources: Sources/Wire
// fuzz-corpus: envelope

// The envelopes: every range lies inside the body, every limit holds, and a status survives being
// written again.

nonisolated(unsafe) private let arena = MessageArena()

/// libFuzzer calls it with every input.
@c(LLVMFuzzerTestOneInput)
public func fuzz(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
  let body = unsafe RawSpan(_unsafeBytes: UnsafeRawBufferPointer(start: data, count: size))
  readRequest(body)
  readResponse(body)
  return 0
}

private func readRequest(_ body: RawSpan) {
  guard let request = try? RequestEnvelope(decoding: body) else { return }
  precondition(request.service.count + request.method.count <= WireLimits.methodBytesMax)
  precondition(request.metadata.count <= WireLimits.metadataEntriesMax)
  var bytes = 0
  for entry in request.metadata {
    bytes += body.extracting(entry.key).byteCount + body.extracting(entry.value).byteCount
  }
  precondition(bytes <= WireLimits.metadataBytesMax)
  _ = crc32c(body.extracting(request.payload))
}

private func readResponse(_ body: RawSpan) {
  guard let response = try? ResponseEnvelope(decoding: body, arena: unsafe arena) else { return }
  _ = crc32c(body.extracting(response.payload))
  var queue = ByteQueue()
  unsafe queue.appendResponse(streamID: 1, status: response.status, arena: arena)
  let again = try? ResponseEnvelope(
    decoding: queue.pending.extracting(droppingFirst: FrameHeader.byteCount),
    arena: unsafe arena
  )
  guard let again else { preconditionFailure("a written status cannot be read") }
  // Metadata travels only with a reason.
  var expected = response.status
  if expected.reason.isEmpty { expected.metadata = [] }
  precondition(again.status == expected, "a status changed on the way")
}
