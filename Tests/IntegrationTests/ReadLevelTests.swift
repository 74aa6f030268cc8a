import Client
import EventLoop
import Foundation
import Testing
import Wire

extension Integration {
  @Suite("reads over replicas and the warehouse", .serialized, .replicatedStack)
  struct ReadLevelTests {
    @Test("replicas answer EVENTUAL, and their bounds hold while values come in")
    func eventual() async throws {
      try await ReadWorld.run { world in
        var nodes: [String] = []
        for _ in 0..<100 {
          let written = try await world.write()
          let seen = try await world.read(ReadWorld.eventual(3_000))
          #expect(seen.number <= written.number)
          #expect(!seen.freshness.degraded)
          nodes.append(seen.freshness.node)
        }
        let byReplicas = nodes.count { $0.hasPrefix("replica-") }
        #expect(byReplicas > 50 && !nodes.contains("warehouse"))
      }
    }

    @Test("AT_LEAST holds its token, mostly from replicas")
    func atLeast() async throws {
      try await ReadWorld.run { world in
        var sources: [Wire.ReadSource] = []
        for _ in 0..<100 {
          let written = try await world.write()
          let seen = try await world.read(ReadWorld.atLeast(written.token))
          #expect(seen.number >= written.number)
          sources.append(seen.freshness.source)
        }
        #expect(sources.contains(.replica))
      }
    }

    @Test("STRONG sees every acknowledged write, on the primary")
    func strong() async throws {
      try await ReadWorld.run { world in
        for _ in 0..<20 {
          let written = try await world.write()
          let seen = try await world.read(ReadOptions(level: .strong))
          #expect(seen.number == written.number && seen.freshness.node == "primary")
        }
      }
    }

    @Test("a paused replica is used within its bound only: then the other one, then the primary")
    func paused() async throws {
      try await ReadWorld.run { world in
        try await world.stack.pauseReplay(.replica1)
        let old = try await world.write()
        try await world.only("replica-1") {
          // An hour is allowed: it still answers, without the number.
          let seen = try await world.read(ReadWorld.eventual(3_600_000))
          #expect(seen.freshness.node == "replica-1" && seen.number < old.number)
          try await world.readUntil("the primary answers", ReadWorld.eventual(1_000)) {
            $0.freshness.node == "primary" && $0.number == old.number
          }
          let token = try await world.read(ReadWorld.atLeast(old.token))
          #expect(token.freshness.node == "primary" && token.number == old.number)
        }
        for _ in 0..<20 {
          try await world.write()
          let seen = try await world.read(ReadWorld.eventual(1_000))
          #expect(seen.freshness.node != "replica-1")
        }
        #expect(try await world.node("primary").fallbacks > 0)
        try await world.stack.resumeReplay(.replica1)
        try await world.waitForAll()
      }
    }

    @Test("beyond its part for them the primary refuses, or an older answer is marked as such")
    func budget() async throws {
      // A worker has 8 connections for reads, 2 of them for these.
      try await ReadWorld.run(options: ["--workers", "1"]) { world in
        try await world.stack.pauseReplay(.replica1)
        try await world.stack.pauseReplay(.replica2)
        try await world.write()
        let options = ReadWorld.eventual(250)
        try await eventually("the replicas are too old") {
          try await world.read(options).freshness.node == "primary"
        }
        let lock = "LOCK TABLE sluice.entity_jsonb IN ACCESS EXCLUSIVE MODE"
        try await world.holding(lock) {
          // Of different bounds, for what wants the same shares one query.
          async let first = world.read(ReadWorld.eventual(251), within: .seconds(60))
          async let second = world.read(ReadWorld.eventual(252), within: .seconds(60))
          try await eventually("two reads are under way") {
            try await world.node("primary").readsInFlight == 2
          }
          // Of another freshness, or it would wait to share the next query of the first two.
          #expect(try await world.refusal(ReadWorld.eventual(253)) == "FALLBACK_BUDGET_SPENT")
          let older = try await world.read(ReadWorld.eventual(250, degraded: true))
          #expect(older.freshness.degraded && older.freshness.source == .replica)
          #expect(older.freshness.stalenessBoundMilliseconds > 250)
          #expect(try await world.node("primary").readsInFlight == 2)
          try await world.release()
          #expect(try await first.freshness.node == "primary")
          #expect(try await second.freshness.node == "primary")
        }
        try await world.stack.resumeReplay(.replica1)
        try await world.stack.resumeReplay(.replica2)
        try await world.waitForAll()
      }
    }

    @Test("a monotonic client never goes back, whichever node answers")
    func monotonic() async throws {
      try await ReadWorld.run { world in
        let monotonic = try SluiceClient([world.gateway.address], isMonotonic: true)
        let options = ReadWorld.eventual(3_600_000)
        try await world.stack.pauseReplay(.replica1)
        let written = try await world.write()
        try await world.only("replica-2") {
          try await eventually("the other replica shows it") {
            try await world.read(options, of: monotonic).number == written.number
          }
        }
        try await world.only("replica-1") {
          let other = try await world.read(options)
          #expect(other.freshness.node == "replica-1" && other.number < written.number)
          let seen = try await world.read(options, of: monotonic)
          #expect(seen.freshness.node == "primary" && seen.number == written.number)
        }
        await monotonic.close()
        try await world.stack.resumeReplay(.replica1)
        try await world.waitForAll()
      }
    }

    @Test("reads see what their own connection wrote, without a token")
    func ownWrites() async throws {
      try await ReadWorld.run { world in
        try await world.stack.pauseReplay(.replica1)
        try await world.stack.pauseReplay(.replica2)
        let options = ReadWorld.eventual(3_600_000)
        let before = try await world.read(options)
        let response = try await world.writeAndRead(before.number + 1, options)
        #expect(response.freshness?.node == "primary")
        #expect(response.entity?.values.first?.value == .number(Double(before.number + 1)))
        // Somebody else's connection may still see the older one.
        let other = try await world.read(options)
        #expect(other.number == before.number && other.freshness.source == .replica)
        try await world.stack.resumeReplay(.replica1)
        try await world.stack.resumeReplay(.replica2)
      }
    }

    @Test("a drained node gets no read until it is restored; the command line does it too")
    func drained() async throws {
      try await ReadWorld.run { world in
        let gateway = ["--gateway", "\(world.gateway.address)"]
        let drain = try await Command.run(GatewayProcess.program, ["drain", "replica-2"] + gateway)
        #expect(drain.status == 0 && drain.output.contains("DRAINED"))
        for _ in 0..<20 {
          #expect(try await world.read(ReadWorld.eventual(3_000)).freshness.node != "replica-2")
        }
        let status = try await Command.run(GatewayProcess.program, ["status"] + gateway)
        #expect(status.output.contains("replica-2  DRAINED"))
        let restore = try await Command.run(
          GatewayProcess.program,
          ["restore", "replica-2"] + gateway
        )
        #expect(restore.status == 0)
        try await world.waitFor("replica-2", .closed)
        try await world.only("replica-2") {
          let seen = try await world.read(ReadWorld.eventual(3_600_000))
          #expect(seen.freshness.node == "replica-2")
        }
        for (node, code) in [("replica-9", 66), ("primary", 64)] as [(String, Int32)] {
          let wrong = try await Command.run(GatewayProcess.program, ["drain", node] + gateway)
          #expect(wrong.status == code, "\(wrong.errors)")
        }
      }
    }

    @Test("reads go on when a replica is killed, and use it again when it is back")
    func killed() async throws {
      try await ReadWorld.run { world in
        try await world.only("replica-1") {
          for _ in 0..<5 { _ = try await world.read(ReadWorld.eventual(3_000)) }
        }
        try world.stack.signal(.replica1, SIGQUIT)
        for _ in 0..<50 {
          let written = try await world.write()
          let seen = try await world.read(ReadWorld.eventual(3_000))
          #expect(seen.number <= written.number)
        }
        try await world.waitFor("replica-1", .open)
        try await world.stack.up()
        try await world.waitForAll()
        #expect(world.gateway.process.errors.contains("replica-1: CLOSED -> OPEN"))
      }
    }

    @Test("reads on a replica that falls silent end elsewhere, within their deadline")
    func silentReplica() async throws {
      try await ReadWorld.run { world in
        try await world.only("replica-1") {
          _ = try await world.read(ReadWorld.eventual(3_000))
          try world.stack.signal(.replica1, SIGSTOP)
          // This one is on its way there, or finds out that it must not be.
          let seen = try await world.read(ReadWorld.eventual(3_000), within: .seconds(30))
          #expect(seen.freshness.node == "primary")
          try await world.waitFor("replica-1", .open)
          try world.stack.signal(.replica1, SIGCONT)
        }
        try await world.waitForAll()
      }
    }

    @Test("a silent primary: tokens hold on replicas, bounds do not, and older answers say so")
    func silentPrimary() async throws {
      try await ReadWorld.run { world in
        let written = try await world.write()
        try await world.waitForAll()
        try world.stack.signal(.primary, SIGSTOP)
        do {
          try await eventually("nothing can be proven any more") {
            try await world.refusal(ReadWorld.eventual(1_000)) == "PRIMARY_SILENT"
          }
          let held = try await world.read(ReadWorld.atLeast(written.token))
          #expect(held.freshness.source == .replica && held.number == written.number)
          #expect(!held.freshness.degraded)
          let older = try await world.read(ReadWorld.eventual(1_000, degraded: true))
          #expect(older.freshness.degraded && older.freshness.stalenessBoundMilliseconds > 1_000)
          // A longer bound can still be proven by what was heard before.
          let hour = try await world.read(ReadWorld.eventual(3_600_000))
          #expect(!hour.freshness.degraded && hour.freshness.source == .replica)
        } catch {
          try world.stack.signal(.primary, SIGCONT)
          throw error
        }
        try world.stack.signal(.primary, SIGCONT)
        try await eventually("the primary is back") {
          try await world.refusal(ReadWorld.eventual(1_000)) == nil
        }
        try await world.waitForAll()
      }
    }

    @Test("a read that replay cancels on one replica is answered by another")
    func conflict() async throws {
      try await ReadWorld.run { world in
        // Each row of the entity takes three seconds: time for replay to be in the way.
        try await world.stack.sql(
          .primary,
          """
          CREATE POLICY slow ON sluice.entity_jsonb USING (pg_sleep(3) IS NOT NULL);
          ALTER TABLE sluice.entity_jsonb ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
          """
        )
        let options = ReadWorld.eventual(3_600_000)
        let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        for replica in [ReplicatedStack.Member.replica1, .replica2] {
          try await eventually("\(replica) has the policy") {
            try await world.stack.sql(replica, "SELECT count(*) FROM pg_policy") == "1"
          }
        }
        async let answer = world.read(options, within: .seconds(60))
        try await eventually("a replica is at it") {
          let first = try await world.stack.sql(.replica1, sleeping)
          let second = try await world.stack.sql(.replica2, sleeping)
          return first == "1" || second == "1"
        }
        // Takes the read's lock away on every replica, after a second.
        try await world.stack.sql(
          .primary,
          "BEGIN; LOCK TABLE sluice.entity_jsonb IN ACCESS EXCLUSIVE MODE; COMMIT;"
        )
        let seen = try await answer
        #expect(seen.freshness.source == .replica && seen.number == 1)
        let nodes = [try await world.node("replica-1"), try await world.node("replica-2")]
        #expect(nodes.map(\.conflicts).reduce(0, +) == 1)
        #expect(nodes.allSatisfy { $0.state == .closed && $0.failures == 0 })
        try await world.stack.sql(
          .primary,
          """
          ALTER TABLE sluice.entity_jsonb DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;
          DROP POLICY slow ON sluice.entity_jsonb;
          """
        )
        try await world.waitForAll()
      }
    }

    @Test("the warehouse answers ANALYTICS with a proof that holds, and nobody else does")
    func warehouse() async throws {
      try await ReadWorld.run { world in
        for _ in 0..<20 {
          try await world.write()
          let seen = try await world.read(ReadWorld.analytics())
          #expect(seen.freshness.source == .analytics && seen.freshness.node == "warehouse")
          #expect(!seen.freshness.degraded)
        }
        let disable = "ALTER SUBSCRIPTION sluice_warehouse DISABLE"
        try await world.stack.sql(.warehouse, disable)
        try await eventually("its feed is gone, and so is the proof") {
          try await world.write()
          return try await world.refusal(ReadWorld.analytics(2_000)) == "NO_ANALYTICS_SOURCE"
        }
        let older = try await world.read(ReadWorld.analytics(2_000, degraded: true))
        #expect(older.freshness.degraded && older.freshness.source == .analytics)
        #expect(older.freshness.stalenessBoundMilliseconds > 2_000)
        try await world.setDrained("warehouse", true)
        #expect(try await world.refusal(ReadWorld.analytics(degraded: true)) != nil)
        try await world.setDrained("warehouse", false)
        try await world.waitFor("warehouse", .closed)
        try await world.stack.sql(.warehouse, "ALTER SUBSCRIPTION sluice_warehouse ENABLE")
        try await world.waitForAll()
      }
    }

    @Test("a standby can be the warehouse, too: its heartbeat is the proof")
    func standbyForReports() async throws {
      let stack = try #require(ReplicatedStack.current)
      let options = ["--warehouse-dsn", stack.dsn(.replica2)]
      try await ReadWorld.run(options: options) { world in
        for _ in 0..<10 {
          try await world.write()
          for options in [ReadWorld.analytics(), ReadWorld.analytics(monotonic: true)] {
            let seen = try await world.read(options)
            #expect(seen.freshness.source == .analytics && seen.freshness.node == "warehouse")
            #expect(!seen.freshness.degraded)
          }
        }
      }
    }

    @Test("while one table of the warehouse is in its first copy, nothing is proven")
    func firstCopy() async throws {
      try await ReadWorld.run { world in
        func set(_ state: String) async throws {
          try await world.stack.sql(
            .warehouse,
            """
            UPDATE pg_subscription_rel SET srsubstate = '\(state)'
            WHERE srrelid = 'sluice.entities'::regclass
            """
          )
        }
        // Disabled, so that nobody begins to copy.
        try await world.stack.sql(.warehouse, "ALTER SUBSCRIPTION sluice_warehouse DISABLE")
        try await set("d")
        try await eventually("the warehouse proves nothing") {
          try await world.refusal(ReadWorld.analytics(3_600_000, degraded: true))
            == "NO_ANALYTICS_SOURCE"
        }
        // Each of the workers has looked.
        try await eventually("the status says so") {
          try await world.node("warehouse").provenLSN.isEmpty
        }
        try await set("r")
        try await world.stack.sql(.warehouse, "ALTER SUBSCRIPTION sluice_warehouse ENABLE")
        try await world.waitForAll()
      }
    }

    @Test("a check connects to every server, and a start warns about settings")
    func check() async throws {
      let stack = try #require(ReplicatedStack.current)
      let arguments = ["serve", "--check", "--primary-dsn", stack.dsn(.primary)] + stack.options
      let good = try await Command.run(GatewayProcess.program, arguments)
      #expect(good.status == 0 && good.output.contains("replica-2, PostgreSQL"))
      #expect(good.output.contains("warehouse, PostgreSQL") && !good.output.contains("warning"))
      try await stack.sql(.replica2, "ALTER SYSTEM SET hot_standby_feedback = off")
      try await stack.sql(.replica2, "SELECT pg_reload_conf()")
      try await eventually("the check warns") {
        let result = try await Command.run(GatewayProcess.program, arguments)
        return result.output.contains("warning: replica-2: hot_standby_feedback is off")
      }
      try await ReadWorld.run { world in
        try await eventually("the start warns") {
          world.gateway.process.errors.contains("replica-2: hot_standby_feedback is off")
        }
      }
      try await stack.sql(.replica2, "ALTER SYSTEM RESET hot_standby_feedback")
      try await stack.sql(.replica2, "SELECT pg_reload_conf()")
    }
  }
}
