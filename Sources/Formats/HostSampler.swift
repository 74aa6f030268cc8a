// Turns two looks at a host into the values that an agent sends.

/// A value of a host with its name and unit.
public struct HostMeasurement: Equatable, Sendable {
  /// The name of the attribute, for example `cpu.user_percent`.
  public let attribute: String
  /// The unit, for example `%` or `B/s`; empty for plain counts.
  public let unit: String
  /// The value.
  public let value: PointValue
}

/// Computes what happened on a host between one look and the next.
///
/// Gauges (memory, load) come with every look, rates from the second on. Where a counter went
/// backwards, because it wrapped or its device was replaced, the rate is left out once: a gap is
/// better than a peak that never was.
public struct HostSampler: Sendable {
  private var previous: HostSample?

  /// A sampler that has not looked yet.
  public init() {}

  /// Takes the next look.
  ///
  /// - Parameters:
  ///   - texts: the texts of the host's files now.
  ///   - elapsedSeconds: the time since the last look, by a clock that does not jump.
  /// - Returns: the values in a stable order.
  public mutating func sample(_ texts: HostTexts, elapsedSeconds: Double) -> [HostMeasurement] {
    let current = HostSample(texts)
    defer { previous = current }
    return Self.measurements(previous: previous, current: current, elapsedSeconds: elapsedSeconds)
  }

  /// The values that follow from two looks, or the gauges of the first one.
  ///
  /// - Parameters:
  ///   - previous: the look before, if there was one.
  ///   - current: this look.
  ///   - elapsedSeconds: the time between them; rates are left out unless it is positive.
  /// - Returns: the values in a stable order.
  public static func measurements(
    previous: HostSample?,
    current: HostSample,
    elapsedSeconds: Double
  ) -> [HostMeasurement] {
    var list = Measurements(elapsedSeconds: elapsedSeconds)
    list.addProcessors(previous?.processors, current.processors)
    list.addLoads(current.loadAverages)
    list.addMemory(current.memoryBytes)
    for (name, disk) in current.disks.sorted(by: { $0.key < $1.key }) {
      list.addDisk(name, previous?.disks[name], disk)
    }
    for (name, network) in current.networks.sorted(by: { $0.key < $1.key }) {
      list.addNetwork(name, previous?.networks[name], network)
    }
    return list.all
  }

  /// The list that is being made.
  private struct Measurements {
    let elapsedSeconds: Double
    var all: [HostMeasurement] = []

    init(elapsedSeconds: Double) {
      self.elapsedSeconds = elapsedSeconds
    }

    mutating func add(_ attribute: String, _ unit: String, _ value: PointValue) {
      all.append(HostMeasurement(attribute: attribute, unit: unit, value: value))
    }

    /// Adds a rate unless the counter went backwards or there was none before.
    mutating func addRate(
      _ attribute: String,
      _ unit: String,
      _ before: UInt64?,
      _ now: UInt64,
      factor: Double = 1
    ) {
      guard let before, now >= before, elapsedSeconds > 0 else { return }
      add(attribute, unit, .number(Double(now - before) * factor / elapsedSeconds))
    }

    mutating func addProcessors(_ before: ProcessorCounters?, _ now: ProcessorCounters?) {
      guard let now else { return }
      add("cpu.count", "", .integer(Int64(now.count)))
      if let running = now.runningProcesses { add("processes.running", "", .integer(running)) }
      if let blocked = now.blockedProcesses { add("processes.blocked", "", .integer(blocked)) }
      guard let before else { return }
      if let switches = now.contextSwitches {
        addRate("cpu.context_switches_per_second", "1/s", before.contextSwitches, switches)
      }
      // The kernel's waiting time may run backwards a little; a restart sets all of them back.
      guard now.user >= before.user, now.system >= before.system, now.idle >= before.idle else {
        return
      }
      let parts: [(String, UInt64, UInt64)] = [
        ("user", before.user, now.user), ("system", before.system, now.system),
        ("iowait", before.ioWait, now.ioWait), ("steal", before.steal, now.steal),
        ("idle", before.idle, now.idle),
      ].map { name, old, new in (name, old, max(old, new)) }
      let total = parts.reduce(0.0) { $0 + Double($1.2 - $1.1) }
      guard total > 0 else { return }
      for (name, old, new) in parts {
        add("cpu.\(name)_percent", "%", .number(Double(new - old) / total * 100))
      }
    }

    mutating func addLoads(_ loads: [Double]) {
      for (name, load) in zip(["1m", "5m", "15m"], loads) { add("load.\(name)", "", .number(load)) }
    }

    mutating func addMemory(_ bytes: [String: Int64]) {
      guard let total = bytes["MemTotal"], let free = bytes["MemFree"] else { return }
      let cached = (bytes["Cached"] ?? 0) &+ (bytes["Buffers"] ?? 0)
      // Kernels before 3.14 do not estimate what is available.
      let available = bytes["MemAvailable"] ?? free &+ cached
      add("memory.total_bytes", "B", .integer(total))
      add("memory.available_bytes", "B", .integer(available))
      add("memory.free_bytes", "B", .integer(free))
      add("memory.cached_bytes", "B", .integer(cached))
      if total > 0 {
        let used = 100 * (1 - Double(available) / Double(total))
        add("memory.used_percent", "%", .number(used))
      }
      guard let swapTotal = bytes["SwapTotal"], let swapFree = bytes["SwapFree"] else { return }
      add("swap.total_bytes", "B", .integer(swapTotal))
      add("swap.used_bytes", "B", .integer(swapTotal &- swapFree))
    }

    mutating func addDisk(_ name: String, _ before: DiskCounters?, _ now: DiskCounters) {
      let prefix = "disk.\(name)"
      addRate("\(prefix).read_bytes_per_second", "B/s", before?.readBytes, now.readBytes)
      addRate("\(prefix).write_bytes_per_second", "B/s", before?.writeBytes, now.writeBytes)
      addRate("\(prefix).reads_per_second", "1/s", before?.reads, now.reads)
      addRate("\(prefix).writes_per_second", "1/s", before?.writes, now.writes)
      // Milliseconds per second to percent.
      addRate(
        "\(prefix).busy_percent",
        "%",
        before?.busyMilliseconds,
        now.busyMilliseconds,
        factor: 0.1
      )
    }

    mutating func addNetwork(_ name: String, _ before: NetworkCounters?, _ now: NetworkCounters) {
      let prefix = "network.\(name)"
      addRate("\(prefix).receive_bytes_per_second", "B/s", before?.receiveBytes, now.receiveBytes)
      addRate(
        "\(prefix).transmit_bytes_per_second",
        "B/s",
        before?.transmitBytes,
        now.transmitBytes
      )
      addRate(
        "\(prefix).receive_packets_per_second",
        "1/s",
        before?.receivePackets,
        now.receivePackets
      )
      addRate(
        "\(prefix).transmit_packets_per_second",
        "1/s",
        before?.transmitPackets,
        now.transmitPackets
      )
      addRate(
        "\(prefix).receive_errors_per_second",
        "1/s",
        before?.receiveErrors,
        now.receiveErrors
      )
      addRate(
        "\(prefix).transmit_errors_per_second",
        "1/s",
        before?.transmitErrors,
        now.transmitErrors
      )
    }
  }
}
