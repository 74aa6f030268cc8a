import Client
import EventLoop
import Foundation
import Testing
import Wire

// Two gateways with one cache, and a number that grows, so that every answer can be judged.

/// One entity whose hot value is 1, 2, 3, …, written through the first gateway and read through the
/// second.
final class CacheWorld: Sendable {
  let fixture: Fixture
  let redis: RedisProcess
  /// The gateway that reads.
  let reading: GatewayProcess
  /// A client of it.
  let reader: SluiceClient
  /// The entity's name; its id is in `entity`.
  let name = "counter"
  let entity: Int64
  let attribute: UInt32
  private let ledger = Ledger()

  /// When each number was acknowledged.
  private actor Ledger {
    private var acknowledged: [ContinuousClock.Instant] = []
    private var numbers: [[UInt8]: Int] = [:]
    private(set) var token: [UInt8] = []

    var count: Int { acknowledged.count }

    func append(_ time: ContinuousClock.Instant, _ token: [UInt8]) {
      acknowledged.append(time)
      self.token = token
      numbers[token] = count
    }

    /// The highest number that a token covers.
    func number(of token: [UInt8]) -> Int { numbers[token] ?? 0 }

    /// The highest number acknowledged at a time or before.
    func highest(at time: ContinuousClock.Instant) -> Int {
      acknowledged.lastIndex { $0 <= time }.map { $0 + 1 } ?? 0
    }
  }

  private init(_ fixture: Fixture, _ redis: RedisProcess, _ reading: GatewayProcess) async throws {
    self.fixture = fixture
    self.redis = redis
    self.reading = reading
    reader = try await fixture.connect(reading.address)
    attribute = try await fixture.attribute("n", .number, isHot: true)
    entity = try await #require(fixture.client.resolveEntities([name]).first)
  }

  static func run(_ body: (CacheWorld) async throws -> Void) async throws {
    let redis = try await RedisProcess.start()
    try await Fixture.run(redis.options) { fixture in
      let reading = try await GatewayProcess.start(fixture.database.dsn, options: redis.options)
      do {
        try await body(CacheWorld(fixture, redis, reading))
      } catch {
        throw HarnessError("\(error); the reading gateway's log: \(reading.process.errors)")
      }
      #expect(try await reading.terminate() == 0)
    }
    await redis.signal(SIGCONT)
    try await redis.kill()
  }

  // MARK: Writing

  /// Upserts the next number through the first gateway.
  @discardableResult
  func write(sourceLocation: SourceLocation = #_sourceLocation) async throws -> Int {
    let number = await ledger.count + 1
    let value = AttributeValue(attributeID: attribute, value: .number(Double(number)))
    let request = UpsertEntityRequest(by: .entityID(entity), values: [value])
    let response = try await fixture.client.upsertEntity(request)
    await ledger.append(ContinuousClock.now, response.token)
    return number
  }

  /// Sends the next number with a producer of the first gateway and waits until it is durable.
  @discardableResult
  func write(through producer: Producer) async throws -> Int {
    let number = await ledger.count + 1
    var columns = ColumnsBuilder()
    columns.appendNumber(
      Double(number),
      entityID: entity,
      attributeID: attribute,
      observedAtMicroseconds: WallClock.nowUnixMicroseconds()
    )
    let range = try await producer.send(columns)
    try await producer.waitUntilDurable(range.upperBound)
    await ledger.append(ContinuousClock.now, await producer.token)
    return number
  }

  // MARK: Reading

  /// What a read saw.
  struct Seen: Sendable {
    /// 0 when there was none.
    var number: Int
    var freshness: Freshness
  }

  static func eventual(_ milliseconds: Int64) -> ReadOptions {
    ReadOptions(level: .eventual, maxStalenessMilliseconds: milliseconds)
  }

  /// An hour: whatever the cache has is good enough.
  static let anyAge = eventual(3_600_000)

  /// The newest write that was acknowledged, whoever made it.
  func atLeastNewest() async -> ReadOptions {
    ReadOptions(level: .atLeast, token: await ledger.token)
  }

  /// Reads the number and checks the answer against what its proof claims, and against its level.
  @discardableResult
  func read(
    _ options: ReadOptions = CacheWorld.anyAge,
    by key: GetEntityRequest.Key? = nil,
    of client: SluiceClient? = nil,
    sourceLocation: SourceLocation = #_sourceLocation
  ) async throws -> Seen {
    let start = ContinuousClock.now
    let written = await ledger.count
    let request = GetEntityRequest(by: key ?? .entityID(entity), read: options)
    let response: GetEntityResponse = try await (client ?? reader).read(
      "sluice.v1.EntityService",
      "GetEntity",
      request
    )
    let freshness = try #require(response.freshness, sourceLocation: sourceLocation)
    var number = 0
    if case .number(let value) = response.entity?.values.first?.value { number = Int(value) }
    let bound = Duration.milliseconds(freshness.stalenessBoundMilliseconds)
    var promised = await ledger.highest(at: start - bound)
    let asked = Duration.milliseconds(options.maxStalenessMilliseconds)
    switch options.level {
    case .eventual: promised = max(promised, await ledger.highest(at: start - asked))
    case .atLeast: promised = max(promised, await ledger.number(of: options.token))
    case .strong: promised = max(promised, written)
    case .unspecified, .analytics: break
    }
    #expect(
      number >= promised,
      "\(freshness.node) claims at most \(bound)",
      sourceLocation: sourceLocation
    )
    return Seen(number: number, freshness: freshness)
  }

  /// Reads until the cache answers.
  func readUntilHit(
    _ options: ReadOptions = CacheWorld.anyAge,
    by key: GetEntityRequest.Key? = nil
  ) async throws {
    try await eventually("the cache answers", within: .seconds(30)) {
      let seen = try await read(options, by: key)
      #expect((seen.freshness.cache == .hit) == (seen.freshness.source == .cache))
      return seen.freshness.cache == .hit
    }
  }

  /// Reads until an answer of any age holds everything that was written.
  ///
  /// What is kept may be an hour old, and lives for five minutes: without an invalidation nothing
  /// changes here.
  func readUntilNewest() async throws {
    let newest = await ledger.count
    try await eventually("the cache was told of \(newest)", within: .seconds(30)) {
      try await read().number == newest
    }
  }

  // MARK: Figures

  func figure(_ name: String, of client: SluiceClient? = nil) async throws -> Double {
    let figures = try await (client ?? reader).status().figures
    return try #require(figures.first { $0.name == name }?.value)
  }

  func state(of client: SluiceClient? = nil) async throws -> BreakerState? {
    try await (client ?? reader).status().nodes.first { $0.name == "cache" }?.state
  }
}
