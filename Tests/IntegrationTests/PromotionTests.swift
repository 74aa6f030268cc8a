import Client
import Foundation
import Testing
import Wire

extension Integration {
  @Suite("after a replica was promoted while another stays with the old primary", .replicatedStack)
  struct PromotionTests {
    /// What the gateways of the new timeline say.
    private struct Side {
      var client: SluiceClient
      /// What they call the replica that stayed behind.
      var straggler: String

      /// Asks again when told that nothing was heard of the primary: on a busy machine a gateway
      /// may miss a second of it, and must refuse then.
      func get(_ key: String, _ options: ReadOptions) async throws -> GetEntityResponse {
        let request = GetEntityRequest(by: .externalKey(key), read: options)
        var attempts = 100
        while true {
          do {
            return try await client.getEntity(request)
          } catch {
            attempts -= 1
            guard attempts > 0, Side.reason(error) == "PRIMARY_SILENT" else { throw error }
          }
          try await Task.sleep(for: .milliseconds(100))
        }
      }

      private static func reason(_ error: any Error) -> String? {
        guard case .status(let status)? = error as? ClientError else { return nil }
        return status.reason
      }

      func refusal(_ key: String, _ options: ReadOptions) async throws -> String? {
        do {
          _ = try await get(key, options)
          return nil
        } catch {
          guard let reason = Side.reason(error) else { throw error }
          return reason
        }
      }
    }

    private static func upsert(
      _ key: String,
      _ number: Double,
      _ attribute: UInt32,
      _ client: SluiceClient
    ) async throws -> [UInt8] {
      let value = AttributeValue(attributeID: attribute, value: .number(number))
      return try await client.upsertEntity(
        UpsertEntityRequest(by: .externalKey(key), values: [value])
      ).token
    }

    private static func number(_ response: GetEntityResponse) -> Double? {
      guard case .number(let number)? = response.entity?.values.first?.value else { return nil }
      return number
    }

    @Test("the new timeline alone answers, whether the gateway was restarted or found it itself")
    func promotion() async throws {
      let stack = try #require(ReplicatedStack.current)
      let address = stack.dsn(primaryOf: .primary, .replica1)
      try await ReadWorld.run(primary: address) { world in
        let kept = try await Self.upsert("kept", 1, world.attribute, world.client)
        try await world.write()
        try await world.waitForAll()
        // From here on the replica that will be promoted lacks what the other one has.
        try await stack.sql(.replica1, "ALTER SYSTEM SET primary_conninfo = ''")
        try await stack.sql(.replica1, "SELECT pg_reload_conf()")
        try await eventually("replica-1 receives nothing more") {
          try await stack.sql(.replica1, "SELECT count(*) FROM pg_stat_wal_receiver") == "0"
        }
        let lost = try await Self.upsert("kept", 2, world.attribute, world.client)
        try await world.only("replica-2") {
          try await eventually("replica-2 has it") {
            let request = GetEntityRequest(
              by: .externalKey("kept"),
              read: ReadWorld.eventual(3_600_000)
            )
            let seen = try await world.client.getEntity(request)
            return Self.number(seen) == 2 && seen.freshness?.node == "replica-2"
          }
        }
        try stack.signal(.primary, SIGQUIT)
        try await stack.sql(.replica1, "SELECT pg_promote()")
        let restarted = try await GatewayProcess.start(
          stack.dsn(.replica1),
          options: ["--replica-dsns", stack.dsn(.replica2)]
        )
        let fresh = try SluiceClient([restarted.address])
        let sides = [
          Side(client: world.client, straggler: "replica-2"),
          Side(client: fresh, straggler: "replica-1"),
        ]
        for side in sides {
          try await eventually("the new primary answers") {
            let strong = try? await side.get("kept", ReadOptions(level: .strong))
            return strong.flatMap(Self.number) == 1
          }
          try await self.expectNewTimeline(side, old: [kept, lost])
          let token = try await Self.upsert("new", 3, world.attribute, side.client)
          for options in [ReadWorld.atLeast(token), ReadWorld.eventual(3_600_000)] {
            let seen = try await side.get("new", options)
            #expect(Self.number(seen) == 3 && seen.freshness?.node == "primary")
          }
        }
        // The gateway that found the new primary itself still names the promoted one a replica.
        let promoted = try await world.node("replica-1")
        #expect(promoted.trouble.contains("promoted"))
        let status = try await Command.run(
          GatewayProcess.program,
          ["status", "--gateway", "\(restarted.address)"]
        )
        #expect(status.output.contains("replica-1: it is on timeline 1, the primary on 2"))
        await fresh.close()
        try await restarted.terminate()
      }
    }

    private func expectNewTimeline(_ side: Side, old tokens: [[UInt8]]) async throws {
      // Each of the workers has met the new timeline.
      try await eventually("the straggler is out, and the status says why") {
        let node = try await side.client.status().nodes.first { $0.name == side.straggler }
        return node?.trouble.contains("it is on timeline 1, the primary on 2") == true
      }
      for token in tokens {
        try await eventually("a token of the old timeline is refused") {
          try await side.refusal("kept", ReadWorld.atLeast(token)) == "TOKEN_OF_OTHER_TIMELINE"
        }
        let degraded = ReadWorld.atLeast(token, degraded: true)
        #expect(try await side.refusal("kept", degraded) == "TOKEN_OF_OTHER_TIMELINE")
      }
      let before = try await side.client.status().nodes.first { $0.name == side.straggler }?.reads
      for options in [
        ReadWorld.eventual(3_600_000), ReadWorld.eventual(3_600_000, degraded: true),
        ReadWorld.eventual(250, degraded: true), ReadOptions(level: .strong), ReadOptions(),
      ] {
        for _ in 0..<20 {
          let seen = try await side.get("kept", options)
          #expect(Self.number(seen) == 1, "what the new primary never had is not shown")
          #expect(seen.freshness?.node == "primary")
        }
      }
      let after = try await side.client.status().nodes.first { $0.name == side.straggler }?.reads
      #expect(before == after)
      #expect(
        try await side.refusal("kept", ReadWorld.analytics(3_600_000)) == "NO_ANALYTICS_SOURCE"
      )
    }
  }
}
