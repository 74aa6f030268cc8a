import Client
import EventLoop
import Foundation
import Testing
import Wire

extension Integration {
  @Suite("crashes of gateway and database lose and double nothing")
  struct CrashTests {
    @Test(
      "the gateway is killed while clients send, and comes back on its port",
      arguments: [Durability.durable, .staged]
    )
    func gatewayKilled(durability: Durability) async throws {
      try await Fixture.run { fixture in
        let series = try await fixture.series(4)
        var producers: [Producer] = []
        for _ in series { producers.append(await fixture.producer(durability)) }
        let load = Load(producers, series, batchOf: 50)
        var gateway = fixture.gateway
        for round in 1...3 {
          try await fixture.waitForValues(round * 2_000)
          try await gateway.kill()
          gateway = try await GatewayProcess.start(
            fixture.database.dsn,
            port: fixture.gateway.address.port
          )
          try await eventually("every producer is back") {
            for producer in producers where await producer.reopenings < round { return false }
            return true
          }
        }
        let sent = try await load.stop()
        try await finish(producers)
        try await fixture.expectExact(sent)
        #expect(try await gateway.terminate() == 0)
      }
    }

    @Test(
      "the writer's backend is terminated again and again",
      arguments: [(Durability.durable, "write"), (.staged, "stage"), (.staged, "promote")]
    )
    func backendTerminated(durability: Durability, role: String) async throws {
      try await Fixture.run { fixture in
        let series = try await fixture.series(8)
        var producers: [Producer] = []
        for _ in series { producers.append(await fixture.producer(durability)) }
        let load = Load(producers, series, batchOf: 50)
        var terminated = 0
        try await eventually("the backend was terminated ten times") {
          terminated += try await fixture.database.count(
            """
            SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'sluice/\(role)'
              AND state <> 'idle'
            """
          )
          return terminated >= 10
        }
        let sent = try await load.stop()
        try await finish(producers)
        try await fixture.expectExact(sent)
      }
    }

    @Test("every backend of the gateway is terminated at once, with sessions opening meanwhile")
    func allTerminated() async throws {
      try await Fixture.run { fixture in
        let series = try await fixture.series(8)
        var producers: [Producer] = []
        for index in series.indices {
          producers.append(await fixture.producer(index % 2 == 0 ? .durable : .staged))
        }
        let load = Load(producers, series, batchOf: 50)
        for round in 1...5 {
          try await fixture.waitForValues(round * 1_000)
          try await fixture.database.sql(
            """
            SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name LIKE 'sluice/%'
            """
          )
        }
        let sent = try await load.stop()
        try await finish(producers)
        try await fixture.expectExact(sent)
      }
    }

    @Test(
      "a backend that is stopped for three seconds delays, and that is all",
      .enabled(if: geteuid() == 0, "only root may stop PostgreSQL's processes")
    )
    func backendStopped() async throws {
      try await Fixture.run { fixture in
        let series = try await fixture.series(4)
        var producers: [Producer] = []
        for index in series.indices {
          producers.append(await fixture.producer(index % 2 == 0 ? .durable : .staged))
        }
        let load = Load(producers, series, batchOf: 50)
        try await fixture.waitForValues(1_000)
        let backends = try await fixture.database.backends("write", "stage", "promote")
        #expect(!backends.isEmpty)
        for pid in backends { Glibc.kill(pid, SIGSTOP) }
        // What is measured is time itself.
        try await Task.sleep(for: .seconds(3))
        #expect(fixture.gateway.process.status == nil)
        for pid in backends { Glibc.kill(pid, SIGCONT) }
        let before = try await fixture.database.count("SELECT count(*) FROM sluice.entity_values")
        try await fixture.waitForValues(before + 1_000)
        let sent = try await load.stop()
        try await finish(producers)
        try await fixture.expectExact(sent)
      }
    }

    @Test(
      "PostgreSQL crashes: staging is lost, and everything comes all the same",
      .enabled(if: geteuid() == 0, "only root may kill PostgreSQL's processes")
    )
    func databaseCrash() async throws {
      try await PrivateStack.run { stack in
        try await Fixture.run(on: stack.stack) { fixture in
          let series = try await fixture.series(4)
          var producers: [Producer] = []
          for index in series.indices {
            producers.append(await fixture.producer(index % 2 == 0 ? .durable : .staged))
          }
          let load = Load(producers, series, batchOf: 50)
          for round in 1...2 {
            try await fixture.waitForValues(round * 2_000)
            try await stack.crash()
          }
          let before = try await fixture.database.count("SELECT count(*) FROM sluice.entity_values")
          try await fixture.waitForValues(before + 1_000)
          let sent = try await load.stop()
          try await finish(producers)
          try await fixture.expectExact(sent)
        }
      }
    }

    @Test(
      "a commit whose wait for its replica ends early is neither doubled nor acknowledged early",
      .enabled(if: geteuid() == 0, "a PostgreSQL of its own is made by root only"),
      arguments: [Durability.durable, .staged],
      ["pg_terminate_backend", "pg_cancel_backend"]
    )
    func waitCutShort(durability: Durability, interruption: String) async throws {
      try await PrivateStack.run { stack in
        try await Fixture.run(on: stack.stack) { fixture in
          var series = try await fixture.series()[0]
          let producer = await fixture.producer(durability)
          // The first batch makes the segments, which commits as well.
          try await producer.send(series.columns(1))
          try await producer.waitUntilDurable(1)
          for _ in 0..<3 {
            // A commit waits for a standby that never comes; locally it is done by then.
            let range = try await stack.withoutStandby {
              let range = try await producer.send(series.columns(100))
              let role = durability == .durable ? "write" : "promote"
              let waiting = """
                SELECT pid FROM pg_stat_activity WHERE datname = current_database()
                  AND application_name = 'sluice/\(role)' AND wait_event = 'SyncRep'
                """
              try await eventually("the commit waits") {
                try await !fixture.database.sql(waiting).isEmpty
              }
              #expect(await producer.position.durable < range.lowerBound)
              try await fixture.database.sql(
                "SELECT \(interruption)(pid) FROM (\(waiting)) AS w"
              )
              try await eventually("the rows are there") {
                try await fixture.database.count("SELECT count(*) FROM sluice.entity_values")
                  >= Int(range.upperBound)
              }
              // The next attempt finds them, and waits for the standby as well.
              try await eventually("it waits again") {
                try await !fixture.database.sql(waiting).isEmpty
              }
              #expect(await producer.position.durable < range.lowerBound)
              return range
            }
            try await producer.waitUntilDurable(range.upperBound)
          }
          try await producer.finish()
          #expect(await producer.reopenings == 0)
          try await fixture.expectExact([series])
        }
      }
    }
  }
}

/// A PostgreSQL that a test may crash, because nobody else uses it.
struct PrivateStack: Sendable {
  let folder: String
  let stack: Stack
  private let data: String

  static func run(_ body: (PrivateStack) async throws -> Void) async throws {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("sluice-crash-\(UInt32.random(in: 0 ... .max))").path
    try await command("up", folder)
    do {
      let text = try String(contentsOfFile: "\(folder)/stack.env", encoding: .utf8)
      var variables: [String: String] = [:]
      for line in text.split(separator: "\n") where line.hasPrefix("export ") {
        let parts = line.dropFirst("export ".count).split(separator: "=", maxSplits: 1)
        guard parts.count == 2 else { continue }
        variables[String(parts[0])] = parts[1].trimmingCharacters(in: ["'"])
      }
      guard let stack = Stack(variables), let data = variables["SLUICE_STACK_DATA"] else {
        throw HarnessError("stack.env is not complete")
      }
      try await body(PrivateStack(folder: folder, stack: stack, data: data))
    } catch {
      try await command("destroy", folder)
      throw error
    }
    try await command("destroy", folder)
  }

  private static func command(_ verb: String, _ folder: String) async throws {
    let scripts = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("scripts")
    let options = verb == "up" ? ["--primary-only", "--no-redis"] : []
    let result = try await Command.run(
      scripts.appendingPathComponent("stack").path,
      [verb, "--dir", folder] + options
    )
    guard result.status == 0 else { throw HarnessError("stack \(verb): \(result.errors)") }
  }

  /// While `body` runs, every commit waits for a standby that does not exist.
  func withoutStandby<Value>(_ body: () async throws -> Value) async throws -> Value {
    try await setStandby("nobody")
    do {
      let value = try await body()
      try await setStandby("")
      return value
    } catch {
      try await setStandby("")
      throw error
    }
  }

  private func setStandby(_ name: String) async throws {
    try await stack.sql(
      "ALTER SYSTEM SET synchronous_standby_names = '\(name)';\nSELECT pg_reload_conf();"
    )
    try await eventually("the setting holds") {
      try await stack.sql("SHOW synchronous_standby_names") == name
    }
  }

  /// Kills the server without a shutdown, then starts it again.
  func crash() async throws {
    let file = try String(contentsOfFile: "\(data)/primary/postmaster.pid", encoding: .utf8)
    guard let pid = file.split(separator: "\n").first.flatMap({ Int32($0) }) else {
      throw HarnessError("no postmaster.pid")
    }
    // SIGQUIT: an immediate shutdown, followed by crash recovery.
    Glibc.kill(pid, SIGQUIT)
    try await eventually("the server is gone") { Glibc.kill(pid, 0) != 0 }
    try await PrivateStack.command("up", folder)
  }
}
