import EventLoop
import Foundation
import Synchronization
import Testing
import Wire

@testable import Client

extension Integration {
  @Suite("behind a transaction pooler")
  struct PoolerTests {
    private static let strong = ReadOptions(level: .strong)

    /// Backends of connections that keep no session state, as PostgreSQL counts them.
    private static func pooledBackends(_ fixture: Fixture) async throws -> Int {
      try await fixture.database.backends("read", "upsert").count
    }

    @Test("reads, lists, history, upserts and names work, and say the same as on the primary")
    func works() async throws {
      try await Pooler.run(serversMax: 2) { pooler in
        try await Fixture.run(behind: pooler) { fixture in
          let client = fixture.client
          let attribute = try await fixture.attribute("count", .number, isHot: true)
          try await withThrowingTaskGroup(of: Void.self) { group in
            for caller in 0..<16 {
              group.addTask {
                let key = GetEntityRequest.Key.externalKey("e\(caller)")
                for turn in 1...10 {
                  let value = AttributeValue(attributeID: attribute, value: .number(Double(turn)))
                  let written = try await client.upsertEntity(
                    UpsertEntityRequest(by: key, values: [value])
                  )
                  let read = try await client.getEntity(
                    GetEntityRequest(by: key, read: Self.strong)
                  )
                  #expect(read.entity?.values.first?.value == .number(Double(turn)))
                  #expect(read.freshness?.source == .primary)
                  // The position of the upsert lies within what the read proves.
                  let again = ReadOptions(level: .atLeast, token: written.token)
                  _ = try await client.getEntity(GetEntityRequest(by: key, read: again))
                }
              }
            }
            try await group.waitForAll()
          }
          let above = FilterStep.comparison(
            Comparison(attributeID: attribute, relation: .greater, value: .number(9))
          )
          let list = try await client.listEntities(
            ListEntitiesRequest(
              pageSize: 10,
              read: Self.strong,
              filter: EntityFilter(steps: [above]),
              orderByAttributeID: attribute
            )
          )
          #expect(list.entities.count == 10 && !list.nextPageToken.isEmpty)
          let history = try await client.queryHistory(
            QueryHistoryRequest(
              entityIDs: [try #require(list.entities.first?.entityID)],
              attributeIDs: [attribute],
              endMicroseconds: Series.start * 2,
              read: Self.strong
            )
          )
          #expect(history.freshness?.source == .primary)
          #expect(try await client.listAttributes(ListAttributesRequest()).attributes.count == 1)
          // Producers are opened through the pooler; their rows go directly.
          var series = try await fixture.series(isHot: true)[0]
          let producer = await fixture.producer()
          try await series.send(5, of: 20, through: producer)
          try await producer.finish()
          let rows = try await fixture.database.count("SELECT count(*) FROM sluice.entity_values")
          #expect(rows == 260)
          #expect(try await Self.pooledBackends(fixture) <= 2)
          let count = try await pooler.count(fixture.database)
          #expect(count.clients > 2 && (1...2).contains(count.servers), "\(count)")
          #expect(!fixture.gateway.process.errors.contains("error:"))
        }
      }
    }

    @Test("without the pooler reads and upserts are refused, values go on; with it all is well")
    func gone() async throws {
      try await Pooler.run(serversMax: 2) { pooler in
        try await Fixture.run(behind: pooler) { fixture in
          var series = try await fixture.series(isHot: true)[0]
          let producer = await fixture.producer()
          try await series.send(1, of: 10, through: producer)
          try await producer.waitUntilDurable(10)
          try await pooler.stop()
          let request = GetEntityRequest(by: .entityID(series.entity), read: Self.strong)
          var code: Status.Code?
          do {
            _ = try await fixture.client.getEntity(request)
          } catch ClientError.status(let status) {
            code = status.code
          }
          #expect(code == .unavailable)
          try await series.send(5, of: 10, through: producer)
          try await producer.waitUntilDurable(60)
          try await pooler.start()
          try await eventually("reads work again") {
            (try? await fixture.client.getEntity(request).entity?.values.first?.value)
              == .number(60)
          }
          try await producer.finish()
          try await fixture.expectExact([series])
        }
      }
    }

    @Test("a deadline ends the statement in PostgreSQL, through the pooler")
    func cancel() async throws {
      try await Pooler.run(serversMax: 1) { pooler in
        try await Fixture.run(behind: pooler) { fixture in
          let series = try await fixture.series(isHot: true)[0]
          let request = GetEntityRequest(by: .entityID(series.entity), read: Self.strong)
          _ = try await fixture.client.getEntity(request)
          let waiting = """
            SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'
            """
          try await fixture.database.holding("LOCK TABLE sluice.entity_jsonb") {
            async let answer: GetEntityResponse = fixture.client.read(
              "sluice.v1.EntityService",
              "GetEntity",
              request,
              within: .seconds(2)
            )
            try await eventually("the read waits for the lock") {
              try await fixture.database.count(waiting) == 1
            }
            do {
              _ = try await answer
              Issue.record("a read that the lock holds back")
            } catch is ClientError {
              // Its deadline has passed.
            }
            try await eventually("nobody waits any more, although the lock is held") {
              try await fixture.database.count(waiting) == 0
            }
          }
          // The only connection of the pooler is of use to others.
          _ = try await fixture.client.getEntity(request)
        }
      }
    }

    @Test("a pooler that leads elsewhere is refused")
    func elsewhere() async throws {
      try await Pooler.run(serversMax: 1) { pooler in
        try await Fixture.run { fixture in
          let other = try await Database.create(in: fixture.database.stack)
          try await other.migrate()
          func serve(_ database: Database) async throws -> CommandResult {
            try await Command.run(
              GatewayProcess.program,
              [
                "serve", "--check", "--primary-dsn", fixture.database.dsn, "--pooled-dsn",
                pooler.dsn(database),
              ]
            )
          }
          let good = try await serve(fixture.database)
          #expect(good.status == 0 && good.output.contains("pooled-dsn: leads to the same"))
          let wrong = try await serve(other)
          #expect(wrong.status == 78 && wrong.errors.contains("another database"))
          try await other.drop()
        }
      }
    }

    @Test(
      "1,000 clients that all read and upsert share the connections of the configuration",
      arguments: [true, false]
    )
    func ratio(isPooled: Bool) async throws {
      let perWorker = 10
      if isPooled {
        try await Pooler.run(serversMax: 4) { pooler in
          try await Fixture.run(behind: pooler) { fixture in
            let crowd = try await Crowd.run(1_000, fixture) {
              let count = try await pooler.count(fixture.database)
              return (count.clients, count.servers)
            }
            crowd.show("through PgBouncer, clients : pool connections : server connections")
            #expect((1...2 * perWorker).contains(crowd.pool), "2 workers with 8 + 2 each")
            #expect((1...4).contains(crowd.servers))
          }
        }
      } else {
        try await Fixture.run { fixture in
          let crowd = try await Crowd.run(1_000, fixture) {
            let count = try await Self.pooledBackends(fixture)
            return (count, count)
          }
          crowd.show("our own pooling alone, clients : pool connections : server connections")
          #expect((1...2 * perWorker).contains(crowd.servers))
        }
      }
    }
  }
}

/// Many clients with a connection each, and how few connections they needed behind the gateway.
private struct Crowd {
  var clients: Int
  /// The most connections of the gateway's pools that were seen at once.
  var pool: Int
  /// The most backends.
  var servers: Int

  private static let rounds = 3

  func show(_ what: String) {
    print("\(what): \(clients) : \(pool) : \(servers)")
  }

  /// Lets every client upsert and read what it wrote, all at once, several times.
  static func run(
    _ count: Int,
    _ fixture: Fixture,
    _ look: () async throws -> (pool: Int, servers: Int)
  ) async throws -> Crowd {
    let attribute = try await fixture.attribute("count", .number, isHot: true)
    let address = fixture.gateway.address
    let isOver = Flag()
    async let work = Command.onThread {
      defer { isOver.raise() }
      return try EventLoop.runBlocking { loop in
        await connectAll(count, address, loop, attribute)
      }.get()
    }
    var crowd = Crowd(clients: 0, pool: 0, servers: 0)
    while !isOver.isRaised {
      let seen = try await look()
      crowd.pool = max(crowd.pool, seen.pool)
      crowd.servers = max(crowd.servers, seen.servers)
      let figures = try await fixture.client.status().figures
      let open = figures.first { $0.name == "connections.open" }?.value ?? 0
      // The fixture's own client is there, too.
      crowd.clients = max(crowd.clients, Int(open) - 1)
    }
    let right = try await work
    #expect(right == count * rounds, "every client has read what it wrote, each time")
    #expect(crowd.clients == count)
    let rows = try await fixture.database.count("SELECT count(*) FROM sluice.entity_values")
    #expect(rows == count * rounds)
    return crowd
  }

  /// - Returns: how many reads saw what their client had written.
  private static func connectAll(
    _ count: Int,
    _ address: SocketAddress,
    _ loop: EventLoop,
    _ attribute: UInt32
  ) async -> Result<Int, ClientError> {
    let tally = Tally()
    var connections: [GatewayConnection] = []
    defer { for connection in connections { connection.close() } }
    do throws(ClientError) {
      for _ in 0..<count {
        connections.append(
          try await GatewayConnection.connect(to: address, loop: loop, within: .seconds(60))
        )
      }
    } catch {
      return .failure(error)
    }
    for (index, connection) in connections.enumerated() {
      nonisolated(unsafe) let connection = connection
      loop.spawn {
        let key = GetEntityRequest.Key.externalKey("e\(index)")
        do throws(ClientError) {
          for round in 1...rounds {
            let value = AttributeValue(attributeID: attribute, value: .number(Double(round)))
            let _: UpsertEntityResponse = try await unsafe connection.call(
              "sluice.v1.EntityService",
              "UpsertEntity",
              UpsertEntityRequest(by: key, values: [value]),
              within: .seconds(60)
            )
            let read: GetEntityResponse = try await unsafe connection.call(
              "sluice.v1.EntityService",
              "GetEntity",
              GetEntityRequest(by: key, read: ReadOptions(level: .strong)),
              within: .seconds(60)
            )
            if read.entity?.values.first?.value == .number(Double(round)) { tally.right += 1 }
          }
        } catch {
          Issue.record("client \(index): \(error)")
        }
        tally.done += 1
      }
    }
    while tally.done < count { await loop.sleep(for: .milliseconds(5)) }
    return .success(tally.right)
  }

  /// Counts on one loop's thread.
  private final class Tally: @unchecked Sendable {
    var done = 0
    var right = 0
  }

  private final class Flag: @unchecked Sendable {
    private let lock = NSLock()
    private var value = false

    func raise() { lock.withLock { value = true } }
    var isRaised: Bool { lock.withLock { value } }
  }
}
