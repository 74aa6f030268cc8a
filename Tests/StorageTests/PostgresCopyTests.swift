import EventLoop
import Testing

@testable import Storage

/// Rows (int8, text) in the binary COPY form, header and trailer included.
private func copyData(rows: Range<Int>) -> [UInt8] {
  var bytes: [UInt8] = Array("PGCOPY\n\u{00ff}\r\n\0".unicodeScalars.map { UInt8($0.value) })
  bytes += [0, 0, 0, 0, 0, 0, 0, 0]
  bytes.reserveCapacity(bytes.count + rows.count * 30)
  for row in rows {
    let text = "value \(row)"
    bytes += [0, 2, 0, 0, 0, 8]
    unsafe withUnsafeBytes(of: Int64(row).bigEndian) { unsafe bytes.append(contentsOf: $0) }
    bytes += [0, 0, 0, UInt8(text.utf8.count)]
    bytes += text.utf8
  }
  return bytes + [0xff, 0xff]
}

@Suite("COPY into a server", .needsPostgres)
struct PostgresCopyTests {
  private static let script = """
    BEGIN; COPY t FROM STDIN (FORMAT binary); SELECT count(*), max(a) FROM t; COMMIT; \
    SELECT pg_current_wal_flush_lsn()
    """

  private func connected(
    _ body: @escaping @Sendable (PostgresConnection, EventLoop) async throws -> Void
  ) async throws {
    try await onLoop { loop in
      let connection = try await connect(loop)
      defer { connection.close() }
      _ = try await connection.script(
        "CREATE TEMP TABLE t (a int8 CHECK (a >= 0), b text)",
        deadline: soon()
      )
      try await body(connection, loop)
    }
  }

  private func count(_ connection: PostgresConnection) async throws -> Int64? {
    let result = try await connection.query("SELECT count(*) FROM t", deadline: soon())
    return try result.int64(row: 0, column: 0)
  }

  @Test("100,000 rows arrive, whatever the pieces", arguments: [1 << 24, 1 << 20, 65_536, 4_093])
  func rows(pieceBytes: Int) async throws {
    let data = copyData(rows: 0..<100_000)
    try await connected { connection, _ in
      let results = try await connection.copyIn(PostgresCopyTests.script, deadline: soon()) {
        (copy) async throws(PostgresError) in
        var offset = 0
        while offset < data.count {
          let end = min(offset + pieceBytes, data.count)
          try await copy.put(data, offset..<end)
          offset = end
        }
      }
      #expect(
        results.map(\.commandTag) == ["BEGIN", "COPY 100000", "SELECT 1", "COMMIT", "SELECT 1"]
      )
      #expect(try results[2].int64(row: 0, column: 0) == 100_000)
      #expect(try results[4].lsn(row: 0, column: 0) != nil)
      let rows = try await count(connection)
      #expect(rows == 100_000)
    }
  }

  @Test("one byte at a time is also COPY data")
  func bytewise() async throws {
    let data = copyData(rows: 0..<10)
    try await connected { connection, _ in
      _ = try await connection.copyIn(PostgresCopyTests.script, deadline: soon()) {
        (copy) async throws(PostgresError) in
        for index in data.indices {
          try await copy.put(data, index..<index + 1)
        }
      }
      let rows = try await count(connection)
      #expect(rows == 10)
    }
  }

  @Test("bad data fails the COPY with its place, and the connection goes on")
  func badData() async throws {
    var bad = copyData(rows: 0..<100_000)
    bad[20] = 77
    let data = bad
    try await connected { connection, _ in
      let error = await thrown { () async throws(PostgresError) in
        _ = try await connection.copyIn(PostgresCopyTests.script, deadline: soon()) {
          (copy) async throws(PostgresError) in try await copy.put(data, data.indices)
        }
      }
      guard case .server(let server) = error else {
        Issue.record("no server error: \(String(describing: error))")
        return
      }
      #expect(server.sqlstate.family == "22" && server.statementIndex == 1)
      #expect(connection.isUsable && connection.isIdle)
      let rows = try await count(connection)
      #expect(rows == 0)
    }
  }

  @Test("a violated constraint rolls the whole script back")
  func constraint() async throws {
    let data = copyData(rows: -1..<5)
    try await connected { connection, _ in
      let error = await thrown { () async throws(PostgresError) in
        _ = try await connection.copyIn(PostgresCopyTests.script, deadline: soon()) {
          (copy) async throws(PostgresError) in try await copy.put(data, data.indices)
        }
      }
      #expect(error?.sqlstate == "23514" && error?.isOutcomeUnknown == false)
      let rows = try await count(connection)
      #expect(rows == 0)
    }
  }

  @Test("a body that throws aborts the COPY, and its error is the one thrown")
  func aborted() async throws {
    let data = copyData(rows: 0..<1_000)
    try await connected { connection, _ in
      let error = await thrown { () async throws(PostgresError) in
        _ = try await connection.copyIn(PostgresCopyTests.script, deadline: soon()) {
          (copy) async throws(PostgresError) in
          try await copy.put(data, 0..<5_000)
          throw .protocolViolation("changed my mind")
        }
      }
      #expect(error == .protocolViolation("changed my mind"))
      #expect(connection.isUsable && connection.isIdle)
      let rows = try await count(connection)
      #expect(rows == 0)
    }
  }

  @Test("a script without COPY is refused after it ran, one that fails before it has its error")
  func withoutCopy() async throws {
    try await connected { connection, _ in
      let missing = await thrown { () async throws(PostgresError) in
        _ = try await connection.copyIn("SELECT 1", deadline: soon()) { _ in }
      }
      #expect(missing == .protocolViolation("a script without COPY FROM STDIN"))
      let failed = await thrown { () async throws(PostgresError) in
        _ = try await connection.copyIn(
          "BEGIN; COPY no_such_table FROM STDIN; COMMIT",
          deadline: soon()
        ) { _ in }
      }
      #expect(failed?.sqlstate == "42P01")
      #expect(connection.isUsable && connection.isIdle)
    }
  }

  @Test("a COPY may end in an open transaction, which a pipeline finishes")
  func thenPipeline() async throws {
    let data = copyData(rows: 0..<100)
    try await connected { connection, _ in
      _ = try await connection.copyIn(
        "BEGIN; COPY t FROM STDIN (FORMAT binary)",
        deadline: soon()
      ) { (copy) async throws(PostgresError) in try await copy.put(data, data.indices) }
      #expect(!connection.isIdle)
      let results = try await connection.pipeline(
        [
          PostgresStatement("SELECT count(*) FROM t WHERE a < $1", [.int64(50)], isPrepared: true),
          PostgresStatement("COMMIT"), PostgresStatement("SELECT pg_current_wal_flush_lsn()"),
        ],
        deadline: soon()
      )
      #expect(try results[0].get().int64(row: 0, column: 0) == 50)
      #expect(try results[1].get().commandTag == "COMMIT")
      #expect(connection.isIdle)
    }
  }

  @Test("a body that never comes to an end is stopped by the deadline")
  func deadline() async throws {
    let data = copyData(rows: 0..<1_000)
    try await connected { connection, loop in
      let started = MonotonicTime.now()
      let error = await thrown { () async throws(PostgresError) in
        _ = try await connection.copyIn(
          PostgresCopyTests.script,
          deadline: soon(.milliseconds(100))
        ) { (copy) async throws(PostgresError) in
          try await copy.put(data, 0..<19)
          while true {
            await pause(.milliseconds(20), on: loop)
            try await copy.put(data, 19..<19)
          }
        }
      }
      #expect(error == .timedOut(outcomeUnknown: false))
      #expect(MonotonicTime.now() - started < .seconds(2))
      #expect(connection.isUsable && connection.isIdle)
      let rows = try await count(connection)
      #expect(rows == 0)
    }
  }

  @Test("a server that stops reading is given up after deadline and grace")
  func blocked() async throws {
    let data = copyData(rows: 0..<100_000)
    try await connected { connection, loop in
      // A lock that is waited for inside the COPY: the server does not read meanwhile.
      _ = try await connection.script(
        """
        CREATE FUNCTION pg_temp.slow() RETURNS trigger LANGUAGE plpgsql AS \
        $$ BEGIN PERFORM pg_sleep(30); RETURN NEW; END $$;
        CREATE TRIGGER slow BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION pg_temp.slow()
        """,
        deadline: soon()
      )
      let error = await thrown { () async throws(PostgresError) in
        _ = try await connection.copyIn(
          PostgresCopyTests.script,
          deadline: soon(.milliseconds(200))
        ) { (copy) async throws(PostgresError) in try await copy.put(data, data.indices) }
      }
      #expect(error == .timedOut(outcomeUnknown: false))
      #expect(connection.isUsable && connection.isIdle, "the cancel ended the sleep")
    }
  }
}
