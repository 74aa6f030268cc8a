import Client
import EventLoop
import Foundation
import Testing
import Wire

// Everything a test works with, and values whose loss or doubling shows.

/// The parent of all integration tests: one at a time, for each wants the machine for itself.
@Suite("integration", .serialized, .needsStack, .timeLimit(.minutes(5)))
enum Integration {}

/// A database, a gateway on it and a client of the gateway.
final class Fixture: Sendable {
  let database: Database
  let gateway: GatewayProcess
  let client: SluiceClient
  private let others = Clients()

  private init(_ database: Database, _ gateway: GatewayProcess, _ client: SluiceClient) {
    self.database = database
    self.gateway = gateway
    self.client = client
  }

  /// Runs a test with a fresh database and gateway, and removes both.
  ///
  /// A client waits for its gateway for ever, as it should: after `limit` the clients are closed,
  /// so that every wait of a test ends.
  static func run(
    _ options: [String] = [],
    on stack: Stack? = Stack.shared,
    behind pooler: Pooler? = nil,
    within limit: Duration = .seconds(90),
    _ body: (Fixture) async throws -> Void
  ) async throws {
    let database = try await Database.create(in: #require(stack))
    do {
      try await database.migrate()
      let pooled = pooler.map { ["--pooled-dsn", $0.dsn(database)] } ?? []
      let gateway = try await GatewayProcess.start(database.dsn, options: options + pooled)
      let client = try SluiceClient([gateway.address])
      let fixture = Fixture(database, gateway, client)
      let watchdog = Task {
        try await Task.sleep(for: limit)
        Issue.record("not done within \(limit); the gateway's log: \(gateway.process.errors)")
        await fixture.closeClients()
      }
      defer { watchdog.cancel() }
      do {
        try await body(fixture)
      } catch {
        await fixture.closeClients()
        throw HarnessError("\(error); the gateway's log: \(gateway.process.errors)")
      }
      await fixture.closeClients()
      if gateway.process.status == nil { try await gateway.kill() }
    } catch {
      try await database.drop()
      throw error
    }
    try await database.drop()
  }

  private actor Clients {
    var all: [SluiceClient] = []

    func append(_ client: SluiceClient) { all.append(client) }
  }

  /// Another client, closed at the end.
  func connect(_ addresses: SocketAddress...) async throws -> SluiceClient {
    let client = try SluiceClient(addresses)
    await others.append(client)
    return client
  }

  private func closeClients() async {
    for client in await others.all + [client] { await client.close() }
  }

  /// A producer with an identity of its own, and a window that a slow machine empties soon.
  func producer(
    _ durability: Durability = .durable,
    id: [UInt8] = RandomID.bytes(),
    windowBytesMax: Int = 128 << 10,
    of client: SluiceClient? = nil
  ) async -> Producer {
    await (client ?? self.client).producer(
      ProducerOptions(
        producerID: id,
        durability: durability,
        windowBytesMax: windowBytesMax,
        connectWithin: .seconds(30)
      )
    )
  }

  /// Series of one number attribute over this many entities.
  func series(
    _ count: Int = 1,
    isHot: Bool = false
  ) async throws -> [Series] {
    let keys = (0..<count).map { "entity-\($0)" }
    let entities = try await client.resolveEntities(keys)
    let attribute = try await attribute("count", .number, isHot: isHot)
    return entities.map { Series(entity: $0, attribute: attribute) }
  }

  /// The id of an attribute, which is created.
  func attribute(
    _ name: String,
    _ type: ValueType,
    isHot: Bool = false
  ) async throws -> UInt32 {
    let spec = AttributeSpec(name: name, valueType: type, isHot: isHot)
    return try await #require(client.resolveAttributes([spec]).first).attributeID
  }

  /// Waits until this many values are stored.
  func waitForValues(_ count: Int) async throws {
    try await eventually("\(count) values are stored") {
      try await database.count("SELECT count(*) FROM sluice.entity_values") >= count
    }
  }

  /// Claims that every series holds exactly its values, each once.
  func expectExact(
    _ series: [Series],
    sourceLocation: SourceLocation = #_sourceLocation
  ) async throws {
    let rows = try await database.sql(
      """
      SELECT entity_id, count(*), count(DISTINCT number), coalesce(min(number), 0),
        coalesce(max(number), 0)
      FROM sluice.entity_values GROUP BY entity_id ORDER BY entity_id
      """
    )
    let expected =
      series
      .filter { $0.next > 1 }
      .sorted { $0.entity < $1.entity }
      .map { "\($0.entity)|\($0.next - 1)|\($0.next - 1)|1|\($0.next - 1)" }
    let found = rows.isEmpty ? [] : rows.split(separator: "\n").map(String.init)
    let wrong = zip(found, expected).first { $0 != $1 }
    #expect(found.count == expected.count, sourceLocation: sourceLocation)
    #expect(
      found == expected,
      "the first difference: \(String(describing: wrong))",
      sourceLocation: sourceLocation
    )
    let stray = try await database.count("SELECT count(*) FROM sluice.entity_values_default")
    #expect(stray == 0, "the default partition stays empty", sourceLocation: sourceLocation)
  }
}

/// Numbers 1, 2, 3, … of one entity, one microsecond apart.
struct Series: Sendable {
  let entity: Int64
  let attribute: UInt32
  /// The number that comes next.
  private(set) var next = 1

  init(entity: Int64, attribute: UInt32) {
    self.entity = entity
    self.attribute = attribute
  }

  /// Half an hour ago.
  static let start = WallClock.nowUnixMicroseconds() - 1_800_000_000

  /// The next numbers.
  mutating func columns(_ count: Int) -> ColumnsBuilder {
    var columns = ColumnsBuilder()
    for _ in 0..<count {
      columns.appendNumber(
        Double(next),
        entityID: entity,
        attributeID: attribute,
        observedAtMicroseconds: Series.start + Int64(next)
      )
      next += 1
    }
    return columns
  }

  /// Sends batches until there are enough of them, or until told to stop.
  mutating func send(
    _ batches: Int,
    of count: Int,
    through producer: Producer
  ) async throws {
    for _ in 0..<batches { try await producer.send(columns(count)) }
  }
}

/// Load in the background that goes on until it is stopped.
final class Load: Sendable {
  private let task: Task<[Series], any Error>
  private let flag = Flag()

  final class Flag: @unchecked Sendable {
    private let lock = NSLock()
    private var isRaised = false

    func raise() { lock.withLock { isRaised = true } }
    var raised: Bool { lock.withLock { isRaised } }
  }

  /// One producer for each series, sending batches of `count` values without pause.
  init(_ producers: [Producer], _ series: [Series], batchOf count: Int) {
    let flag = flag
    task = Task {
      try await withThrowingTaskGroup(of: (Int, Series).self) { group in
        for (index, producer) in producers.enumerated() {
          let start = series[index]
          group.addTask {
            var series = start
            while !flag.raised { try await producer.send(series.columns(count)) }
            return (index, series)
          }
        }
        var sent = series
        for try await (index, series) in group { sent[index] = series }
        return sent
      }
    }
  }

  /// Stops sending.
  ///
  /// - Returns: the series as far as they were sent.
  func stop() async throws -> [Series] {
    flag.raise()
    return try await task.value
  }
}

/// Ends producers one after the other, each when all it sent is durable.
func finish(_ producers: [Producer]) async throws {
  for producer in producers { try await producer.finish() }
}
