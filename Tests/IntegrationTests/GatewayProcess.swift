import EventLoop
import Foundation

// A gateway as operators run it: a process of its own.

/// A running `sluice serve`.
final class GatewayProcess: Sendable {
  let process: RunningProgram
  /// Where clients connect.
  let address: SocketAddress

  /// The program that was built with these tests.
  static let program: String = {
    let bundle = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    return bundle.deletingLastPathComponent().appendingPathComponent("sluice").path
  }()

  private init(_ process: RunningProgram, _ address: SocketAddress) {
    self.process = process
    self.address = address
  }

  /// Starts a gateway and waits until clients can connect.
  ///
  /// - Parameters:
  ///   - dsn: of the primary.
  ///   - port: 0 lets the system choose.
  ///   - options: further arguments of `serve`.
  /// - Returns: the gateway.
  /// - Throws: what it said, when it does not serve.
  static func start(
    _ dsn: String,
    port: UInt16 = 0,
    options: [String] = []
  ) async throws -> GatewayProcess {
    let arguments =
      ["serve", "--primary-dsn", dsn, "--listen", "127.0.0.1:\(port)", "--workers", "2"] + options
    let process = try await RunningProgram.start(program, arguments)
    do {
      var address: SocketAddress?
      try await eventually("the gateway listens") {
        if let status = process.status { throw HarnessError("it ended with \(status)") }
        let line = process.output.split(separator: "\n").first { $0.hasPrefix("listening on ") }
        address = line.flatMap { SocketAddress(String($0.dropFirst("listening on ".count))) }
        return address != nil
      }
      guard let address else { throw HarnessError("no address") }
      return GatewayProcess(process, address)
    } catch {
      process.signal(SIGKILL)
      throw HarnessError("\(error); the gateway said: \(process.errors)")
    }
  }

  /// Resident memory now, in bytes.
  var residentBytes: Int {
    let text = (try? String(contentsOfFile: "/proc/\(process.pid)/status", encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
    let digits = line.map { $0.filter(\.isNumber) } ?? ""
    return (Int(digits) ?? 0) << 10
  }

  /// Ends it as an operator does.
  ///
  /// - Returns: its exit code.
  @discardableResult
  func terminate(within limit: Duration = .seconds(20)) async throws -> Int32 {
    process.signal(SIGTERM)
    return try await process.wait(within: limit)
  }

  /// Ends it as a power failure does.
  func kill() async throws {
    process.signal(SIGKILL)
    _ = try await process.wait(within: .seconds(10))
  }
}

/// A process whose output goes into files.
final class RunningProgram: Sendable {
  let pid: Int32
  private let outputFile: URL
  private let errorFile: URL
  private let ended: Ended

  /// How it ended, set by the thread that waits for it.
  private final class Ended: @unchecked Sendable {
    private let lock = NSLock()
    private var value: Int32?

    var status: Int32? {
      get { lock.withLock { value } }
      set { lock.withLock { value = newValue } }
    }
  }

  private init(pid: Int32, outputFile: URL, errorFile: URL, ended: Ended) {
    self.pid = pid
    self.outputFile = outputFile
    self.errorFile = errorFile
    self.ended = ended
  }

  deinit {
    if ended.status == nil { Glibc.kill(pid, SIGKILL) }
    Command.remove(outputFile)
    Command.remove(errorFile)
  }

  static func start(_ path: String, _ arguments: [String]) async throws -> RunningProgram {
    let folder = FileManager.default.temporaryDirectory
    let name = UUID().uuidString
    let output = folder.appendingPathComponent("\(name).out")
    let errors = folder.appendingPathComponent("\(name).err")
    let ended = Ended()
    let pid = try Spawn.start(
      path,
      arguments,
      environment: Command.environment,
      input: "/dev/null",
      output: output.path,
      errors: errors.path
    )
    Thread.detachNewThread { ended.status = Spawn.wait(pid) }
    return RunningProgram(pid: pid, outputFile: output, errorFile: errors, ended: ended)
  }

  /// Its exit code, the negative signal that ended it, or nil while it runs.
  var status: Int32? { ended.status }
  var output: String { (try? String(contentsOf: outputFile, encoding: .utf8)) ?? "" }
  var errors: String { (try? String(contentsOf: errorFile, encoding: .utf8)) ?? "" }

  func signal(_ number: Int32) {
    if status == nil { Glibc.kill(pid, number) }
  }

  func wait(within limit: Duration) async throws -> Int32 {
    try await eventually("process \(pid) ends", within: limit) { status != nil }
    return status ?? -1
  }
}
