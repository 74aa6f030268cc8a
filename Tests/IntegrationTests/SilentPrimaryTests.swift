import Client
import Foundation
import Testing
import Wire

// Names while the primary is silent, as reads of other nodes need them.

extension Integration.ReadLevelTests {
  @Test("a silent primary: a gateway that was asked nothing before knows names, or asks a replica")
  func namesWithoutPrimary() async throws {
    try await ReadWorld.run { world in
      let key = try await world.externalKey()
      let fresh = try await GatewayProcess.start(
        world.stack.dsn(.primary),
        options: world.stack.options
      )
      let client = try SluiceClient([fresh.address])
      // Every worker has had the time to look around, and nobody has asked it for anything.
      try await eventually("the replicas are in use") {
        try await client.status().nodes.count { $0.state == .closed } >= 4
      }
      try await Task.sleep(for: .seconds(2))
      try world.stack.signal(.primary, SIGSTOP)
      do {
        try await Task.sleep(for: .milliseconds(1_500))
        let start = ContinuousClock.now
        let known = AttributeSpec(name: "counter")
        let attributes = try await client.resolveAttributes([known])
        #expect(attributes.map(\.attributeID) == [world.attribute])
        #expect(try await client.resolveEntities([key], existingOnly: true) == [world.entity])
        for _ in 0..<4 {
          let seen = try await world.read(ReadWorld.eventual(3_600_000), of: client)
          #expect(seen.number > 0 && seen.freshness.source == .replica)
        }
        let history = try await client.queryHistory(
          QueryHistoryRequest(
            entityIDs: [world.entity],
            attributeIDs: [world.attribute],
            startMicroseconds: 0,
            endMicroseconds: Series.start + 1_000_000_000,
            read: ReadWorld.eventual(3_600_000)
          )
        )
        #expect(history.columns.count > 0)
        // What no replica has may be in the primary.
        for _ in 0..<2 {
          await #expect(throws: ClientError.self) {
            try await client.resolveEntities(["absent", key], existingOnly: true)
          }
          await #expect(throws: ClientError.self) {
            try await client.resolveAttributes([known, AttributeSpec(name: "absent")])
          }
        }
        #expect(ContinuousClock.now - start < .seconds(4), "nobody waits for the primary")
      } catch {
        try world.stack.signal(.primary, SIGCONT)
        throw error
      }
      try world.stack.signal(.primary, SIGCONT)
      try await eventually("the primary says what is not there") {
        do {
          _ = try await client.resolveEntities(["absent"], existingOnly: true)
          return false
        } catch ClientError.status(let status) {
          return status.reason == "ENTITY_NOT_FOUND"
        }
      }
      await client.close()
      try await fresh.terminate()
      try await world.waitForAll()
    }
  }
}
