import Formats
import Testing

// The host's own counters: from texts of /proc to named values.

@Suite("Host sampler")
struct HostSamplerTests {
  private let first = HostTexts(
    stat: """
      cpu  100 0 50 800 50 0 0 0 0 0
      cpu0 50 0 25 400 25 0 0 0 0 0
      cpu1 50 0 25 400 25 0 0 0 0 0
      intr 1234 1 2 3
      ctxt 1000
      procs_running 3
      procs_blocked 1
      """,
    meminfo:
      "MemTotal: 1000 kB\nMemFree: 200 kB\nMemAvailable: 500 kB\nCached: 100 kB\nHugePages_Total: 0\n",
    loadavg: "0.20 0.18 0.12 1/80 11206\n",
    diskstats: """
         8       0 sda 10 0 100 0 20 0 200 0 0 1000 0
         8       1 sda1 10 0 100 0 20 0 200 0 0 1000 0
         7       0 loop0 10 0 100 0 20 0 200 0 0 1000 0
         1       0 ram0 10 0 100 0 20 0 200 0 0 1000 0
       259       0 nvme0n1 1 0 8 0 1 0 8 0 0 10 0 0 0 0 0
       259       1 nvme0n1p1 1 0 8 0 1 0 8 0 0 10 0 0 0 0 0
      """,
    networkDevices: """
      Inter-|   Receive                                                |  Transmit
       face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
          lo:    1000      10    0    0    0     0          0         0     1000      10    0    0    0     0       0          0
        eth0:5000 50 1 2 0 0 0 0 7000 70 0 0 0 0 0 0
      """
  )

  private func values(_ measurements: [HostMeasurement]) -> [String: PointValue] {
    Dictionary(uniqueKeysWithValues: measurements.map { ($0.attribute, $0.value) })
  }

  @Test("the first look gives gauges, the second one rates")
  func rates() {
    var sampler = HostSampler()
    let gauges = values(sampler.sample(first, elapsedSeconds: 0))
    #expect(gauges["cpu.count"] == .integer(2))
    #expect(gauges["memory.available_bytes"] == .integer(512_000))
    #expect(gauges["memory.used_percent"] == .number(50))
    #expect(gauges["load.1m"] == .number(0.2))
    #expect(!gauges.keys.contains { $0.contains("per_second") })

    var second = first
    second.stat = "cpu  150 10 70 900 60 5 5 0 0 0\nctxt 1500\n"
    second.diskstats = "8 0 sda 30 0 300 0 20 0 204 0 0 2000 0\n"
    second.networkDevices = "eth0: 7000 60 1 3 0 0 0 0 7000 75 0 0 0 0 0 0\n"
    let rates = values(sampler.sample(second, elapsedSeconds: 2))
    #expect(rates["cpu.user_percent"] == .number(30))
    #expect(rates["cpu.system_percent"] == .number(15))
    #expect(rates["cpu.idle_percent"] == .number(50))
    #expect(rates["cpu.iowait_percent"] == .number(5))
    #expect(rates["cpu.context_switches_per_second"] == .number(250))
    #expect(rates["disk.sda.read_bytes_per_second"] == .number(51_200))
    #expect(rates["disk.sda.write_bytes_per_second"] == .number(1_024))
    #expect(rates["disk.sda.reads_per_second"] == .number(10))
    #expect(rates["disk.sda.busy_percent"] == .number(50))
    #expect(rates["network.eth0.receive_bytes_per_second"] == .number(1_000))
    #expect(rates["network.eth0.receive_errors_per_second"] == .number(0.5))
    #expect(rates["network.eth0.transmit_packets_per_second"] == .number(2.5))
  }

  @Test("partitions, loop and memory disks and the loopback device are left out")
  func devices() {
    let sample = HostSample(first)
    #expect(sample.disks.keys.sorted() == ["nvme0n1", "sda"])
    #expect(sample.networks.keys.sorted() == ["eth0"])
  }

  @Test("a counter that went backwards gives no rate that once")
  func reset() {
    var sampler = HostSampler()
    _ = sampler.sample(first, elapsedSeconds: 0)
    var second = first
    second.networkDevices = "eth0: 10 60 1 3 0 0 0 0 7000 75 0 0 0 0 0 0\n"
    second.stat = "cpu  1 0 1 1 1 0 0 0 0 0\n"
    let rates = values(sampler.sample(second, elapsedSeconds: 1))
    #expect(rates["network.eth0.receive_bytes_per_second"] == nil)
    #expect(rates["network.eth0.transmit_bytes_per_second"] == .number(0))
    #expect(!rates.keys.contains { $0.hasSuffix("_percent") && $0.hasPrefix("cpu.") })
  }

  @Test("missing and broken texts give fewer values, never a crash")
  func broken() {
    var sampler = HostSampler()
    #expect(sampler.sample(HostTexts(), elapsedSeconds: 1) == [])
    let broken = HostTexts(
      stat: "cpu x",
      meminfo: "MemTotal: 9223372036854775807 kB\nMemFree:",
      loadavg: "a b c",
      diskstats: "8 0 sda 1",
      networkDevices: ": 1 2 3\n:::"
    )
    #expect(sampler.sample(broken, elapsedSeconds: -1) == [])
    #expect(!sampler.sample(first, elapsedSeconds: .nan).isEmpty)
  }
}
