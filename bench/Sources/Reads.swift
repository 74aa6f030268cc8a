internal import Client
internal import EventLoop
internal import Wire

// Reads of stored values: one series, a range of some length, all pages of it.

/// `callers` tasks reading `range` seconds of one series, `kind=history|aggregate`, for `seconds`.
///
/// Stored values are `bench/harness`'s day: `entities` by ten attributes from `base` on for
/// `stored` seconds. Series and begin of a range are random, the same in every run.
enum Reads {
  private struct Plan: Sendable {
    let client: SluiceClient
    let entities: [Int64]
    let attributes: [UInt32]
    let isAggregate: Bool
    let base: Int64
    let stored: Int64
    let range: Int64
    let bucket: Int64
  }

  static func run(_ arguments: Arguments) async throws {
    let client = try SluiceClient([arguments.gateway()])
    let series = try await Series(client, arguments)
    let plan = Plan(
      client: client,
      entities: series.entities,
      attributes: series.coldAttributes,
      isAggregate: arguments.text("kind", "history") == "aggregate",
      base: series.base,
      stored: Int64(try arguments.int("stored", 86_400)) * 1_000_000,
      range: Int64(try arguments.int("range", 3_600)) * 1_000_000,
      bucket: Int64(try arguments.int("bucket", 300)) * 1_000_000
    )
    let window = Window(
      warmup: try arguments.duration("warmup", 0.5),
      length: try arguments.duration("seconds", 3)
    )
    let recorder = Recorder()
    let marks = Marks(window)
    let callers = try arguments.int("callers", 1)
    let outcome = await Calls.everyCaller(callers, client) { caller in
      var generator = Generator(seed: UInt64(caller) + 1)
      while true {
        let start = MonotonicTime.now()
        guard start < window.end else { return }
        let points = try await read(plan, &generator)
        let end = MonotonicTime.now()
        if window.contains(start) { recorder.record(from: start, to: end, values: points) }
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

  /// Reads one range; returns how many points or buckets came.
  private static func read(_ plan: Plan, _ generator: inout Generator) async throws -> Int {
    let entity = plan.entities[Int(generator.next() % UInt64(plan.entities.count))]
    let attribute = plan.attributes[Int(generator.next() % UInt64(plan.attributes.count))]
    let room = UInt64(max(1, plan.stored - plan.range))
    let start = plan.base + Int64(generator.next() % room)
    let options = ReadOptions(level: .strong)
    guard !plan.isAggregate else {
      let request = AggregateHistoryRequest(
        entityIDs: [entity],
        attributeIDs: [attribute],
        startMicroseconds: start,
        endMicroseconds: start + plan.range,
        bucketWidthMicroseconds: plan.bucket,
        read: options
      )
      return try await plan.client.aggregateHistory(request).counts.count
    }
    var request = QueryHistoryRequest(
      entityIDs: [entity],
      attributeIDs: [attribute],
      startMicroseconds: start,
      endMicroseconds: start + plan.range,
      read: options
    )
    var count = 0
    repeat {
      let page = try await plan.client.queryHistory(request)
      count += page.columns.count
      request.pageToken = page.nextPageToken
    } while !request.pageToken.isEmpty
    return count
  }
}
