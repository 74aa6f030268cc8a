// fuzz-sources: Sources/Wire
// fuzz-corpus: messages

// Every message: the first byte says which, the rest is the message. What can be read can be
// written, and reads as the same again; columns are walked to their last byte.

nonisolated(unsafe) private let arena = MessageArena()

/// libFuzzer calls it with every input.
@c(LLVMFuzzerTestOneInput)
public func fuzz(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
  let input = unsafe RawSpan(_unsafeBytes: UnsafeRawBufferPointer(start: data, count: size))
  guard size > 0 else { return 0 }
  let bytes = input.extracting(droppingFirst: 1)
  switch input.byte(at: 0) % 47 {
  case 0: readColumns(bytes)
  case 1: readWriteRequest(bytes)
  case 2: roundTrip(Value.self, bytes)
  case 3: roundTrip(ReadOptions.self, bytes)
  case 4: roundTrip(Freshness.self, bytes)
  case 5: roundTrip(ResolveEntitiesRequest.self, bytes)
  case 6: roundTrip(ResolveEntitiesResponse.self, bytes)
  case 7: roundTrip(AttributeSpec.self, bytes)
  case 8: roundTrip(ResolveAttributesRequest.self, bytes)
  case 9: roundTrip(ResolveAttributesResponse.self, bytes)
  case 10: roundTrip(Attribute.self, bytes)
  case 11: roundTrip(ListAttributesRequest.self, bytes)
  case 12: roundTrip(ListAttributesResponse.self, bytes)
  case 13: roundTrip(UpdateAttributeRequest.self, bytes)
  case 14: roundTrip(GetEntityRequest.self, bytes)
  case 15: roundTrip(GetEntityResponse.self, bytes)
  case 16: roundTrip(ListEntitiesRequest.self, bytes)
  case 17: roundTrip(ListEntitiesResponse.self, bytes)
  case 18: roundTrip(QueryHistoryRequest.self, bytes)
  case 19: roundTrip(QueryHistoryResponse.self, bytes)
  case 20: roundTrip(AggregateHistoryRequest.self, bytes)
  case 21: roundTrip(AggregateHistoryResponse.self, bytes)
  case 22: roundTrip(Open.self, bytes)
  case 23: roundTrip(Opened.self, bytes)
  case 24: roundTrip(Batch.self, bytes)
  case 25: roundTrip(Ack.self, bytes)
  case 26: roundTrip(Drain.self, bytes)
  case 27: roundTrip(WriteRequest.self, bytes)
  case 28: roundTrip(WriteResponse.self, bytes)
  case 29: roundTrip(GetStatusRequest.self, bytes)
  case 30: roundTrip(GetStatusResponse.self, bytes)
  case 31: roundTrip(HealthCheckRequest.self, bytes)
  case 32: roundTrip(HealthCheckResponse.self, bytes)
  case 33: roundTrip(HealthListRequest.self, bytes)
  case 34: roundTrip(HealthListResponse.self, bytes)
  case 36: roundTrip(UpsertEntityRequest.self, bytes)
  case 37: roundTrip(UpsertEntityResponse.self, bytes)
  case 38: roundTrip(AttributeValue.self, bytes)
  case 39: roundTrip(EntityName.self, bytes)
  case 40: roundTrip(BatchGetEntitiesRequest.self, bytes)
  case 41: roundTrip(BatchGetEntitiesResponse.self, bytes)
  case 42: roundTrip(EntityFilter.self, bytes)
  case 43: roundTrip(FilterStep.self, bytes)
  case 44: roundTrip(Comparison.self, bytes)
  case 45: roundTrip(ExistsInRangeRequest.self, bytes)
  case 46: roundTrip(ExistsInRangeResponse.self, bytes)
  default: roundTrip(Status.self, bytes)
  }
  return 0
}

/// Compares bytes, not values: NaN is not equal to itself.
private func roundTrip<Message: WireMessage>(_ type: Message.Type, _ bytes: RawSpan) {
  guard let message = try? Message(decoding: bytes, arena: unsafe arena) else { return }
  guard let once = try? message.encoded(arena: unsafe arena) else {
    preconditionFailure("a \(type) that was read cannot be written")
  }
  var queue = ByteQueue()
  unsafe once.withUnsafeBytes { unsafe queue.append(RawSpan(_unsafeBytes: $0)) }
  guard let again = try? Message(decoding: queue.pending, arena: unsafe arena) else {
    preconditionFailure("a \(type) that was written cannot be read")
  }
  precondition(
    (try? again.encoded(arena: unsafe arena)) == once,
    "a \(type) changed on the way"
  )
}

private func readColumns(_ bytes: RawSpan) {
  let builder = try? unsafe arena.withColumns(bytes) { view in
    let builder = ColumnsBuilder(copying: view)
    precondition(builder.count == view.count)
    for index in 0..<view.labels.count { _ = crc32c(view.labels.text(at: index)) }
    for index in 0..<view.documents.count { _ = crc32c(view.documents.text(at: index)) }
    return builder
  }
  guard let builder else { return }
  let once = builder.encoded()
  precondition(once.count == builder.encodedByteCount, "another size than announced")
  var queue = ByteQueue()
  unsafe once.withUnsafeBytes { unsafe queue.append(RawSpan(_unsafeBytes: $0)) }
  let again = try? unsafe arena.withColumns(queue.pending, count: builder.count) {
    ColumnsBuilder(copying: $0)
  }
  precondition(again?.encoded() == once, "columns changed on the way")
}

/// The reader in place and protobuf-c must agree wherever both read the message.
private func readWriteRequest(_ bytes: RawSpan) {
  guard let view = try? WriteRequestView(decoding: bytes, arena: unsafe arena) else { return }
  guard case .batch(let batch) = view else { return }
  _ = crc32c(batch.columns)
  guard case .batch(let copy)? = try? WriteRequest(decoding: bytes, arena: unsafe arena) else {
    return
  }
  precondition(copy.firstSeq == batch.firstSeq && copy.count == batch.count)
  precondition(copy.crc32c == batch.crc32c && copy.columns.count == batch.columns.byteCount)
}
