internal import Client
internal import EventLoop
internal import Synchronization
internal import Wire

// Unary calls: callers that each wait for their answer before they ask again, on one connection.

/// `callers` tasks calling `method=health|get|upsert|write-read|mix` for `seconds` after `warmup`.
///
/// Latency is the time of one call: a closed loop, as its peers are. Of `write-read` it is the time
/// of an upsert and of the STRONG read that sees it; `mix` reads STRONG and EVENTUAL in turn.
enum Calls {
  private struct Plan: Sendable {
    let client: SluiceClient
    let method: String
    let series: Series?
    let level: ReadLevel

    /// - Throws: `ArgumentError`, `ClientError`, `SystemError`.
    init(_ arguments: Arguments) async throws {
      client = try SluiceClient([arguments.gateway()])
      method = arguments.text("method", "health")
      guard ["health", "get", "upsert", "write-read", "mix"].contains(method) else {
        throw ArgumentError(text: "unknown method '\(method)'")
      }
      series = method == "health" ? nil : try await Series(client, arguments)
      level = arguments.text("level", "strong") == "strong" ? .strong : .eventual
    }
  }

  static func run(_ arguments: Arguments) async throws {
    let plan = try await Plan(arguments)
    let window = Window(
      warmup: try arguments.duration("warmup", 1),
      length: try arguments.duration("seconds", 3)
    )
    let recorder = Recorder()
    let hits = Atomic<Int>(0)
    let marks = Marks(window)
    let watching = Task {
      await Marks.sleep(until: window.begin)
      return await Timeline.watch { UInt64(recorder.values) }
    }
    let outcome = await everyCaller(try arguments.int("callers", 64), plan.client) { caller in
      var generator = Generator(seed: UInt64(caller))
      var turn = 0
      while true {
        let start = MonotonicTime.now()
        guard start < window.end else { return }
        let isHit = try await call(plan, turn, &generator)
        turn += 1
        let end = MonotonicTime.now()
        guard window.contains(end) else { continue }
        recorder.record(from: start, to: end, values: 1)
        if isHit { hits.add(1, ordering: .relaxed) }
      }
    }
    try outcome.get()
    await marks.finish()
    watching.cancel()
    let timeline = await watching.value
    await plan.client.close()
    let seconds = (window.end - window.begin) / .seconds(1)
    Output.result(
      [
        ("values", .count(recorder.values)), ("seconds", .number(seconds)),
        ("rate", .number(Double(recorder.values) / seconds)),
        ("hits", .count(hits.load(ordering: .relaxed))), ("timeline", .pairs(timeline.points)),
      ] + recorder.fields
    )
  }

  /// One call; returns whether the cache answered it.
  private static func call(
    _ plan: Plan,
    _ turn: Int,
    _ generator: inout Generator
  ) async throws -> Bool {
    guard let series = plan.series else {
      let answer: HealthCheckResponse = try await plan.client.call(
        "grpc.health.v1.Health",
        "Check",
        HealthCheckRequest()
      )
      guard answer.status == .serving else { throw ArgumentError(text: "not serving") }
      return false
    }
    let id = series.entities[Int(generator.next() % UInt64(series.entities.count))]
    switch plan.method {
    case "upsert":
      _ = try await upsert(plan, series, id, &generator)
      return false
    case "write-read":
      let written = try await upsert(plan, series, id, &generator)
      let answer = try await get(plan, id, .strong)
      guard let entity = answer.entity, entity.version >= written else {
        throw ArgumentError(text: "a STRONG read did not see the write before it")
      }
      return false
    default:
      let isEventual = plan.method == "mix" && turn % 2 == 1
      let answer = try await get(plan, id, isEventual ? .eventual : plan.level)
      return answer.freshness?.cache == .hit
    }
  }

  private static func get(
    _ plan: Plan,
    _ id: Int64,
    _ level: ReadLevel
  ) async throws -> GetEntityResponse {
    let request = GetEntityRequest(by: .entityID(id), read: ReadOptions(level: level))
    let answer = try await plan.client.getEntity(request)
    guard answer.entity?.entityID == id else { throw ArgumentError(text: "wrong entity") }
    return answer
  }

  /// Writes one number; returns the version that it made.
  private static func upsert(
    _ plan: Plan,
    _ series: Series,
    _ id: Int64,
    _ generator: inout Generator
  ) async throws -> Int64 {
    let attribute = series.hotAttributes[Int(generator.next() % UInt64(Series.attributeCount))]
    let value = AttributeValue(
      attributeID: attribute,
      value: .number(Double(generator.next() % 1_000_000) * 0.5)
    )
    return try await plan.client.upsertEntity(
      UpsertEntityRequest(by: .entityID(id), values: [value])
    ).version
  }

  /// Runs `body` for every caller on the client's loop until all have returned.
  static func everyCaller(
    _ count: Int,
    _ client: SluiceClient,
    _ body: @escaping @Sendable (Int) async throws -> Void
  ) async -> Result<Void, any Error> {
    await client.run {
      do {
        try await withThrowingTaskGroup(of: Void.self) { group in
          for caller in 0..<count { group.addTask { try await body(caller) } }
          try await group.waitForAll()
        }
        return .success(())
      } catch {
        return .failure(error)
      }
    }
  }
}

/// SplitMix64: the same keys in every run.
struct Generator {
  private var state: UInt64

  /// Seeds that are neighbours begin far from each other: else their sequences would be one, a step
  /// apart, and callers who wait for one answer would all ask for the same key from then on.
  init(seed: UInt64) { state = Generator.mixed(seed &+ 1) }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    return Generator.mixed(state)
  }

  private static func mixed(_ state: UInt64) -> UInt64 {
    var mixed = (state ^ (state >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}
