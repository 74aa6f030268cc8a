import EventLoop
import Testing
import Wire

@testable import Client

@Suite("whose spool it is", .timeLimit(.minutes(15)))
struct SpoolClaimTests {
  private let place: SpoolPlace

  init() throws {
    place = try SpoolPlace()
  }

  private func claim(_ name: String = "a", boot: String = "one") throws -> SpoolClaim {
    try Spool.claim(SpoolOptions(folder: place.path, name: name), boot: boot)
  }

  @discardableResult
  private func append(_ spool: Spool, _ count: UInt32 = 1) throws -> PendingBatch {
    try spool.append(columns: [1, 2, 3], count: count, isTaken: false).batch
  }

  @Test("a spool in use is left alone: the second process gets its own")
  func locked() throws {
    let first = try claim()
    let second = try claim()
    #expect(first.spool.producerID != second.spool.producerID)
    #expect(first.orphans.isEmpty && second.orphans.isEmpty)
    withExtendedLifetime(first) {}
  }

  @Test("the spool of a process that is gone is taken over with its batches and numbers")
  func adopted() throws {
    var id: [UInt8] = []
    do {
      let claim = try claim()
      id = claim.spool.producerID
      try append(claim.spool, 5)
    }
    let next = try claim().spool
    #expect(next.producerID == id)
    #expect(!next.isEmpty)
    #expect(try append(next).first == 6)
  }

  @Test("of several, one is written to and the others are to be sent")
  func several() throws {
    var ids: Set<[UInt8]> = []
    do {
      let claims = try [claim(), claim(), claim()]
      for claim in claims {
        ids.insert(claim.spool.producerID)
        try append(claim.spool)
      }
    }
    let next = try claim()
    #expect(next.orphans.count == 2)
    #expect(Set(next.orphans.map(\.producerID) + [next.spool.producerID]) == ids)
    for orphan in next.orphans { try orphan.remove() }
    #expect(try SpoolFile.names(in: place.path).count == 1)
  }

  @Test("another's spool is not touched")
  func names() throws {
    do { try append(try claim("a").spool) }
    let other = try claim("b")
    #expect(other.orphans.isEmpty)
    #expect(other.spool.isEmpty)
    #expect(try !claim("a").spool.isEmpty)
  }

  @Test("after a restart of the system numbers may be in use that the spool has lost: only sent")
  func restarted() throws {
    do { try append(try claim().spool) }
    let next = try claim(boot: "two")
    #expect(next.orphans.count == 1)
    #expect(next.spool.isEmpty)
    #expect(next.spool.producerID != next.orphans[0].producerID)
  }

  @Test("a spool that was closed in good order goes on after a restart of the system")
  func closed() throws {
    do {
      let spool = try claim().spool
      try append(spool)
      try spool.close()
    }
    let next = try claim(boot: "two")
    #expect(next.orphans.isEmpty)
    #expect(try append(next.spool).first == 2)
  }

  @Test("a folder whose maker died before it was whole is cleared away")
  func halfMade() throws {
    try SpoolFile.makeFolder("\(place.path)/spool-0011")
    let claim = try claim()
    #expect(claim.orphans.isEmpty)
    #expect(try SpoolFile.names(in: place.path).count == 1)
  }

  @Test("an identity that cannot be read is told")
  func damagedIdentity() throws {
    var folder = ""
    do { folder = try claim().spool.folder }
    try place.replace("\(folder)/identity", with: Array("sluice-spool 1\nxyz\n".utf8))
    #expect(throws: ClientError.self) { _ = try claim() }
  }

  @Test("a producer with a spool sends without a gateway, and the values are there afterwards")
  func withoutGateway() async throws {
    let spool = try claim().spool
    let client = try SluiceClient([SocketAddress(host: "127.0.0.1", port: 1)])
    let producer = await client.producer(ProducerOptions(spool: spool))
    var columns = ColumnsBuilder()
    columns.appendNumber(1, entityID: 1, attributeID: 1, observedAtMicroseconds: 1)
    #expect(try await producer.send(columns) == 1...1)
    #expect(try await producer.send(columns) == 2...2)
    #expect(await producer.position == ProducerPosition(produced: 2, staged: 0, durable: 0))
    await client.close()
    await #expect(throws: ClientError.closed) { try await producer.send(columns) }
    #expect(spool.produced == 2)
  }
}
