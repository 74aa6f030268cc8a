internal import Client
internal import EventLoop
internal import Wire

// Follows batches from the moment they are sent until they are durable.

/// A producer with a memory: when each batch was sent, and which lines it came from.
///
/// Lives on the client's loop, so that the time of an acknowledgement is taken when it arrives.
actor AckLedger {
  /// Problems kept in full; the others are only counted.
  static let problemsMax = 20

  private nonisolated let client: SluiceClient
  private nonisolated let producer: Producer
  private let isStaged: Bool
  private var batches: [Batch] = []
  private var latencies = LatencyLog()
  private var unplaced: [Reject] = []
  private var rejects = RejectedValues()
  private var isConfirming = false

  private struct Batch {
    let sequences: ClosedRange<UInt64>
    let lines: [SourceLine]
    var rejected: Set<UInt64> = []
  }

  nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe client.unownedExecutor }

  init(_ client: SluiceClient, _ producer: Producer, isStaged: Bool) {
    self.client = client
    self.producer = producer
    self.isStaged = isStaged
  }

  /// A batch on its way.
  struct Sent: Sendable {
    fileprivate let last: UInt64
    fileprivate let at: MonotonicTime
  }

  /// Sends a batch, waiting while too much is on its way.
  ///
  /// - Throws: `ClientError` when the session has failed for good, or the batch is too large.
  func send(_ columns: ColumnsBuilder, _ lines: [SourceLine]) async throws(ClientError) -> Sent {
    let sequences = try await producer.send(columns)
    batches.append(Batch(sequences: sequences, lines: lines))
    return Sent(last: sequences.upperBound, at: .now())
  }

  /// Whether `send` would not wait.
  func hasRoom(for columns: ColumnsBuilder) async -> Bool { await producer.hasRoom(for: columns) }

  /// Puts a batch into the producer's spool; nothing is remembered of it here.
  ///
  /// - Returns: what to confirm, for one batch at a time; nil while another is being confirmed.
  /// - Throws: `ClientError` when the spool is full or the session has failed for good.
  func keep(_ columns: ColumnsBuilder) async throws(ClientError) -> Sent? {
    let sequences = try await producer.send(columns)
    guard !isConfirming else { return nil }
    isConfirming = true
    return Sent(last: sequences.upperBound, at: .now())
  }

  /// Waits until a batch is acknowledged as the session promises, notes how long that took, and
  /// then until it is durable.
  ///
  /// - Throws: `ClientError` when the session has failed for good.
  func confirm(_ sent: Sent) async throws(ClientError) {
    defer { isConfirming = false }
    if isStaged { try await producer.waitUntilStaged(sent.last) }
    if !isStaged { try await producer.waitUntilDurable(sent.last) }
    latencies.append((MonotonicTime.now() - sent.at) / .milliseconds(1))
    if isStaged { try await producer.waitUntilDurable(sent.last) }
    await settle()
  }

  /// How far the producer is, and what was rejected.
  func progress() async -> LedgerProgress {
    await settle()
    return LedgerProgress(
      position: await producer.position,
      counts: await producer.counts,
      reopenings: await producer.reopenings,
      token: await producer.token,
      lost: await producer.lostRanges,
      rejects: rejects,
      latencies: latencies.summary
    )
  }

  /// Where the producer stands, and nothing else: cheap enough for a progress line.
  func position() async -> ProducerPosition { await producer.position }

  /// How long the newest acknowledgement took, in milliseconds; nil before the first.
  var newestLatency: Double? { latencies.newest }

  /// Gives rejects their lines, then forgets batches that nothing more can be said about.
  private func settle() async {
    let news = unplaced + (await producer.takeRejects())
    let durable = await producer.position.durable
    unplaced.removeAll()
    for reject in news { place(reject) }
    batches.removeAll { $0.sequences.upperBound <= durable }
  }

  private func place(_ reject: Reject) {
    guard let index = batches.firstIndex(where: { $0.sequences.contains(reject.seq) }) else {
      // Told again after a reconnect, or told before `send` has returned.
      if let last = batches.last, reject.seq > last.sequences.upperBound { unplaced.append(reject) }
      return
    }
    guard batches[index].rejected.insert(reject.seq).inserted else { return }
    rejects.count += 1
    guard rejects.first.count < Self.problemsMax else { return }
    let line = batches[index].lines[Int(reject.seq - batches[index].sequences.lowerBound)]
    rejects.first.append(
      InputProblem(source: line, advice: RejectText.advice(reject.reason))
    )
  }
}

/// The values that the gateway did not take.
struct RejectedValues: Sendable {
  var count = 0
  /// The first of them.
  var first: [InputProblem] = []
}

/// A look at a producer.
struct LedgerProgress: Sendable {
  let position: ProducerPosition
  let counts: Counts
  let reopenings: Int
  let token: [UInt8]
  /// What a failover of the database lost after it was acknowledged.
  let lost: [ClosedRange<UInt64>]
  let rejects: RejectedValues
  let latencies: Latencies
}

extension LedgerProgress {
  /// Values that a failover lost.
  var lostCount: UInt64 { lost.reduce(0) { $0 + UInt64($1.count) } }

  /// A warning about values that a failover lost; empty when it lost none.
  var lostText: String {
    let ranges = lost.map { "\($0.lowerBound)-\($0.upperBound)" }.joined(separator: ", ")
    return lost.isEmpty
      ? ""
      : "warning: a failover of the database lost \(lostCount) acknowledged values (\(ranges));"
        + " lost_ranges keeps the record\n"
  }
}

/// Why values are rejected, in words.
enum RejectText {
  /// What is wrong and what to do.
  static func advice(_ reason: RejectReason) -> String {
    switch reason {
    case .unspecified: "rejected for a reason that this version does not know"
    case .unknownEntity: "rejected: the entity was deleted meanwhile"
    case .unknownAttribute: "rejected: the attribute was deleted meanwhile"
    case .wrongType: "rejected: the attribute has another type"
    case .timeOutOfRange: "rejected: the time is before the year 1 or cannot be stored"
    case .timeInFuture:
      "rejected: the time lies in the future; check the clock, the offset and --precision"
    case .textNotUtf8: "rejected: the text is not UTF-8"
    case .textHasNul: "rejected: the text has a NUL character, which PostgreSQL cannot store"
    case .tooLong: "rejected: the value is longer than the gateway allows"
    case .notJson: "rejected: not JSON that PostgreSQL can store"
    case .jsonTooDeep: "rejected: the JSON is nested too deeply"
    case .refusedByDatabase: "rejected by the database; its log says why"
    }
  }
}
