import Client
import Glibc
import Synchronization
import Wire

// What one producer does: numbers as fast as it may, until it is told to stop.

/// Set by the handler of SIGTERM; an atomic store is all a handler may do.
private let isStopping = Atomic(false)

/// Has SIGTERM end the producers in order.
///
/// A closure made in `main` would belong to the main actor and trap when the signal comes on
/// another thread.
func stopOnSIGTERM() {
  _ = signal(SIGTERM) { _ in isStopping.store(true, ordering: .relaxed) }
}

/// The life of one producer.
struct ProducerPlan: Sendable {
  private let arguments: ProducerArguments
  private let index: Int
  private let log: ProducerLog

  init(_ arguments: ProducerArguments, index: Int, log: ProducerLog) {
    self.arguments = arguments
    self.index = index
    self.log = log
  }

  func run(_ producer: Producer) async throws {
    var notes = PromiseNotes(log, index: index)
    var next = await producer.position.produced + 1
    while !isStopping.load(ordering: .relaxed) {
      let size = UInt64(arguments.batchValues)
      guard let range = try await send(columns(next..<next + size), producer, &notes) else { break }
      guard range.lowerBound == next else {
        throw ClientError.protocolViolation("numbered \(range.lowerBound), expected \(next)")
      }
      next = range.upperBound + 1
      await notes.update(producer)
      if arguments.pauseMilliseconds > 0 {
        try await Task.sleep(for: .milliseconds(arguments.pauseMilliseconds))
      } else {
        await Task.yield()
      }
    }
    let last = next - 1
    try await producer.waitUntilDurable(last)
    await notes.update(producer)
    try await producer.finish()
    log.note("finished \(index) \(last)")
  }

  /// Sends a batch; one that a full spool refuses is tried again.
  ///
  /// That is what a full disk asks of its user. Nil when it was told to stop before there was room.
  private func send(
    _ columns: ColumnsBuilder,
    _ producer: Producer,
    _ notes: inout PromiseNotes
  ) async throws -> ClosedRange<UInt64>? {
    var isFull = false
    while true {
      do throws(ClientError) {
        let range = try await producer.send(columns)
        if isFull { log.note("room \(index)") }
        return range
      } catch {
        guard error.isSpoolFull else { throw error }
        if !isFull { log.note("full \(index) \(error)") }
        isFull = true
        await notes.update(producer)
        guard !isStopping.load(ordering: .relaxed) else { return nil }
        try await Task.sleep(for: .milliseconds(50))
      }
    }
  }

  private func columns(_ sequences: Range<UInt64>) -> ColumnsBuilder {
    let base = arguments.base + Int64(index) * ProducerArguments.spacing
    var columns = ColumnsBuilder()
    for sequence in sequences {
      columns.appendNumber(
        Double(sequence) * 0.5,
        entityID: arguments.entity,
        attributeID: arguments.attribute,
        observedAtMicroseconds: base + Int64(sequence)
      )
    }
    return columns
  }
}
