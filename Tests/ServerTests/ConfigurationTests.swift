import EventLoop
import Storage
import Testing

@testable import Server

@Suite("settings")
struct ConfigurationTests {
  private typealias Key = ConfigurationKey

  /// A configuration of a minimal setting and these.
  private func configuration(
    _ settings: [ConfigurationKey: String] = [:]
  ) throws(ConfigurationError) -> Configuration {
    try Configuration(
      [.primaryDSN: "host=db"].merging(settings) { _, new in new },
      processorCount: 6
    )
  }

  @Test("everything but the primary has a default")
  func defaults() throws {
    let configuration = try configuration()
    #expect(configuration.listen.description == "127.0.0.1:7171")
    #expect(configuration.primaryDSN == "host=db")
    #expect(configuration.replicaDSNs.isEmpty)
    #expect(configuration.warehouseDSN == nil)
    #expect(configuration.warehouseFeed == .subscription)
    #expect(configuration.redis == nil)
    #expect(configuration.workers == 6)
    #expect(configuration.writersPerWorker == 1)
    #expect(configuration.readConnectionsPerWorker == 8)
    #expect(configuration.connectionsMax == 20_000)
    #expect(configuration.ingestBytesMax == 512 << 20)
    #expect(configuration.drainGrace == .seconds(10))
    #expect(configuration.scanRowsMax == 50_000_000)
    #expect(configuration.futureLimit == .seconds(3_600))
    #expect(configuration.partitionWidth == "day")
    #expect(configuration.partitionsAhead == 3)
    #expect(configuration.retention == nil)
    #expect(configuration.logLevel == "info")
  }

  @Test("every default is a value that its own key takes")
  func defaultsAreValid() throws {
    for key in Key.allCases {
      guard let text = key.defaultText else { continue }
      _ = try configuration([key: text])
    }
  }

  /// A value of each setting that is not its default.
  private static let others: [ConfigurationKey: String] = [
    .listen: "127.0.0.1:1", .insecureListen: "true", .primaryDSN: "host=other",
    .pooledDSN: "host=pooler",
    .replicaDSNs: "host=a,host=b", .warehouseDSN: "host=w", .warehouseFeed: "ordered",
    .redis: "127.0.0.1:6379",
    .workers: "3", .writersPerWorker: "2", .readConnectionsPerWorker: "9",
    .connectionsMax: "17", .ingestMemory: "1GiB", .drainGrace: "11s", .scanRowsMax: "7",
    .futureLimit: "2h",
    .partitionWidth: "month", .partitionsAhead: "5", .retention: "90d", .logLevel: "debug",
  ]

  @Test("no message shows a password")
  func passwordsStaySecret() {
    #expect {
      _ = try configuration([.redis: "rediss://:hush@cache"])
    } throws: { error in
      let text = String(describing: error)
      return text.contains("redis") && !text.contains("hush")
    }
  }

  @Test("every setting says something of its own")
  func everyKeyCounts() throws {
    let plain = String(describing: try configuration())
    for key in Key.allCases {
      let value = try #require(Self.others[key], "\(key) is missing in this test")
      guard key != .insecureListen else { continue }
      #expect(String(describing: try configuration([key: value])) != plain, "\(key)")
    }
  }

  @Test("a change is seen, and taken over when the setting can change while the gateway serves")
  func changes() throws {
    let plain = try configuration()
    for key in Key.allCases where key != .insecureListen {
      let other = try configuration([key: try #require(Self.others[key])])
      #expect(plain.changes(in: other) == [key])
      var taken = plain
      taken.take(key, from: other)
      #expect(taken.changes(in: other) == (key.isReloadable ? [] : [key]))
    }
    #expect(Key.allCases.contains { $0.isReloadable } && !Key.primaryDSN.isReloadable)
  }

  @Test("values that fit", arguments: ConfigurationTests.good)
  func takes(key: ConfigurationKey, text: String) throws {
    _ = try configuration([key: text])
  }

  @Test(
    "values that do not fit are refused with their key, value and what is expected",
    arguments: ConfigurationTests.bad
  )
  func refuses(key: ConfigurationKey, text: String) {
    #expect {
      try configuration([key: text])
    } throws: { error in
      guard case .invalid(key, value: text, let expected)? = error as? ConfigurationError else {
        return false
      }
      let sentence = "\(error)"
      return sentence.contains(key.rawValue) && sentence.contains(expected)
    }
  }

  static let good: [(ConfigurationKey, String)] = [
    (.listen, "127.0.0.1:0"), (.listen, "127.8.9.1:65535"), (.listen, "[::1]:80"),
    (.insecureListen, "true"), (.insecureListen, "false"),
    (.replicaDSNs, ""), (.replicaDSNs, "host=a"), (.warehouseDSN, ""), (.redis, ""),
    (.warehouseFeed, "subscription"), (.warehouseFeed, "unordered"),
    (.redis, "redis://cache"), (.redis, "redis://:p%40ss@cache:6380/0"), (.redis, "[::1]:6379"),
    (.workers, "1"), (.workers, "256"), (.workers, ""), (.writersPerWorker, "16"),
    (.readConnectionsPerWorker, "100"), (.connectionsMax, "1"), (.connectionsMax, "1000000"),
    (.ingestMemory, "16MiB"), (.ingestMemory, "1TiB"), (.ingestMemory, "16777216B"),
    (.ingestMemory, "16384KiB"), (.drainGrace, "0s"), (.drainGrace, "1h"),
    (.drainGrace, "1500ms"), (.drainGrace, "3m"), (.futureLimit, "365d"), (.futureLimit, "0ms"),
    (.partitionWidth, "hour"), (.partitionWidth, "week"), (.partitionsAhead, "100"),
    (.retention, ""), (.retention, "1h"), (.retention, "36500d"), (.logLevel, "trace"),
    (.logLevel, "critical"),
  ]

  static let bad: [(ConfigurationKey, String)] = [
    (.listen, ""), (.listen, "127.0.0.1"), (.listen, "127.0.0.1:65536"), (.listen, ":80"),
    (.listen, "127.0.0.1:-1"), (.insecureListen, "yes"), (.insecureListen, ""),
    (.warehouseFeed, ""), (.warehouseFeed, "Ordered"), (.warehouseFeed, "redshift"),
    (.redis, "nowhere"), (.redis, "rediss://cache"), (.redis, "redis://cache/1"),
    (.workers, "0"), (.workers, "257"),
    (.workers, "two"), (.workers, "2.5"), (.workers, " 2"), (.writersPerWorker, "0"),
    (.writersPerWorker, "17"), (.writersPerWorker, ""), (.readConnectionsPerWorker, "0"),
    (.readConnectionsPerWorker, "101"), (.connectionsMax, "0"), (.connectionsMax, "-5"),
    (.connectionsMax, "1000001"), (.ingestMemory, "15MiB"), (.ingestMemory, "2TiB"),
    (.ingestMemory, "512"), (.ingestMemory, "512MB"), (.ingestMemory, "MiB"),
    (.ingestMemory, "-16MiB"), (.ingestMemory, "1.5GiB"),
    (.ingestMemory, "9223372036854775807KiB"), (.drainGrace, "10"), (.drainGrace, "61m"),
    (.drainGrace, "-1s"), (.drainGrace, "1 s"), (.drainGrace, "9223372036854775807d"),
    (.scanRowsMax, "0"), (.scanRowsMax, "1e9"), (.futureLimit, "366d"), (.futureLimit, "soon"),
    (.partitionWidth, "year"),
    (.partitionWidth, "Day"), (.partitionsAhead, "0"), (.partitionsAhead, "101"),
    (.retention, "59m"), (.retention, "forever"), (.logLevel, "verbose"), (.logLevel, ""),
  ]

  @Test("without a primary the error says all three ways to name it")
  func missing() {
    #expect {
      try Configuration([:], processorCount: 1)
    } throws: { error in
      let sentence = "\(error)"
      return error as? ConfigurationError == .missing(.primaryDSN)
        && ["--primary-dsn", "SLUICE_PRIMARY_DSN", "primary-dsn = "].allSatisfy(sentence.contains)
    }
  }

  @Test(
    "beyond loopback one listens only when it was allowed",
    arguments: [
      ("127.0.0.1:1", true), ("127.255.0.9:1", true), ("[::1]:1", true), ("localhost:1", true),
      ("0.0.0.0:1", false), ("[::]:1", false), ("10.0.0.1:1", false), ("128.0.0.1:1", false),
      ("example.org:1", false), ("127.example.org:1", false), ("localhost.example.org:1", false),
    ]
  )
  func loopback(address: String, isLoopback: Bool) throws {
    if isLoopback {
      _ = try configuration([.listen: address])
    } else {
      #expect(throws: ConfigurationError.notLoopback(address)) {
        try configuration([.listen: address])
      }
      #expect(throws: ConfigurationError.notLoopback(address)) {
        try configuration([.listen: address, .insecureListen: "false"])
      }
    }
    _ = try configuration([.listen: address, .insecureListen: "true"])
  }

  @Test("replicas are separated by commas, and empty ones are nothing")
  func replicas() throws {
    #expect(try configuration([.replicaDSNs: "host=a,host=b"]).replicaDSNs == ["host=a", "host=b"])
    #expect(try configuration([.replicaDSNs: "host=a,"]).replicaDSNs == ["host=a"])
  }

  @Test("every key has one name in each place, and a sentence of help")
  func names() {
    #expect(Key.primaryDSN.environmentName == "SLUICE_PRIMARY_DSN")
    #expect(Key.readConnectionsPerWorker.environmentName == "SLUICE_READ_CONNECTIONS_PER_WORKER")
    #expect(Set(Key.allCases.map(\.environmentName)).count == Key.allCases.count)
    #expect(Key.allCases.allSatisfy { $0.help.hasSuffix(".") })
  }
}
