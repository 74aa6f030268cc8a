internal import ArgumentParser
internal import Client
internal import EventLoop
internal import Server
internal import Testing
internal import Wire

@testable internal import sluice

// What the arguments mean, and which are refused.

@Suite("Arguments")
struct ArgumentTests {
  @Test("every setting of the gateway is an option of serve", arguments: ConfigurationKey.allCases)
  func settings(key: ConfigurationKey) throws {
    let flag = "--\(key.rawValue)"
    let command = try ServeCommand.parse(key == .insecureListen ? [flag] : [flag, "x"])
    let merged = try command.settings.merged(file: nil)
    #expect(merged[key] == (key == .insecureListen ? "true" : "x"))
  }

  @Test(
    "what cannot be meant is refused",
    arguments: [
      ["get", "a", "--strong", "--analytics"], ["get", "a", "--at-least", "xyz"],
      ["get", "a", "--strong", "--max-staleness", "1s"], ["get", "a", "--json", "--csv"],
      ["history", "a", "b", "c", "--chart"], ["history", "a", "b", "--chart", "--json"],
      ["history", "a", "b", "--limit", "0"], ["aggregate", "a", "b", "--every", "1us"],
      ["aggregate", "a", "b", "--every", "x"], ["aggregate", "a", "b", "--every", "unspecified"],
      ["aggregate", "a", "b", "--fill", "zero"], ["aggregate", "a", "b", "--percentiles", "50,"],
      ["aggregate", "a", "b", "--percentiles", "101"], ["aggregate", "a", "b", "--chart", "--csv"],
      ["aggregate", "a", "b", "--chart", "--entity", "c"], ["exists"], ["import"],
      ["import", "-", "-"],
      ["set", "e"], ["set", "e", "x"], ["set", "e", "=1"], ["set", "e", "a=1", "--unset", "a"],
      ["set", "e", "a=1", "--type", "a=real?"], ["list", "--where", "a"], ["list", "--limit", "0"],
      ["import", "f", "--types", "a"], ["import", "f", "--types", "a=real?"],
      ["import", "f", "--delimiter", ";;"], ["import", "f", "--precision", "minutes"],
      ["import", "f", "--entity", "a", "--entity-column", "b"],
      ["import", "f", "--producer-id", "12"], ["catalog", "set", "a"],
      ["agent", "--interval", "1ms"], ["nope"], ["serve", "--nope"],
      ["index", "create"], ["index", "drop"], ["index", "create", "a", "b"],
      ["index", "list", "--json", "--csv"],
    ]
  )
  func refused(arguments: [String]) {
    #expect(throws: (any Error).self) { try Sluice.parseAsRoot(arguments) }
  }

  @Test("read levels become read options")
  func levels() throws {
    func options(_ arguments: String...) throws -> ReadOptions {
      try GetCommand.parse(["a"] + arguments).level.options
    }
    #expect(try options() == ReadOptions())
    #expect(try options("--strong") == ReadOptions(level: .strong))
    #expect(try options("--at-least", "0aFF") == ReadOptions(level: .atLeast, token: [10, 255]))
    #expect(
      try options("--max-staleness", "1m")
        == ReadOptions(level: .eventual, maxStalenessMilliseconds: 60_000)
    )
    #expect(
      try options("--analytics", "--max-staleness", "1h", "--allow-degraded")
        == ReadOptions(
          level: .analytics,
          maxStalenessMilliseconds: 3_600_000,
          allowDegraded: true
        )
    )
    #expect(try options("--include-staged") == ReadOptions(includeStaged: true))
  }

  @Test("buckets have a width or are of the calendar")
  func buckets() throws {
    func every(_ text: String) throws -> BucketOption {
      try AggregateCommand.parse(["a", "b", "--every", text]).every
    }
    #expect(try every("90s") == .width(.seconds(90)))
    #expect(try every("month") == .calendar(.month))
    let command = try AggregateCommand.parse([
      "a", "b", "c", "--entity", "d", "--percentiles", "50,99.9", "--fill", "previous",
    ])
    #expect(command.every == .width(.seconds(3_600)))
    #expect(command.series.entities == ["a", "d"] && command.series.attributes == ["b", "c"])
    #expect(command.percentiles.percents == [50, 99.9] && command.fill == .previous)
  }

  @Test("relative times are values, not options")
  func relativeTimes() throws {
    let command = try HistoryCommand.parse(["a", "b", "--from", "-2h", "--to", "-1h"])
    let range = try command.time.range()
    #expect(range.upperBound - range.lowerBound == 3_600_000_000)
  }

  @Test("gateways are separated by commas")
  func gateways() throws {
    let command = try StatusCommand.parse(["--gateway", "a:1,[::1]:2"])
    #expect(try command.gateway.addresses().map(\.description) == ["a:1", "[::1]:2"])
    for text in ["a", "a:0", ":1", "a:b", ","] {
      let command = try StatusCommand.parse(["--gateway", text])
      #expect(throws: CommandFailure.self) { try command.gateway.addresses() }
    }
  }

  @Test("who listed a setting that does not fit is known")
  func origins() throws {
    let settings = try ServeCommand.parse(["--workers", "999"]).settings
    func origin(_ key: ConfigurationKey, file: String?) -> String? {
      settings.origin(of: key, file: file, environment: ["SLUICE_RETENTION": "x"])
    }
    #expect(origin(.workers, file: "f") == "--workers")
    #expect(origin(.retention, file: "f") == "SLUICE_RETENTION")
    #expect(origin(.listen, file: "f") == "f" && origin(.listen, file: nil) == nil)
    let command = try ServeCommand.parse([
      "--primary-dsn", "host=a", "--workers", "999", "--check",
    ])
    let failure = #expect(throws: CommandFailure.self) { try command.run() }
    #expect(failure?.message.hasSuffix("; it comes from --workers") == true)
    #expect(failure?.status == .configuration)
  }

  @Test("an empty variable names no folder")
  func stateFolder() {
    let home = ["HOME": "/h"]
    #expect(AgentCommand.stateFolder(home) == "/h/.local/state")
    #expect(AgentCommand.stateFolder(["XDG_STATE_HOME": "", "HOME": "/h"]) == "/h/.local/state")
    #expect(AgentCommand.stateFolder(["XDG_STATE_HOME": "/x", "HOME": "/h"]) == "/x")
    #expect(AgentCommand.stateFolder(["XDG_STATE_HOME": "", "HOME": ""]) == "/tmp")
  }

  @Test("defaults and time zones are said where they are looked for")
  func help() {
    let agent = Sluice.helpMessage(for: AgentCommand.self, columns: 500)
    for text in ["(default: 30s)", "(default: 1s)", "(default: 1G)"] {
      #expect(agent.contains(text))
    }
    #expect(
      Sluice.helpMessage(for: AggregateCommand.self, columns: 500).contains("printed in UTC")
    )
  }

  @Test("fields of a request have the names of options")
  func fields() {
    func message(_ field: String) -> String {
      CommandFailure(ClientError.status(.invalid(field, "is wrong"))).message
    }
    #expect(message("observed_at_unix_us") == "--at: is wrong (BAD_REQUEST)")
    #expect(message("time_zone") == "--zone: is wrong (BAD_REQUEST)")
    #expect(message("attribute_id[1]") == "attribute 2: is wrong (BAD_REQUEST)")
    #expect(message("other") == "other: is wrong (BAD_REQUEST)")
  }

  @Test("assignments split at the last equals sign")
  func assignments() throws {
    let pairs = try Assignments.parse(["a,core=0=b", "c=d"].suffix(1) + ["x=0=y"], "--rename")
    #expect(pairs.map(\.0) == ["c", "x=0"])
    #expect(pairs.map(\.1) == ["d", "y"])
  }
}
