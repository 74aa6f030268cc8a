import Client
import EventLoop
import Foundation
import Testing
import Wire

// A gateway over replicas and a warehouse, and a number that grows, so that every read can be
// judged.

/// One entity whose hot value is 1, 2, 3, …, written through one gateway.
final class ReadWorld: Sendable {
  let stack: ReplicatedStack
  let gateway: GatewayProcess
  let client: SluiceClient
  let entity: Int64
  let attribute: UInt32
  private let producer: Producer
  private let ledger: Ledger

  /// When each number was acknowledged as durable.
  private actor Ledger {
    var acknowledged: [ContinuousClock.Instant] = []

    func append(_ time: ContinuousClock.Instant) { acknowledged.append(time) }
    var count: Int { acknowledged.count }

    /// The highest number acknowledged at a time or before.
    func highest(at time: ContinuousClock.Instant) -> Int {
      acknowledged.lastIndex { $0 <= time }.map { $0 + 1 } ?? 0
    }
  }

  private init(
    _ stack: ReplicatedStack,
    _ gateway: GatewayProcess,
    _ client: SluiceClient
  ) async throws {
    self.stack = stack
    self.gateway = gateway
    self.client = client
    ledger = Ledger()
    let name = "entity-\(UInt64.random(in: 0 ... .max))"
    entity = try await #require(client.resolveEntities([name]).first)
    let spec = AttributeSpec(name: "counter", valueType: .number, isHot: true)
    attribute = try await #require(client.resolveAttributes([spec]).first).attributeID
    producer = await client.producer(
      ProducerOptions(producerID: RandomID.bytes(), connectWithin: .seconds(30))
    )
  }

  /// Runs a test with a gateway of its own on the suite's stack.
  static func run(
    primary: String? = nil,
    options: [String] = [],
    _ body: (ReadWorld) async throws -> Void
  ) async throws {
    let stack = try #require(ReplicatedStack.current)
    let gateway = try await GatewayProcess.start(
      primary ?? stack.dsn(.primary),
      options: stack.options + options
    )
    let client = try SluiceClient([gateway.address])
    do {
      let world = try await ReadWorld(stack, gateway, client)
      try await world.write()
      try await world.waitForAll()
      try await body(world)
    } catch {
      await client.close()
      try await stack.heal()
      throw HarnessError("\(error); the gateway's log: \(gateway.process.errors)")
    }
    await client.close()
    try await gateway.terminate()
  }

  // MARK: Writing

  /// Writes the next number and waits until it is durable.
  ///
  /// - Returns: the number and its token.
  @discardableResult
  func write() async throws -> (number: Int, token: [UInt8]) {
    let number = await ledger.count + 1
    var columns = ColumnsBuilder()
    columns.appendNumber(
      Double(number),
      entityID: entity,
      attributeID: attribute,
      observedAtMicroseconds: Series.start + Int64(number)
    )
    try await producer.send(columns)
    try await producer.waitUntilDurable(UInt64(number))
    await ledger.append(ContinuousClock.now)
    return (number, await producer.token)
  }

  // MARK: Reading

  /// What the entity is called.
  func externalKey() async throws -> String {
    let request = GetEntityRequest(by: .entityID(entity), read: ReadOptions(level: .strong))
    return try await #require(client.getEntity(request).entity).externalKey
  }

  /// What a read saw.
  struct Seen: Sendable {
    /// The entity's number; 0 when it was not there yet.
    var number: Int
    var freshness: Freshness
  }

  /// Reads the number and checks the answer against what its proof claims.
  func read(
    _ options: ReadOptions,
    of client: SluiceClient? = nil,
    within limit: Duration = .seconds(10),
    sourceLocation: SourceLocation = #_sourceLocation
  ) async throws -> Seen {
    let start = ContinuousClock.now
    let response: GetEntityResponse = try await (client ?? self.client).read(
      "sluice.v1.EntityService",
      "GetEntity",
      GetEntityRequest(by: .entityID(entity), read: options),
      within: limit
    )
    let freshness = try #require(response.freshness, sourceLocation: sourceLocation)
    var number = 0
    if case .number(let value) = response.entity?.values.first?.value { number = Int(value) }
    // Whatever was acknowledged that long before the gateway had the answer is in it; the read
    // began before that.
    let bound = Duration.milliseconds(freshness.stalenessBoundMilliseconds)
    let promised = await ledger.highest(at: start - bound)
    #expect(
      number >= promised,
      "\(freshness.node) claims at most \(bound), which is \(promised)",
      sourceLocation: sourceLocation
    )
    return Seen(number: number, freshness: freshness)
  }

  /// Reads until an answer satisfies a condition; each answer is checked.
  func readUntil(
    _ what: String,
    _ options: ReadOptions,
    within limit: Duration = .seconds(30),
    _ condition: (Seen) -> Bool
  ) async throws {
    try await eventually(what, within: limit) {
      do {
        return condition(try await read(options))
      } catch ClientError.status(let status) where status.reason == "ENTITY_NOT_FOUND" {
        // Made a moment ago, and not there yet.
        return false
      }
    }
  }

  static func eventual(_ milliseconds: Int64, degraded: Bool = false) -> ReadOptions {
    ReadOptions(
      level: .eventual,
      maxStalenessMilliseconds: milliseconds,
      allowDegraded: degraded
    )
  }

  static func atLeast(_ token: [UInt8], degraded: Bool = false) -> ReadOptions {
    ReadOptions(level: .atLeast, token: token, allowDegraded: degraded)
  }

  static func analytics(
    _ milliseconds: Int64 = 0,
    degraded: Bool = false,
    monotonic: Bool = false
  ) -> ReadOptions {
    ReadOptions(
      level: .analytics,
      maxStalenessMilliseconds: milliseconds,
      allowDegraded: degraded,
      isMonotonic: monotonic
    )
  }

  /// The reason of the status that a read ends with; nil when it does not.
  func refusal(_ options: ReadOptions) async throws -> String? {
    do {
      _ = try await read(options)
      return nil
    } catch let error as ClientError {
      guard case .status(let status) = error else { throw error }
      return status.reason
    }
  }

  // MARK: Locks

  /// Runs `body` while a statement's locks are held on the primary, until it calls `release`.
  func holding(_ statement: String, _ body: () async throws -> Void) async throws {
    async let holder = stack.sql(
      .primary,
      "SET application_name = 'holder'; BEGIN; \(statement); SELECT pg_sleep(120);"
    )
    do {
      try await eventually("the lock is held") {
        let sleeping = "application_name = 'holder' AND wait_event = 'PgSleep'"
        let count = "SELECT count(*) FROM pg_stat_activity WHERE \(sleeping)"
        return try await stack.sql(.primary, count) == "1"
      }
      try await body()
    } catch {
      try await release()
      _ = try? await holder
      throw error
    }
    try await release()
    // Its session was ended: that is how it ends.
    _ = try? await holder
  }

  /// Ends what `holding` holds.
  func release() async throws {
    try await stack.sql(
      .primary,
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holder'"
    )
  }

  // MARK: Nodes

  /// A node as the gateway shows it.
  func node(_ name: String) async throws -> Node {
    try await #require(client.status().nodes.first { $0.name == name })
  }

  /// Waits until a node's circuit breaker is in a state.
  func waitFor(_ name: String, _ state: BreakerState) async throws {
    try await eventually("\(name) is \(state)", within: .seconds(60)) {
      try await node(name).state == state
    }
  }

  /// Waits until every node holds all that was written so far.
  func waitForAll() async throws {
    for name in ["replica-1", "replica-2", "warehouse"] { try await waitFor(name, .closed) }
    let all = await ledger.count
    for name in ["replica-1", "replica-2"] {
      try await only(name) {
        try await readUntil("\(name) has everything", ReadWorld.eventual(3_600_000)) {
          $0.number >= all && $0.freshness.node == name
        }
      }
    }
    try await readUntil("the warehouse has everything", ReadWorld.analytics(degraded: true)) {
      $0.number >= all
    }
  }

  /// Drains every other replica while `body` runs.
  func only(_ name: String, _ body: () async throws -> Void) async throws {
    let other = name == "replica-1" ? "replica-2" : "replica-1"
    try await setDrained(other, true)
    try await body()
    try await setDrained(other, false)
    try await waitFor(other, .closed)
  }

  func setDrained(_ name: String, _ isDrained: Bool) async throws {
    let node: Node = try await client.call(
      "sluice.v1.AdminService",
      "SetNodeDrained",
      SetNodeDrainedRequest(node: name, drained: isDrained)
    )
    #expect(node.state == .drained || !isDrained)
  }
}
