internal import Client
internal import EventLoop
internal import Formats
internal import Wire

// An agent's life: look, send, wait, until it is told to stop.

/// Streams the figures of this host.
final class AgentRun {
  /// Bytes kept while no gateway answers: some 30 values of 30 bytes a second last for hours.
  private static let windowBytes = 16 << 20
  /// How long the end waits for confirmations.
  private static let finishMax = Duration.seconds(10)

  private let command: AgentCommand
  private let entity: String
  private let session: GatewaySession
  private let storage: AgentStorage
  private let signals: StopSignals
  private let hotNames: Set<String>
  private var cache: CatalogCache
  private var sampler = HostSampler()
  private var report: AgentReport
  private var line = TransientLine()
  private var newest: [String: PointValue] = [:]
  private var orphans: [Producer] = []
  /// Attributes whose ids are in the catalog file.
  private var savedCount = 0
  private var isWaitingForGateway = false
  /// Attributes whose values could not be sent.
  private var leftOut: Set<String> = []

  init(
    _ command: AgentCommand,
    _ entity: String,
    _ session: GatewaySession,
    _ storage: AgentStorage,
    _ signals: StopSignals
  ) {
    self.command = command
    self.entity = entity
    self.session = session
    self.storage = storage
    self.signals = signals
    hotNames = Set(command.hot.split(separator: ",").map(String.init))
    cache = CatalogCache(session.client)
    report = AgentReport(entity: entity)
  }

  /// Runs until the duration is over or a signal comes, then waits for confirmations.
  ///
  /// - Throws: `ClientError` when no gateway answers at the start, or the session failed for good.
  func run() async throws -> AgentReport {
    let producer = await session.client.producer(options())
    let watch = LinkWatch(producer, on: signals.loop)
    defer { withExtendedLifetime(watch) {} }
    if case .memory = storage {
      try await OpeningLimit.waitUntilOpen(
        producer,
        within: session.openingMax,
        on: signals.loop
      )
    }
    let ledger = AckLedger(session.client, producer, isStaged: command.staged)
    let start = MonotonicTime.now()
    defer { line.clear() }
    try await withThrowingDiscardingTaskGroup { group in
      await self.sendOrphans(&group)
      try await self.look(until: self.command.duration.map { start + $0 }, ledger, &group)
      await self.waitForConfirmations(ledger, producer, &group)
      self.report.ledger = await ledger.progress()
      // Whoever still waits for a confirmation learns that none will come.
      await producer.close()
      for orphan in self.orphans { await orphan.close() }
      group.cancelAll()
    }
    report.seconds = (MonotonicTime.now() - start) / .seconds(1)
    if case .spool(let claim, _) = storage { try claim.spool.close() }
    return report
  }

  private func options() -> ProducerOptions {
    let name = "sluice-agent/\(Environment.hostName)"
    let durability = command.staged ? Durability.staged : .durable
    switch storage {
    case .memory(let identity):
      return ProducerOptions(
        producerID: identity.id,
        durability: durability,
        clientName: name,
        windowBytesMax: Self.windowBytes,
        connectWithin: session.openingMax ?? .seconds(10)
      )
    case .spool(let claim, _):
      return ProducerOptions(
        spool: claim.spool,
        durability: durability,
        clientName: name,
        windowBytesMax: Self.windowBytes
      )
    }
  }

  // MARK: Spool

  /// Sends what agents left behind whose spools cannot be written to, each as its own producer.
  private func sendOrphans(_ group: inout ThrowingDiscardingTaskGroup<any Error>) async {
    guard case .spool(let claim, _) = storage else { return }
    report.isSpooled = true
    for spool in claim.orphans + [claim.spool] where spool.cutBytes > 0 {
      warn(
        "\(spool.cutBytes) bytes at the end of \(spool.folder) were not whole and have been cut;"
          + " no gateway had acknowledged them through this agent"
      )
    }
    for spool in claim.orphans {
      let producer = await session.client.producer(
        ProducerOptions(spool: spool, clientName: "sluice-agent/\(Environment.hostName)")
      )
      orphans.append(producer)
      group.addTask {
        do throws(ClientError) {
          try await producer.waitUntilDurable(spool.produced)
          try await producer.finish()
          try spool.remove()
        } catch {
          // Closed by the agent itself: the next start goes on with it.
          if error != .closed { throw error }
        }
      }
    }
  }

  /// Puts a look into the spool; while that is full, says so and waits for room.
  private func keep(
    _ columns: ColumnsBuilder,
    _ ledger: AckLedger
  ) async throws -> AckLedger.Sent? {
    let start = MonotonicTime.now()
    var isFull = false
    while true {
      do throws(ClientError) {
        let sent = try await ledger.keep(columns)
        if isFull {
          let seconds = Quantity.seconds((MonotonicTime.now() - start) / .seconds(1))
          warn("the spool has room again; nothing was sampled for \(seconds)")
        }
        return sent
      } catch {
        guard error.isSpoolFull else { throw error }
        if !isFull { warn("\(error); sampling pauses until there is room") }
        isFull = true
        guard !signals.isStopping else {
          throw CommandFailure("\(error); the last look of this host was not kept", .unavailable)
        }
        await signals.sleep(until: MonotonicTime.now() + .milliseconds(200))
      }
    }
  }

  private func warn(_ text: String) {
    line.clear()
    StandardStream.error.note("warning: \(text)\n")
  }

  private func look(
    until end: MonotonicTime?,
    _ ledger: AckLedger,
    _ group: inout ThrowingDiscardingTaskGroup<any Error>
  ) async throws {
    var next = MonotonicTime.now()
    var previous = next
    while !signals.isStopping, !group.isCancelled {
      let now = MonotonicTime.now()
      let measurements = sampler.sample(
        Self.texts(),
        elapsedSeconds: (now - previous) / .seconds(1)
      )
      previous = now
      // Shown before the next look: what was sent an interval ago is durable by now, or late.
      if report.looks > 0 { await show(ledger) }
      try await send(measurements, ledger, &group)
      // The time that a send took is not added to the interval; what was missed is not made up for.
      next = max(next + command.interval, MonotonicTime.now())
      if let end, next > end {
        return await signals.sleep(until: end)
      }
      await signals.sleep(until: next)
    }
  }

  private func send(
    _ measurements: [HostMeasurement],
    _ ledger: AckLedger,
    _ group: inout ThrowingDiscardingTaskGroup<any Error>
  ) async throws {
    let time = Environment.now
    guard try await resolve(measurements) else { return }
    var packer = BatchPacker()
    for measurement in measurements {
      newest[measurement.attribute] = measurement.value
      guard let entityID = cache.entity(entity),
        let attribute = cache.attribute(measurement.attribute)
      else {
        leaveOut(measurement.attribute, "no gateway has named it yet")
        continue
      }
      guard attribute.valueType == ValueType(measurement.value.type) else {
        leaveOut(measurement.attribute, "it exists with the type \(attribute.valueType.name)")
        continue
      }
      packer.append(
        measurement.value,
        entityID: entityID,
        attributeID: attribute.attributeID,
        time: time,
        line: SourceLine(file: 0, line: 0)
      )
    }
    guard !packer.isEmpty else { return }
    let (columns, lines) = packer.take()
    let sent: AckLedger.Sent?
    switch storage {
    case .memory:
      while await !ledger.hasRoom(for: columns) {
        guard !signals.isStopping else { return warn("the last look at this host was not sent") }
        await signals.sleep(until: MonotonicTime.now() + .milliseconds(200))
      }
      sent = try await ledger.send(columns, lines)
    case .spool: sent = try await keep(columns, ledger)
    }
    report.looks += 1
    report.sentCount += columns.count
    report.attributes = max(report.attributes, columns.count)
    guard let sent else { return }
    let client = session.client
    group.addTask {
      let result: Result<Void, ClientError> = await client.run {
        do throws(ClientError) {
          return .success(try await ledger.confirm(sent))
        } catch {
          return .failure(error)
        }
      }
      // Closed by the agent itself: what is left unconfirmed is counted at the end.
      if case .failure(let error) = result, error != .closed { throw error }
    }
  }

  /// Counts a value that cannot be sent, and says so once for each attribute.
  private func leaveOut(_ attribute: String, _ why: String) {
    report.leftOutCount += 1
    guard leftOut.insert(attribute).inserted else { return }
    warn("\(attribute) is left out: \(why)")
  }

  /// Learns ids of new names; while no gateway answers, values of new names are left out.
  private func resolve(_ measurements: [HostMeasurement]) async throws -> Bool {
    let specs = measurements.map { measurement in
      AttributeSpec(
        name: measurement.attribute,
        valueType: ValueType(measurement.value.type),
        unit: measurement.unit,
        isHot: hotNames.contains("all") || hotNames.contains(measurement.attribute)
      )
    }
    do throws(ClientError) {
      try await cache.resolve(entities: [entity], attributes: specs)
      remember()
      return true
    } catch {
      guard error.isRetryable else { throw error }
      if case .spool(_, let catalog) = storage { catalog.load(into: &cache) }
      if report.isSpooled, cache.entity(entity) == nil, !isWaitingForGateway {
        isWaitingForGateway = true
        warn("\(error); nothing can be kept before the gateway has named this host's attributes")
      }
      return cache.entity(entity) != nil
    }
  }

  /// Writes down ids for a start without a gateway.
  private func remember() {
    guard case .spool(_, let catalog) = storage, let id = cache.entity(entity),
      cache.knownAttributes.count > savedCount
    else { return }
    savedCount = cache.knownAttributes.count
    catalog.save(entity: entity, id: id, cache.knownAttributes)
  }

  private func waitForConfirmations(
    _ ledger: AckLedger,
    _ producer: Producer,
    _ group: inout ThrowingDiscardingTaskGroup<any Error>
  ) async {
    let end = MonotonicTime.now() + Self.finishMax
    while !group.isCancelled, MonotonicTime.now() < end {
      let position = await producer.position
      guard !group.isEmpty || position.durable < position.produced else { return }
      await signals.pause()
    }
  }

  private func show(_ ledger: AckLedger) async {
    guard StandardStream.error.isTerminal else { return }
    let position = await ledger.position()
    let waiting = position.produced - min(position.durable, position.produced)
    var parts = [entity, "\(Quantity.count(report.sentCount, "value"))"]
    parts.append(waiting == 0 ? "all durable" : "\(Quantity.grouped(waiting)) not yet durable")
    if let latency = await ledger.newestLatency {
      parts.append("ack \(Quantity.seconds(latency / 1_000))")
    }
    let figures = [
      ("cpu", "cpu.idle_percent"), ("memory", "memory.used_percent"), ("load", "load.1m"),
    ]
    for (title, name) in figures {
      guard let value = newest[name]?.chartValue else { continue }
      let shown = name == "cpu.idle_percent" ? 100 - value : value
      parts.append("\(title) \(Quantity.decimal(shown, digits: 1))\(name == "load.1m" ? "" : " %")")
    }
    line.show(String(parts.joined(separator: "  ").prefix(line.width)))
  }

  private static func texts() -> HostTexts {
    HostTexts(
      stat: Environment.content("/proc/stat"),
      meminfo: Environment.content("/proc/meminfo"),
      loadavg: Environment.content("/proc/loadavg"),
      diskstats: Environment.content("/proc/diskstats"),
      networkDevices: Environment.content("/proc/net/dev")
    )
  }
}
