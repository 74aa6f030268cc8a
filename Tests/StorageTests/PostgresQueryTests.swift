import EventLoop
import Testing

@testable import Storage

@Suite("queries against a server", .needsPostgres)
struct PostgresQueryTests {
  @Test("one statement with one parameter is answered")
  func one() async throws {
    try await onLoop { loop in
      let connection = try await connect(loop)
      defer { connection.close() }
      let result = try await connection.query("SELECT $1 + 1", [.int64(41)], deadline: soon())
      #expect(try result.int64(row: 0, column: 0) == 42)
      #expect(result.rowCount == 1 && result.columnCount == 1)
      #expect(connection.canCancel)
    }
  }
}
