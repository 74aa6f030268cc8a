internal import Client
internal import EventLoop
internal import Formats
internal import Wire

// One import from the first byte to the last acknowledgement.

/// Reads files piece by piece, sends batches in the order of the input, and follows them.
///
/// The same input gives the same batches: what decides is only the values and their order, so that
/// a producer's sequence numbers say how far an interrupted import has come.
final class ImportRun {
  /// Bytes read from a file at a time.
  private static let readBytes = 256 << 10
  /// Values that are held back to ask for all their names in one call.
  private static let blockMax = 8_000
  /// Bytes on their way: some 30 batches keep the gateway busy, and acknowledgements stay quick.
  private static let windowBytes = 1 << 20
  /// How long the gateway may be away at the start.
  private static let connectMax = Duration.seconds(10)

  private let plan: ImportPlan
  private let session: GatewaySession
  private let identity: ProducerIdentity
  /// What earlier runs have done; nil for an import that is not gone on with.
  private let state: ImportState?
  /// The gateway's position when this run began.
  private var durableAtStart: UInt64 = 0
  private let loop: EventLoop
  private var cache: CatalogCache
  private var packer = BatchPacker()
  private var block: [(point: Point, line: SourceLine)] = []
  private var report: ImportReport
  private var progress: ImportProgress
  private var isStopped = false

  init(
    _ plan: ImportPlan,
    _ session: GatewaySession,
    _ identity: ProducerIdentity,
    _ state: ImportState?,
    _ loop: EventLoop
  ) {
    self.loop = loop
    self.plan = plan
    self.session = session
    self.identity = identity
    self.state = state
    cache = CatalogCache(session.client)
    report = ImportReport(files: plan.files)
    progress = ImportProgress(isShown: plan.showsProgress)
  }

  /// Imports everything.
  ///
  /// - Returns: what was done; with a failure when the input had to be left before its end.
  /// - Throws: why nothing could be done, or the session was lost for good.
  func run() async throws -> ImportReport {
    // Before anything is written: that all files are there, and how much there is to do.
    for file in plan.files { progress.add(fileSize: try InputFile.size(of: file)) }
    let producer = await session.client.producer(
      ProducerOptions(
        producerID: identity.id,
        durability: plan.isStaged ? .staged : .durable,
        clientName: "sluice-import/\(Environment.hostName)",
        windowBytesMax: Self.windowBytes,
        connectWithin: session.openingMax ?? Self.connectMax
      )
    )
    let watch = LinkWatch(producer, on: loop)
    defer { withExtendedLifetime(watch) {} }
    try await OpeningLimit.waitUntilOpen(producer, within: session.openingMax, on: loop)
    let ledger = AckLedger(session.client, producer, isStaged: plan.isStaged)
    durableAtStart = await ledger.position().durable
    progress.firstSequence = state == nil ? durableAtStart : 0
    let start = MonotonicTime.now()
    do {
      try await withThrowingDiscardingTaskGroup { group in
        for (index, file) in self.plan.files.enumerated() where !self.isStopped {
          try await self.importFile(file, index, ledger, &group)
        }
        try await self.flush(ledger, &group)
        try await self.send(ledger, &group)
        if !self.isStopped { try self.state?.finish(durable: self.durableAtStart) }
        await self.showUntilDone(ledger, &group)
      }
      report.seconds = (MonotonicTime.now() - start) / .seconds(1)
      report.ledger = await ledger.progress()
      try await producer.finish()
    } catch {
      progress.clear()
      throw error
    }
    progress.finish(report)
    return report
  }

  // MARK: Reading

  private func importFile(
    _ path: String,
    _ index: Int,
    _ ledger: AckLedger,
    _ group: inout ThrowingDiscardingTaskGroup<any Error>
  ) async throws {
    let file = try InputFile(path)
    var buffer = [UInt8](repeating: 0, count: Self.readBytes)
    var importer: (any PointImport)?
    while !isStopped {
      let count = try file.read(into: &buffer)
      report.bytesRead += Int64(count)
      var current = try importer ?? plan.importer(for: path, start: buffer[..<count])
      importer = nil
      if count > 0 { current.feed(buffer[..<count]) } else { current.finish() }
      try await takeRecords(from: &current, path, index, ledger, &group)
      progress.note(bytes: report.bytesRead, values: report.readCount + block.count)
      guard count > 0 else { break }
      importer = current
    }
  }

  private func takeRecords(
    from importer: inout any PointImport,
    _ path: String,
    _ index: Int,
    _ ledger: AckLedger,
    _ group: inout ThrowingDiscardingTaskGroup<any Error>
  ) async throws {
    do {
      while !isStopped, let record = try importer.next() {
        report.recordCount += 1
        for problem in record.problems { skip(problem, index) }
        let line = SourceLine(file: index, line: record.line)
        for point in record.points { block.append((point, line)) }
        if block.count >= Self.blockMax { try await flush(ledger, &group) }
      }
    } catch let error as ImportError {
      let name = path == "-" ? "standard input" : path
      throw CommandFailure("\(name): \(DisplayWidth.visible("\(error)"))", .data)
    }
  }

  private func skip(_ problem: ImportProblem, _ index: Int) {
    skip(
      InputProblem(
        source: SourceLine(file: index, line: problem.line),
        column: problem.column,
        advice: problem.columnName.map { "\($0): \(problem.advice)" } ?? problem.advice
      )
    )
  }

  private func skip(_ problem: InputProblem) {
    guard !isStopped else { return }
    report.skippedCount += 1
    if report.skipped.count < AckLedger.problemsMax { report.skipped.append(problem) }
    guard plan.isStrict else { return }
    isStopped = true
    report.failure = CommandFailure(
      DisplayWidth.visible("\(report.place(problem)): \(problem.advice)")
        + "; what stands before it was written",
      .data
    )
  }

  // MARK: Sending

  /// Sends what is held back, once all its names have ids.
  private func flush(
    _ ledger: AckLedger,
    _ group: inout ThrowingDiscardingTaskGroup<any Error>
  ) async throws {
    guard !block.isEmpty else { return }
    for index in block.indices {
      if let name = plan.names[block[index].point.attribute] { block[index].point.attribute = name }
    }
    block.removeAll { point, line in
      guard let advice = NameAdvice.of(point) else { return false }
      skip(InputProblem(source: line, advice: advice))
      return true
    }
    guard !block.isEmpty else { return }
    try await cache.resolve(
      entities: block.lazy.map(\.point.entity),
      attributes: specs()
    )
    for (point, line) in block { try await pack(point, line, ledger, &group) }
    block.removeAll(keepingCapacity: true)
    await showProgress(ledger)
  }

  /// What to create for each attribute of the block that is not known.
  private func specs() -> [AttributeSpec] {
    var seen: Set<String> = []
    var specs: [AttributeSpec] = []
    for (point, _) in block
    where cache.attribute(point.attribute) == nil && seen.insert(point.attribute).inserted {
      specs.append(
        AttributeSpec(
          name: point.attribute,
          valueType: ValueType(point.value.type),
          unit: plan.units[point.attribute] ?? "",
          isHot: plan.isAllHot || plan.hotNames.contains(point.attribute)
        )
      )
    }
    return specs
  }

  private func pack(
    _ point: Point,
    _ line: SourceLine,
    _ ledger: AckLedger,
    _ group: inout ThrowingDiscardingTaskGroup<any Error>
  ) async throws {
    guard let entityID = cache.entity(point.entity),
      let attribute = cache.attribute(point.attribute)
    else { throw ClientError.protocolViolation("a name that was resolved has no id") }
    let value: PointValue
    switch ValueFit(point, attribute.valueType) {
    case .value(let fitted): value = fitted
    case .refused(let advice): return skip(InputProblem(source: line, advice: advice))
    }
    if !packer.hasRoom(for: value) { try await send(ledger, &group) }
    packer.append(
      value,
      entityID: entityID,
      attributeID: attribute.attributeID,
      time: point.time,
      line: line
    )
    report.readCount += 1
  }

  private func send(
    _ ledger: AckLedger,
    _ group: inout ThrowingDiscardingTaskGroup<any Error>
  ) async throws {
    guard !packer.isEmpty else { return }
    let (columns, lines) = packer.take()
    if let state {
      let decision = try state.next(
        columns.encoded(),
        count: lines.count,
        durable: durableAtStart
      )
      guard decision != .skip else {
        report.earlierCount += UInt64(lines.count)
        return
      }
    }
    let sent: AckLedger.Sent
    do throws(ClientError) {
      sent = try await ledger.send(columns, lines)
    } catch {
      // With a state it has a number already, which another gateway may take.
      guard case .tooLarge(let bytes, let limit) = error, lines.count == 1, state == nil
      else { throw error }
      let size = "\(Quantity.bytes(bytes)) are more than the gateway's \(Quantity.bytes(limit))"
      report.readCount -= 1
      return skip(InputProblem(source: lines[0], advice: "the value is too large: \(size)"))
    }
    report.batchCount += 1
    let client = session.client
    group.addTask {
      // On the client's loop, which sees the acknowledgement first.
      let result: Result<Void, ClientError> = await client.run {
        do throws(ClientError) {
          return .success(try await ledger.confirm(sent))
        } catch {
          return .failure(error)
        }
      }
      try result.get()
    }
  }

  // MARK: Progress

  private func showProgress(_ ledger: AckLedger) async {
    guard progress.isDue else { return }
    progress.draw(durable: await ledger.position().durable)
  }

  /// Keeps the progress moving until everything is durable, or the session has failed.
  private func showUntilDone(
    _ ledger: AckLedger,
    _ group: inout ThrowingDiscardingTaskGroup<any Error>
  ) async {
    while !group.isEmpty, !group.isCancelled {
      await showProgress(ledger)
      await loop.sleep(for: .milliseconds(10))
    }
  }
}
