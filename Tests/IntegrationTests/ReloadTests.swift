import Client
import Foundation
import Testing
import Wire

extension Integration {
  @Suite("reading the settings again")
  struct ReloadTests {
    /// A configuration file of a test.
    private struct File {
      let url = FileManager.default.temporaryDirectory
        .appendingPathComponent("sluice-\(UUID().uuidString).conf")

      func write(_ lines: String...) throws {
        try lines.joined(separator: "\n").write(to: url, atomically: true, encoding: .utf8)
      }
    }

    /// Sends the signal and waits for a line of the log that was not there before.
    private static func hangUp(_ fixture: Fixture, _ expected: String) async throws {
      let process = fixture.gateway.process
      let before = process.errors.utf8.count
      process.signal(SIGHUP)
      try await eventually("the log says: \(expected)") {
        String(decoding: process.errors.utf8.dropFirst(before), as: UTF8.self).contains(expected)
      }
    }

    @Test("a hangup lets some settings take effect, names the others, and refuses a broken file")
    func hangup() async throws {
      let file = File()
      defer { Command.remove(file.url) }
      try file.write("partitions-ahead = 2", "future-limit = 1h")
      try await Fixture.run(["--config", file.url.path]) { fixture in
        _ = try await fixture.client.status()
        let partitions = "SELECT count(*) FROM sluice.partition_ranges"
        // The gateway wants today's and two more, the schema came with three.
        #expect(try await fixture.database.count(partitions) == 4)
        try await Self.hangUp(fixture, "settings read again: nothing changed")

        try file.write(
          "partitions-ahead = 7",
          "future-limit = 2h",
          "read-connections-per-worker = 3"
        )
        try await Self.hangUp(fixture, "settings read again: partitions-ahead changed")
        let left = "need a restart: read-connections-per-worker, future-limit"
        try await eventually("what does not change is named") {
          fixture.gateway.process.errors.contains(left)
        }
        try await eventually("partitions are made at once") {
          try await fixture.database.count(partitions) == 8
        }

        try file.write("partitions-ahead = 20", "log-level = error", "connections-max = many")
        try await Self.hangUp(fixture, "the settings stay as they are: 'many' is not a value")
        try file.write("partitions-ahead = 20", "no such line")
        try await Self.hangUp(fixture, "the settings stay as they are: \(file.url.path), line 2")
        Command.remove(file.url)
        try await Self.hangUp(fixture, "the settings stay as they are: cannot open")
        #expect(try await fixture.database.count(partitions) == 8)

        try file.write("partitions-ahead = 7", "connections-max = 2")
        try await Self.hangUp(fixture, "connections-max")
        #expect(fixture.gateway.process.status == nil)
        // One connection a worker from now on, and the fixture's own is one of them.
        var others: [SluiceClient] = []
        for _ in 0..<4 { others.append(try await fixture.connect(fixture.gateway.address)) }
        for other in others {
          let _: GetStatusResponse? = try? await other.call(
            "sluice.v1.AdminService",
            "GetStatus",
            GetStatusRequest(),
            within: .milliseconds(500)
          )
        }
        let figures = try await fixture.client.status().figures
        #expect(figures.first { $0.name == "connections.refused" }?.value ?? 0 > 0)
        #expect(figures.first { $0.name == "connections.open" }?.value ?? 9 <= 2)
        #expect(try await fixture.gateway.terminate() == 0)
      }
    }

    @Test("the log's level changes while it serves")
    func logLevel() async throws {
      let file = File()
      defer { Command.remove(file.url) }
      try file.write("log-level = error")
      try await Fixture.run(["--config", file.url.path]) { fixture in
        #expect(fixture.gateway.process.errors.isEmpty)
        try file.write("log-level = info")
        try await Self.hangUp(fixture, "settings read again: log-level changed")
        try file.write("log-level = error")
        fixture.gateway.process.signal(SIGHUP)
        try file.write("log-level = error", "partitions-ahead = x")
        try await Self.hangUp(fixture, "'x' is not a value")
        let told = fixture.gateway.process.errors.split(separator: "\n").count {
          $0.contains("settings read again")
        }
        #expect(told == 1)
      }
    }
  }
}
