import EventLoop
import Glibc
import Testing

@testable import Storage

// What the tests against a real server share: where it is, and a loop to run on.

/// The server the test runner started, if it did.
enum PostgresTestServer {
  static let text = unsafe getenv("SLUICE_PRIMARY_DSN").map { unsafe String(cString: $0) }
  static var isPresent: Bool { text != nil }

  static var dsn: PostgresDSN {
    get throws { try PostgresDSN(#require(text)) }
  }
}

extension Trait where Self == ConditionTrait {
  /// Skips, visibly, what needs a server.
  static var needsPostgres: Self {
    .enabled(if: PostgresTestServer.isPresent, "SLUICE_PRIMARY_DSN is not set")
  }
}

/// The shape of a worker: an actor whose executor is its loop.
private actor TestWorker {
  nonisolated let loop: EventLoop

  init(_ loop: EventLoop) { self.loop = loop }

  nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }

  func run<T: Sendable>(_ body: @Sendable (EventLoop) async throws -> T) async throws -> T {
    try await body(loop)
  }
}

/// Runs `body` in a task on a loop of its own, whose thread ends afterwards.
func onLoop<T: Sendable>(
  _ body: @escaping @Sendable (EventLoop) async throws -> T
) async throws -> T {
  let loop = try EventLoop()
  let thread = try LoopThread(running: loop, name: "test-loop")
  let worker = TestWorker(loop)
  let outcome = await Task(executorPreference: loop) { try await worker.run(body) }.result
  loop.stop()
  thread.join()
  // The loop is unowned by its actor: it must be the last to go.
  return try withExtendedLifetime(loop) { try outcome.get() }
}

/// A connection to the test server.
func connect(
  _ loop: EventLoop,
  role: PostgresRole = .direct("test")
) async throws -> PostgresConnection {
  try await PostgresConnection.connect(
    to: PostgresTestServer.dsn,
    role: role,
    on: loop,
    deadline: soon()
  )
}

/// A deadline that no test reaches when all is well, however slow the machine.
func soon(_ duration: Duration = .seconds(120)) -> MonotonicTime { .now() + duration }

/// The error that `body` throws.
func thrown(
  by body: () async throws(PostgresError) -> Void
) async -> PostgresError? {
  do throws(PostgresError) {
    try await body()
    return nil
  } catch {
    return error
  }
}

/// Waits on the loop's timers.
func pause(_ duration: Duration, on loop: EventLoop) async {
  let cell = WaitCell<Bool>()
  _ = await cell.wait { _ = loop.schedule(at: .now() + duration) { cell.resume(true) } }
}

extension PostgresCopy {
  /// Sends a part of an array.
  func put(_ bytes: [UInt8], _ range: Range<Int>) async throws(PostgresError) {
    try await unsafe put(bytes.span.bytes.extracting(range))
  }
}
