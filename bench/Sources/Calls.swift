internal import Client
internal import EventLoop
internal import Wire

// Unary calls: callers that each wait for their answer before they ask again, on one connection.

/// `callers` tasks calling `method=health|get` for `seconds` after `warmup`.
///
/// Latency is the time of one call: a closed loop, as its peers are.
enum Calls {
  static func run(_ arguments: Arguments) async throws {
    let client = try SluiceClient([arguments.gateway()])
    let callers = try arguments.int("callers", 64)
    let isGet = arguments.text("method", "health") == "get"
    let entities = isGet ? try await Series(client, arguments).entities : []
    let level: ReadLevel = arguments.text("level", "strong") == "strong" ? .strong : .eventual
    let window = Window(
      warmup: try arguments.duration("warmup", 1),
      length: try arguments.duration("seconds", 3)
    )
    let recorder = Recorder()
    let marks = Marks(window)
    let outcome = await everyCaller(callers, client) { caller in
      var generator = Generator(seed: UInt64(caller))
      while true {
        let start = MonotonicTime.now()
        guard start < window.end else { return }
        if isGet {
          let id = entities[Int(generator.next() % UInt64(entities.count))]
          let request = GetEntityRequest(by: .entityID(id), read: ReadOptions(level: level))
          let answer = try await client.getEntity(request)
          guard answer.entity?.entityID == id else { throw ArgumentError(text: "wrong entity") }
        } else {
          let answer: HealthCheckResponse = try await client.call(
            "grpc.health.v1.Health",
            "Check",
            HealthCheckRequest()
          )
          guard answer.status == .serving else { throw ArgumentError(text: "not serving") }
        }
        let end = MonotonicTime.now()
        if window.contains(end) { recorder.record(from: start, to: end, values: 1) }
      }
    }
    try outcome.get()
    await marks.finish()
    await client.close()
    let seconds = (window.end - window.begin) / .seconds(1)
    Output.result(
      [
        ("values", .count(recorder.values)), ("seconds", .number(seconds)),
        ("rate", .number(Double(recorder.values) / seconds)),
      ] + recorder.fields
    )
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

  init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = (state ^ (state >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}
