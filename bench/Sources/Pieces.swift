internal import Client
internal import EventLoop
internal import Wire

// A fixed number of pieces of work, one after the other, for what is counted and not timed.

/// `count` pieces of `kind=batch|health|get`, each begun when the one before has ended.
///
/// Nothing is under way at either end, so that what is counted in between belongs to them.
enum Pieces {
  static func run(_ arguments: Arguments) async throws {
    let count = try arguments.int("count", 500)
    let warm = try arguments.int("warm", 50)
    let sessions = try await Sessions(arguments)
    let kind = arguments.text("kind", "batch")
    try await sessions.each { _, producer in
      for index in 0..<warm { try await piece(kind, index, sessions, producer) }
    }
    Output.beginAtRest()
    let begin = MonotonicTime.now()
    try await sessions.each { _, producer in
      for index in warm..<warm + count { try await piece(kind, index, sessions, producer) }
    }
    let seconds = (MonotonicTime.now() - begin) / .seconds(1)
    Output.end()
    await sessions.close()
    Output.result([("values", .count(count)), ("seconds", .number(seconds))])
  }

  private static func piece(
    _ kind: String,
    _ index: Int,
    _ sessions: Sessions,
    _ producer: Producer
  ) async throws {
    switch kind {
    case "batch":
      let start = index * sessions.batch
      let columns = sessions.series.batch(start..<start + sessions.batch)
      try await producer.waitUntilDurable(producer.send(columns).upperBound)
    case "get":
      let entities = sessions.series.entities
      let id = entities[index % entities.count]
      let request = GetEntityRequest(by: .entityID(id), read: ReadOptions(level: .strong))
      _ = try await sessions.client.getEntity(request)
    case "health":
      let _: HealthCheckResponse = try await sessions.client.call(
        "grpc.health.v1.Health",
        "Check",
        HealthCheckRequest()
      )
    default: throw ArgumentError(text: "unknown kind '\(kind)'")
    }
  }
}
