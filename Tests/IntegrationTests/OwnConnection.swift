import EventLoop
import Testing
import Wire

@testable import Client

// Writes and reads on one and the same connection, as clients in other languages may do.

extension ReadWorld {
  /// Writes a number of its entity and reads the entity right after the ack.
  func writeAndRead(_ number: Int, _ options: ReadOptions) async throws -> GetEntityResponse {
    var columns = ColumnsBuilder()
    columns.appendNumber(
      Double(number),
      entityID: entity,
      attributeID: attribute,
      observedAtMicroseconds: Series.start + Int64(number)
    )
    let bytes = columns.encoded()
    let batch = Batch(firstSeq: 1, count: 1, crc32c: checksum(bytes), columns: bytes)
    let request = GetEntityRequest(by: .entityID(entity), read: options)
    let address = gateway.address
    return try await Command.onThread {
      try EventLoop.runBlocking { loop -> Result<GetEntityResponse, ClientError> in
        do throws(ClientError) {
          let connection = try await GatewayConnection.connect(
            to: address,
            loop: loop,
            within: .seconds(10)
          )
          defer { connection.close() }
          let acks = AckCollector()
          let stream = connection.openStream("sluice.v1.IngestService", "Write", acks)
          let open = Open(
            protocolVersion: 1,
            producerID: RandomID.bytes(),
            durability: .durable,
            sessionID: RandomID.bytes()
          )
          connection.send(stream, WriteRequest.open(open))
          for _ in 0..<2_000 where !acks.isOpen { await loop.sleep(for: .milliseconds(5)) }
          connection.send(stream, WriteRequest.batch(batch))
          for _ in 0..<2_000 where !acks.isDurable { await loop.sleep(for: .milliseconds(5)) }
          guard acks.isDurable else { throw ClientError.timedOut }
          return .success(
            try await connection.call(
              "sluice.v1.EntityService",
              "GetEntity",
              request,
              within: .seconds(10)
            )
          )
        } catch {
          return .failure(error)
        }
      }.get()
    }
  }

  private func checksum(_ bytes: [UInt8]) -> UInt32 {
    crc32c(unsafe bytes.span.bytes)
  }
}

/// Waits for the ack of the first value.
private final class AckCollector: ClientStreamHandler {
  private(set) var isOpen = false
  private(set) var isDurable = false

  func received(_ body: RawSpan) {
    switch try? WriteResponse(decoding: body, arena: MessageArena()) {
    case .opened: isOpen = true
    case .ack(let ack): isDurable = ack.durableSeq >= 1
    default: break
    }
  }

  func ended(_ status: Status?) {
    if let status { Issue.record("the write session ended: \(status.reason)") }
  }
}
