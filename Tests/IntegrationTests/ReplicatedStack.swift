import Foundation
import Testing

// A stack of its own with replicas and a warehouse, for the tests that need them.

/// A primary, two replicas and a warehouse fed from the primary, with the schema in it.
final class ReplicatedStack: Sendable {
  /// The one of the running suite.
  @TaskLocal static var current: ReplicatedStack?

  private let folder: String
  private let variables: [String: String]

  /// A member of the stack, as `scripts/stack` names it.
  enum Member: String {
    case primary, replica1, replica2, warehouse
  }

  private init(_ folder: String, _ variables: [String: String]) {
    self.folder = folder
    self.variables = variables
  }

  // MARK: Life

  /// Starts the servers, makes the schema and feeds the warehouse.
  static func start() async throws -> ReplicatedStack {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("sluice-reads-\(UInt32.random(in: 0 ... .max))").path
    do {
      try await script("up", "--dir", folder, "--no-fsync", "--no-redis")
      let text = try String(contentsOfFile: "\(folder)/stack.env", encoding: .utf8)
      let stack = ReplicatedStack(folder, parse(text))
      let migrated = try await Command.run(
        GatewayProcess.program,
        ["migrate", "--dsn", stack.dsn(.primary)]
      )
      guard migrated.status == 0 else { throw HarnessError("sluice migrate: \(migrated.errors)") }
      try await script("subscribe", "--dir", folder)
      return stack
    } catch {
      _ = try await Command.run(program, ["destroy", "--dir", folder])
      throw error
    }
  }

  func destroy() async throws { try await ReplicatedStack.script("destroy", "--dir", folder) }

  /// Starts what was killed.
  func up() async throws {
    try await ReplicatedStack.script("up", "--dir", folder, "--no-fsync", "--no-redis")
  }

  private static let program: String = {
    let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    let root = tests.deletingLastPathComponent().deletingLastPathComponent()
    return root.appendingPathComponent("scripts/stack").path
  }()

  private static func script(_ arguments: String...) async throws {
    let result = try await Command.run(program, arguments)
    guard result.status == 0 else {
      throw HarnessError("scripts/stack \(arguments): \(result.output)\(result.errors)")
    }
  }

  /// The lines `export NAME='VALUE'` of stack.env.
  private static func parse(_ text: String) -> [String: String] {
    var variables: [String: String] = [:]
    for line in text.split(separator: "\n") where line.hasPrefix("export ") {
      let parts = line.dropFirst("export ".count).split(separator: "=", maxSplits: 1)
      guard parts.count == 2 else { continue }
      variables[String(parts[0])] = parts[1].filter { $0 != "'" }
    }
    return variables
  }

  // MARK: Members

  private func variable(_ name: String) -> String { variables[name] ?? "" }

  /// For a gateway.
  func dsn(_ member: Member) -> String {
    let replicas = variable("SLUICE_REPLICA_DSNS").split(separator: ",").map(String.init)
    return switch member {
    case .primary: variable("SLUICE_PRIMARY_DSN")
    case .replica1: replicas[0]
    case .replica2: replicas[1]
    case .warehouse: variable("SLUICE_WAREHOUSE_DSN")
    }
  }

  /// Leads to whichever of two members is the primary.
  func dsn(primaryOf first: Member, _ second: Member) -> String {
    func setting(_ member: Member, _ name: String) -> String {
      let query = dsn(member).split(separator: "?").last ?? ""
      let part = query.split(separator: "&").first { $0.hasPrefix("\(name)=") }
      return part.map { String($0.dropFirst(name.count + 1)) } ?? ""
    }
    let hosts = "\(setting(first, "host")),\(setting(second, "host"))"
    let ports = "\(setting(first, "port")),\(setting(second, "port"))"
    return "postgresql://sluice@/sluice?host=\(hosts)&port=\(ports)&target_session_attrs=read-write"
  }

  /// The settings of a gateway that reads from all of them.
  var options: [String] {
    [
      "--replica-dsns", "\(dsn(.replica1)),\(dsn(.replica2))", "--warehouse-dsn", dsn(.warehouse),
    ]
  }

  /// Runs SQL on a member as superuser; rows with columns separated by `|`.
  @discardableResult
  func sql(_ member: Member, _ text: String) async throws -> String {
    let result = try await Command.run(
      "\(variable("SLUICE_STACK_PG_BINDIR"))/psql",
      [
        "-XAtq", "-v", "ON_ERROR_STOP=1", "-f", "-",
        dsn(member).replacingOccurrences(of: "//sluice@", with: "//postgres@"),
      ],
      input: text
    )
    guard result.status == 0 else { throw HarnessError("psql: \(result.errors)") }
    return String(result.output.hasSuffix("\n") ? result.output.dropLast() : result.output[...])
  }

  /// Keeps a replica where it is.
  func pauseReplay(_ member: Member) async throws {
    try await sql(member, "SELECT pg_wal_replay_pause()")
    try await eventually("replay is paused") {
      try await sql(member, "SELECT pg_get_wal_replay_pause_state()") == "paused"
    }
  }

  func resumeReplay(_ member: Member) async throws {
    try await sql(member, "SELECT pg_wal_replay_resume()")
  }

  /// Undoes what a test that failed has left, so that the next one begins with healthy servers.
  func heal() async throws {
    for member in [Member.primary, .replica1, .replica2] { try? signal(member, SIGCONT) }
    try await up()
    try await resumeReplay(.replica1)
    try await resumeReplay(.replica2)
    try await sql(.warehouse, "ALTER SUBSCRIPTION sluice_warehouse ENABLE")
    try await sql(.primary, "DROP POLICY IF EXISTS slow ON sluice.entities")
    try await sql(
      .primary,
      "ALTER TABLE sluice.entities DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY"
    )
  }

  /// Sends a signal to every process of a member, its first process first.
  func signal(_ member: Member, _ number: Int32) throws {
    let data = "\(variable("SLUICE_STACK_DATA"))/\(member.rawValue)"
    let postmaster = try String(contentsOfFile: "\(data)/postmaster.pid", encoding: .utf8)
      .split(separator: "\n").first.flatMap { Int32($0) }
    guard let postmaster else { throw HarnessError("\(member) has no pid") }
    kill(postmaster, number)
    for name in try FileManager.default.contentsOfDirectory(atPath: "/proc") {
      guard let pid = Int32(name), pid != postmaster,
        let status = try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8),
        status.contains("PPid:\t\(postmaster)\n")
      else { continue }
      kill(pid, number)
    }
  }
}

/// Starts a replicated stack for the tests of a suite and removes it afterwards.
struct ReplicatedStackTrait: SuiteTrait, TestScoping {
  func provideScope(
    for test: Test,
    testCase: Test.Case?,
    performing function: @concurrent @Sendable () async throws -> Void
  ) async throws {
    let stack = try await ReplicatedStack.start()
    do {
      try await ReplicatedStack.$current.withValue(stack) { try await function() }
    } catch {
      try await stack.destroy()
      throw error
    }
    try await stack.destroy()
  }
}

extension Trait where Self == ReplicatedStackTrait {
  static var replicatedStack: Self { ReplicatedStackTrait() }
}
