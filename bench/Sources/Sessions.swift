internal import Client
internal import EventLoop
internal import Synchronization
internal import Wire

// Producers of a measurement, opened before it begins.

/// What every ingest measurement shares: a client, what it writes, and open sessions.
struct Sessions: Sendable {
  let client: SluiceClient
  let series: Series
  let producers: [Producer]
  let batch: Int

  /// Opens `sessions` producers and waits for the last.
  ///
  /// - Throws: `ClientError`, `ArgumentError`, `SystemError`.
  init(_ arguments: Arguments) async throws {
    client = try SluiceClient([arguments.gateway()])
    series = try await Series(client, arguments)
    batch = try arguments.int("batch", 1_000)
    let window = try arguments.int("window", 4 << 20)
    let durability: Durability = arguments.text("lane", "durable") == "staged" ? .staged : .durable
    var producers: [Producer] = []
    for _ in 0..<(try arguments.int("sessions", 8)) {
      let options = ProducerOptions(
        producerID: RandomID.bytes(),
        durability: durability,
        clientName: "bench",
        windowBytesMax: window,
        connectWithin: .seconds(30)
      )
      producers.append(await client.producer(options))
    }
    for producer in producers { try await producer.waitUntilOpen() }
    self.producers = producers
  }

  /// Runs `body` for every producer, on the client's loop, until all have returned.
  ///
  /// - Throws: the first error of any.
  func each(_ body: @escaping @Sendable (Int, Producer) async throws -> Void) async throws {
    let outcome: Result<Void, any Error> = await client.run {
      do {
        try await withThrowingTaskGroup(of: Void.self) { group in
          for (index, producer) in producers.enumerated() {
            group.addTask { try await body(index, producer) }
          }
          try await group.waitForAll()
        }
        return .success(())
      } catch {
        return .failure(error)
      }
    }
    try outcome.get()
  }

  /// Closes every session; what is not confirmed stays so.
  func close() async { await client.close() }
}

/// Values confirmed, over time.
struct Timeline: Sendable {
  private static let step = Duration.milliseconds(100)

  /// Seconds since the begin, and values confirmed until then.
  let points: [(Double, Double)]

  /// What the producers have had confirmed.
  static func watch(_ producers: [Producer], isStaged: Bool) async -> Timeline {
    await watch {
      var sum: UInt64 = 0
      for producer in producers {
        let position = await producer.position
        sum += isStaged ? position.staged : position.durable
      }
      return sum
    }
  }

  /// Looks ten times a second until its task is cancelled.
  static func watch(_ confirmed: @Sendable () async -> UInt64) async -> Timeline {
    let start = MonotonicTime.now()
    var points: [(Double, Double)] = []
    var before: UInt64?
    while !Task.isCancelled {
      let sum = await confirmed()
      let first = before ?? sum
      before = first
      let passed = (MonotonicTime.now() - start) / .seconds(1)
      points.append((passed, Double(sum - min(sum, first))))
      // Cancelled means that the measurement is over.
      guard (try? await Task.sleep(for: step)) != nil else { break }
    }
    return Timeline(points: points)
  }
}
