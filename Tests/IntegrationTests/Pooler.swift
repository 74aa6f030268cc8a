import Foundation
import Glibc
import Testing

// A real PgBouncer in transaction mode before the tests' primary, as RDS Proxy would stand there.

/// A running PgBouncer with its files in a folder of its own.
final class Pooler: Sendable {
  /// Server connections that it may have for each database.
  let serversMax: Int
  private let stack: Stack
  private let folder: URL
  private let port = 6_432
  private let owner: Owner
  private let running = Running()

  private actor Running {
    var process: RunningProgram?

    func set(_ process: RunningProgram?) { self.process = process }
  }

  /// Who the servers of the stack run as: PgBouncer refuses to be root, too.
  private struct Owner {
    var user: uid_t
    var group: gid_t
    var isOther: Bool { geteuid() == 0 && user != 0 }
  }

  /// Debian puts it where only root's PATH leads.
  private static let program = "/usr/sbin/pgbouncer"

  private init(_ stack: Stack, _ serversMax: Int, _ folder: URL, _ owner: Owner) {
    self.stack = stack
    self.serversMax = serversMax
    self.folder = folder
    self.owner = owner
  }

  /// Runs a test with one.
  static func run(
    serversMax: Int,
    on stack: Stack? = Stack.shared,
    _ body: (Pooler) async throws -> Void
  ) async throws {
    let stack = try #require(stack)
    let name = "sluice-pooler-\(UInt32.random(in: 0 ... .max))"
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(name)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { Command.remove(folder) }
    let owner = try owner(of: stack.setting("host"))
    if owner.isOther { _ = unsafe chown(folder.path, owner.user, owner.group) }
    let pooler = Pooler(stack, serversMax, folder, owner)
    try await pooler.start()
    do {
      try await body(pooler)
    } catch {
      try await pooler.stop()
      throw error
    }
    try await pooler.stop()
  }

  private static func owner(of path: String) throws -> Owner {
    var status = stat()
    guard unsafe stat(path, &status) == 0 else { throw HarnessError("no folder \(path)") }
    return Owner(user: status.st_uid, group: status.st_gid)
  }

  // MARK: Life

  func start() async throws {
    let file = folder.appendingPathComponent("pgbouncer.ini")
    try settings.write(to: file, atomically: true, encoding: .utf8)
    let process: RunningProgram
    if owner.isOther {
      process = try await RunningProgram.start(
        "setpriv",
        [
          "--reuid", "\(owner.user)", "--regid", "\(owner.group)", "--clear-groups", "--",
          Pooler.program, file.path,
        ]
      )
    } else {
      process = try await RunningProgram.start(Pooler.program, [file.path])
    }
    await running.set(process)
    try await eventually("the pooler answers") {
      if let status = process.status {
        throw HarnessError("pgbouncer ended with \(status): \(process.errors)")
      }
      return (try? await ask("SHOW VERSION")) != nil
    }
  }

  /// Ends it and all its connections at once.
  func stop() async throws {
    guard let process = await running.process else { return }
    process.signal(SIGTERM)
    _ = try await process.wait(within: .seconds(10))
    await running.set(nil)
  }

  private var settings: String {
    """
    [databases]
    * = host=\(stack.setting("host")) port=\(stack.setting("port")) user=sluice

    [pgbouncer]
    unix_socket_dir = \(folder.path)
    listen_port = \(port)
    auth_type = any
    pool_mode = transaction
    default_pool_size = \(serversMax)
    max_client_conn = 1000
    """
  }

  // MARK: Use

  /// Leads to a database of the primary through the pooler.
  func dsn(_ database: Database) -> String {
    "postgresql://sluice@/\(database.name)?host=\(folder.path)&port=\(port)"
  }

  /// How many connections there are now, as the pooler counts them.
  struct Count: Sendable {
    /// From the gateway.
    var clients: Int
    /// To PostgreSQL.
    var servers: Int
  }

  func count(_ database: Database) async throws -> Count {
    let lines = try await ask("SHOW POOLS").split(separator: "\n").map {
      $0.split(separator: "|", omittingEmptySubsequences: false).map(String.init)
    }
    let titles = try #require(lines.first)
    var count = Count(clients: 0, servers: 0)
    for line in lines.dropFirst() where line.first == database.name {
      for (title, text) in zip(titles, line) {
        // Those that are waiting or being checked are connections, too.
        if title.hasPrefix("cl_") { count.clients += Int(text) ?? 0 }
        if title.hasPrefix("sv_") { count.servers += Int(text) ?? 0 }
      }
    }
    return count
  }

  /// A command of the pooler's console; the titles come first.
  private func ask(_ command: String) async throws -> String {
    let result = try await Command.run(
      "\(stack.programs)/psql",
      [
        "-XAq", "-P", "footer=off", "-c", command,
        "postgresql://sluice@/pgbouncer?host=\(folder.path)&port=\(port)",
      ]
    )
    guard result.status == 0 else { throw HarnessError("pgbouncer: \(result.errors)") }
    return result.output
  }
}

extension Stack {
  /// A parameter of the primary's connection string, which is a URI.
  fileprivate func setting(_ name: String) -> String {
    let query = primaryDSN.split(separator: "?").last ?? ""
    let parts = query.split(separator: "&").first { $0.hasPrefix("\(name)=") }
    return parts.map { String($0.dropFirst(name.count + 1)) } ?? ""
  }
}
