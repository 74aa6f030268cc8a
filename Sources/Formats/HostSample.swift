// Reads the texts of Linux's /proc into counters, without opening any file itself.

/// The texts of the files that describe a host; nil where a file could not be read.
public struct HostTexts: Sendable {
  /// The contents of `/proc/stat`.
  public var stat: String?
  /// The contents of `/proc/meminfo`.
  public var meminfo: String?
  /// The contents of `/proc/loadavg`.
  public var loadavg: String?
  /// The contents of `/proc/diskstats`.
  public var diskstats: String?
  /// The contents of `/proc/net/dev`.
  public var networkDevices: String?

  /// The texts as they were read.
  public init(
    stat: String? = nil,
    meminfo: String? = nil,
    loadavg: String? = nil,
    diskstats: String? = nil,
    networkDevices: String? = nil
  ) {
    self.stat = stat
    self.meminfo = meminfo
    self.loadavg = loadavg
    self.diskstats = diskstats
    self.networkDevices = networkDevices
  }
}

/// The counters of a host at one time; what is missing or malformed in the texts is left out.
public struct HostSample: Equatable, Sendable {
  /// Processor time, from `/proc/stat`.
  public let processors: ProcessorCounters?
  /// Memory in bytes by its name in `/proc/meminfo`, for example `MemTotal`.
  public let memoryBytes: [String: Int64]
  /// The load averages of one, five and fifteen minutes; empty when unknown.
  public let loadAverages: [Double]
  /// Whole disks by name; no partitions, loop or memory disks.
  public let disks: [String: DiskCounters]
  /// Network devices by name, without the loopback device.
  public let networks: [String: NetworkCounters]

  /// Reads the texts.
  public init(_ texts: HostTexts) {
    processors = texts.stat.flatMap(ProcessorCounters.init)
    memoryBytes = Self.memory(texts.meminfo ?? "")
    loadAverages = Self.loads(texts.loadavg ?? "")
    disks = DiskCounters.all(in: texts.diskstats ?? "")
    networks = NetworkCounters.all(in: texts.networkDevices ?? "")
  }

  /// Lines such as `MemTotal:  16316412 kB`; lines without a unit count pages, not bytes.
  private static func memory(_ text: String) -> [String: Int64] {
    var bytes: [String: Int64] = [:]
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ")
      guard words.count == 3, words[0].last == ":", words[2] == "kB", let count = Int64(words[1])
      else { continue }
      let (product, didOverflow) = count.multipliedReportingOverflow(by: 1_024)
      if !didOverflow { bytes[String(words[0].dropLast())] = product }
    }
    return bytes
  }

  private static func loads(_ text: String) -> [Double] {
    let loads = text.split { $0 == " " || $0 == "\n" }.prefix(3).compactMap { word in
      NumberText.finiteDouble(Array(word.utf8)[...])
    }
    return loads.count == 3 ? loads : []
  }
}

/// Processor time since the start of the host, in ticks over all processors.
///
/// Source: Linux manual, proc_stat(5).
public struct ProcessorCounters: Equatable, Sendable {
  /// Time in user programs, with low priority or not, guests included.
  public let user: UInt64
  /// Time in the kernel, interrupts included.
  public let system: UInt64
  /// Time with nothing to do.
  public let idle: UInt64
  /// Time with nothing to do but wait for disks.
  public let ioWait: UInt64
  /// Time that the hypervisor gave to others.
  public let steal: UInt64
  /// The number of processors.
  public let count: Int
  /// Context switches.
  public let contextSwitches: UInt64?
  /// Processes that run or could run now.
  public let runningProcesses: Int64?
  /// Processes that wait for disks now.
  public let blockedProcesses: Int64?

  init?(_ text: String) {
    var values: [Substring: [UInt64]] = [:]
    var count = 0
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ")
      guard let name = words.first else { continue }
      if name.hasPrefix("cpu"), name.count > 3 { count += 1 }
      // The line of interrupts has thousands of numbers that nobody asked for.
      if name != "intr" { values[name] = words.dropFirst().prefix(10).compactMap { UInt64($0) } }
    }
    guard let ticks = values["cpu"], ticks.count >= 4 else { return nil }
    func tick(_ index: Int) -> UInt64 { index < ticks.count ? ticks[index] : 0 }
    user = tick(0) &+ tick(1)
    system = tick(2) &+ tick(5) &+ tick(6)
    idle = tick(3)
    ioWait = tick(4)
    steal = tick(7)
    self.count = count
    contextSwitches = values["ctxt"]?.first
    runningProcesses = values["procs_running"]?.first.flatMap { Int64(exactly: $0) }
    blockedProcesses = values["procs_blocked"]?.first.flatMap { Int64(exactly: $0) }
  }
}

/// The work of a disk since the start of the host.
///
/// Source: Linux documentation, admin-guide/iostats; a sector there has 512 bytes.
public struct DiskCounters: Equatable, Sendable {
  /// Finished reads.
  public let reads: UInt64
  /// Bytes read.
  public let readBytes: UInt64
  /// Finished writes.
  public let writes: UInt64
  /// Bytes written.
  public let writeBytes: UInt64
  /// Milliseconds with at least one request.
  public let busyMilliseconds: UInt64

  static func all(in text: String) -> [String: DiskCounters] {
    var disks: [String: DiskCounters] = [:]
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ")
      guard words.count >= 14 else { continue }
      let name = String(words[2])
      let counts = words.dropFirst(3).prefix(10).compactMap { UInt64($0) }
      guard counts.count == 10, !isMemoryDisk(name) else { continue }
      disks[name] = DiskCounters(
        reads: counts[0],
        readBytes: counts[2] &* 512,
        writes: counts[4],
        writeBytes: counts[6] &* 512,
        busyMilliseconds: counts[9]
      )
    }
    return disks.filter { name, _ in !isPartition(name, of: disks) }
  }

  private static func isMemoryDisk(_ name: String) -> Bool {
    ["loop", "ram", "zram"].contains { prefix in
      name.hasPrefix(prefix) && name.dropFirst(prefix.count).allSatisfy(\.isNumber)
    }
  }

  /// sda1 belongs to sda and nvme0n1p1 to nvme0n1, if those are there; their work is in the disk's.
  private static func isPartition(_ name: String, of disks: [String: DiskCounters]) -> Bool {
    var stem = name[...]
    while stem.last?.isNumber == true { stem = stem.dropLast() }
    guard stem.count < name.count else { return false }
    if disks[String(stem)] != nil { return true }
    return stem.last == "p" && disks[String(stem.dropLast())] != nil
  }
}

/// The traffic of a network device since the start of the host.
///
/// Source: Linux manual, proc_pid_net(5), `/proc/net/dev`.
public struct NetworkCounters: Equatable, Sendable {
  /// Bytes received.
  public let receiveBytes: UInt64
  /// Packets received.
  public let receivePackets: UInt64
  /// Packets received with errors or dropped.
  public let receiveErrors: UInt64
  /// Bytes sent.
  public let transmitBytes: UInt64
  /// Packets sent.
  public let transmitPackets: UInt64
  /// Packets not sent because of errors or dropped.
  public let transmitErrors: UInt64

  static func all(in text: String) -> [String: NetworkCounters] {
    var networks: [String: NetworkCounters] = [:]
    for line in text.split(separator: "\n") {
      // The name may touch its first number; an alias such as eth0:1 has a colon of its own.
      guard let colon = line.lastIndex(of: ":") else { continue }
      let name = String(line[..<colon].drop { $0 == " " })
      let counts = line[colon...].dropFirst().split(separator: " ").compactMap { UInt64($0) }
      guard counts.count >= 12, name != "lo", !name.isEmpty else { continue }
      networks[name] = NetworkCounters(
        receiveBytes: counts[0],
        receivePackets: counts[1],
        receiveErrors: counts[2] &+ counts[3],
        transmitBytes: counts[8],
        transmitPackets: counts[9],
        transmitErrors: counts[10] &+ counts[11]
      )
    }
    return networks
  }
}
