import EventLoop
import Testing

@testable import Storage

@Suite("queries against a server", .needsPostgres)
struct PostgresQueryTests {
  /// Runs `body` with a connection of its own.
  private func connected(
    role: PostgresRole = .direct("test"),
    _ body: @escaping @Sendable (PostgresConnection) async throws -> Void
  ) async throws {
    try await onLoop { loop in
      let connection = try await connect(loop, role: role)
      defer { connection.close() }
      try await body(connection)
    }
  }

  @Test("every kind of parameter comes back as it went", arguments: [PostgresFormat.text, .binary])
  func kinds(format: PostgresFormat) async throws {
    try await connected { connection in
      let result = try await connection.query(
        """
        SELECT $1::int4, $2::int8, $3::float8, $4::text, $5::bytea, $6::bool, $7::pg_lsn,
          $8::int8, $9::uuid::text, $10::jsonb::text, $11::numeric::text,
          $12::timestamptz = '2000-01-01 00:00:01+00'
        """,
        [
          .int32(.min), .int64(.max), .double(-0.0), .text("naïve 😀"), .bytea([0, 1, 255]),
          .bool(true), .lsn(PostgresLSN(value: 0x16_b374_d848)), .null,
          .uuid(Array(repeating: 0xab, count: 16)), .jsonb(#"{"a": [1, null]}"#),
          .untyped("12.50"), .timestamp(1_000_000),
        ],
        resultFormat: format,
        deadline: soon()
      )
      #expect(result.columnFormat(0) == format)
      #expect(try result.int64(row: 0, column: 0) == Int64(Int32.min))
      #expect(try result.int64(row: 0, column: 1) == .max)
      #expect(try result.double(row: 0, column: 2)?.sign == .minus)
      #expect(result.text(row: 0, column: 3) == "naïve 😀")
      #expect(try result.bytea(row: 0, column: 4) == [0, 1, 255])
      #expect(try result.bool(row: 0, column: 5) == true)
      #expect(try result.lsn(row: 0, column: 6) == PostgresLSN("16/B374D848"))
      #expect(try result.int64(row: 0, column: 7) == nil && result.isNull(row: 0, column: 7))
      #expect(result.text(row: 0, column: 8) == "abababab-abab-abab-abab-abababababab")
      #expect(result.text(row: 0, column: 9) == #"{"a": [1, null]}"#)
      #expect(result.text(row: 0, column: 10) == "12.50")
      #expect(try result.bool(row: 0, column: 11) == true)
    }
  }

  @Test("empty values are not NULL")
  func empty() async throws {
    try await connected { connection in
      let alone = try await connection.query("SELECT $1::text", [.text("")], deadline: soon())
      #expect(!alone.isNull(row: 0, column: 0))
      let result = try await connection.query(
        "SELECT $1::text, $2::bytea, cardinality($3::text[]), $4::text",
        [.text(""), .bytea([]), .array([String]()), .untyped("")],
        deadline: soon()
      )
      for column in 0..<4 { #expect(!result.isNull(row: 0, column: column)) }
      #expect(result.text(row: 0, column: 0) == "" && result.text(row: 0, column: 3) == "")
      #expect(try result.bytea(row: 0, column: 1) == [])
      #expect(try result.int64(row: 0, column: 2) == 0)
    }
  }

  @Test("arrays of every kind, NULLs among them, arrive element by element")
  func arrays() async throws {
    var flags = PostgresArray(of: .bool)
    flags.append(true)
    flags.appendNull()
    var documents = PostgresArray(of: .jsonb)
    documents.append("{}")
    documents.append(#""x""#)
    var uuids = PostgresArray(of: .uuid)
    uuids.append([UInt8](repeating: 1, count: 16))
    var times = PostgresArray(of: .timestamp)
    times.append(Int64(0))
    let parameters: [PostgresParameter] = [
      .array([1, 2, 3] as [Int64]), .array([4, 5] as [Int32]), .array([0.5, .nan]),
      .array(["a,b", "", "{\"}"]), .array([[0, 255], []]), .array(flags), .array(documents),
      .array(uuids), .array(times),
    ]
    try await connected { connection in
      let result = try await connection.query(
        """
        SELECT $1::int8[]::text, $2::int4[]::text, $3::float8[]::text, ($4::text[])[3],
          $5::bytea[]::text, $6::bool[]::text, $7::jsonb[]::text, $8::uuid[]::text,
          ($9::timestamptz[])[1] = '2000-01-01 00:00:00+00'
        """,
        parameters,
        deadline: soon()
      )
      let expected = [
        "{1,2,3}", "{4,5}", "{0.5,NaN}", "{\"}", #"{"\\x00ff","\\x"}"#, "{t,NULL}",
        #"{"{}","\"x\""}"#, "{01010101-0101-0101-0101-010101010101}",
      ]
      for (column, text) in expected.enumerated() {
        #expect(result.text(row: 0, column: column) == text)
      }
      #expect(try result.bool(row: 0, column: 8) == true)
    }
  }

  @Test("a value of another type is an error, not a guess")
  func wrongType() async throws {
    try await connected { connection in
      let result = try await connection.query("SELECT 'x'::text, 1.5::numeric", deadline: soon())
      #expect(throws: PostgresError.self) { try result.int64(row: 0, column: 0) }
      #expect(throws: PostgresError.self) { try result.bool(row: 0, column: 0) }
      #expect(throws: PostgresError.self) { try result.lsn(row: 0, column: 0) }
      #expect(throws: PostgresError.self) { try result.int64(row: 0, column: 1) }
    }
  }

  @Test("a result of many megabytes arrives whole")
  func big() async throws {
    try await connected { connection in
      let result = try await connection.query(
        "SELECT i, repeat('x', 1000) FROM generate_series(1, 20000) i",
        deadline: soon()
      )
      #expect(result.rowCount == 20_000 && result.commandTag == "SELECT 20000")
      #expect(try result.int64(row: 19_999, column: 0) == 20_000)
      #expect(result.bytes(row: 19_999, column: 1)?.byteCount == 1000)
    }
  }

  @Test("a parameter of many megabytes is sent without blocking")
  func bigParameter() async throws {
    try await connected { connection in
      let text = String(repeating: "0123456789", count: 2_000_000)
      let result = try await connection.query(
        "SELECT length($1), $1",
        [.text(text)],
        deadline: soon()
      )
      #expect(try result.int64(row: 0, column: 0) == 20_000_000)
      #expect(result.text(row: 0, column: 1) == text)
    }
  }

  @Test("an error has its fields, and the connection goes on")
  func errorAndOn() async throws {
    try await connected { connection in
      _ = try await connection.script(
        "CREATE TEMP TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (7)",
        deadline: soon()
      )
      let error = await thrown { () async throws(PostgresError) in
        _ = try await connection.query(
          "INSERT INTO t VALUES ($1)",
          [.int32(7)],
          deadline: soon()
        )
      }
      guard case .server(let server) = error else {
        Issue.record("no server error: \(String(describing: error))")
        return
      }
      #expect(server.sqlstate == "23505" && server.severity == "ERROR")
      #expect(server.constraint == "t_pkey" && server.detail?.contains("(7)") == true)
      #expect(!"\(server)".contains("7)"), "no user data in the description")
      let result = try await connection.query("SELECT count(*) FROM t", deadline: soon())
      #expect(try result.int64(row: 0, column: 0) == 1)
    }
  }

  @Test("a script answers each statement, and says where it failed")
  func script() async throws {
    try await connected { connection in
      let results = try await connection.script(
        "BEGIN; SELECT 1; COMMIT; SELECT 2",
        deadline: soon()
      )
      #expect(results.map(\.commandTag) == ["BEGIN", "SELECT 1", "COMMIT", "SELECT 1"])
      let error = await thrown { () async throws(PostgresError) in
        _ = try await connection.script("BEGIN; SELECT 1; SELECT 1/0; COMMIT", deadline: soon())
      }
      guard case .server(let server) = error else {
        Issue.record("no server error")
        return
      }
      #expect(server.sqlstate == "22012" && server.statementIndex == 2)
      #expect(connection.isUsable && connection.isIdle, "rolled back by itself")
    }
  }

  @Test("a failed transaction is rolled back before the caller sees the error")
  func rolledBack() async throws {
    try await connected { connection in
      _ = try await connection.script("BEGIN; CREATE TEMP TABLE gone (a int)", deadline: soon())
      #expect(!connection.isIdle)
      let error = await thrown { () async throws(PostgresError) in
        _ = try await connection.query("SELECT 1/0", deadline: soon())
      }
      #expect(error?.sqlstate == "22012")
      #expect(connection.isIdle)
    }
  }

  @Test("a pipeline answers each statement")
  func pipeline() async throws {
    try await connected { connection in
      let results = try await connection.pipeline(
        [
          PostgresStatement("SELECT pg_is_in_recovery()"),
          PostgresStatement("SELECT $1::int8", [.int64(5)]),
          PostgresStatement("SELECT repeat('x', 1000000)", resultFormat: .text),
        ],
        deadline: soon()
      )
      #expect(results.count == 3)
      #expect(try results[0].get().bool(row: 0, column: 0) == false)
      #expect(try results[1].get().int64(row: 0, column: 0) == 5)
      #expect(try results[2].get().text(row: 0, column: 0)?.utf8.count == 1_000_000)
    }
  }

  @Test("an error in the middle of a pipeline skips the rest and undoes the first")
  func pipelineError() async throws {
    try await connected { connection in
      _ = try await connection.script("CREATE TEMP TABLE t (a int)", deadline: soon())
      let results = try await connection.pipeline(
        [
          PostgresStatement("INSERT INTO t VALUES (1)"), PostgresStatement("SELECT 1/0"),
          PostgresStatement("INSERT INTO t VALUES (2)"),
        ],
        deadline: soon()
      )
      #expect(try results[0].get().affectedRows == 1)
      guard case .failure(.server(let error)) = results[1] else {
        Issue.record("no server error")
        return
      }
      #expect(error.sqlstate == "22012" && error.statementIndex == 1)
      guard case .failure(.pipelineAborted) = results[2] else {
        Issue.record("not skipped")
        return
      }
      let count = try await connection.query("SELECT count(*) FROM t", deadline: soon())
      #expect(try count.int64(row: 0, column: 0) == 0)
    }
  }

  @Test("a pipeline larger than all buffers is sent and answered at the same time")
  func pipelineOfMegabytes() async throws {
    try await connected { connection in
      let text = String(repeating: "x", count: 1_000_000)
      let statements = (0..<20).map { _ in PostgresStatement("SELECT $1::text", [.text(text)]) }
      let results = try await connection.pipeline(statements, deadline: soon())
      for result in results {
        #expect(try result.get().text(row: 0, column: 0)?.utf8.count == 1_000_000)
      }
    }
  }

  @Test("a kept statement is parsed once, by type of its parameters")
  func prepared() async throws {
    try await connected { connection in
      for value in 1...3 {
        let result = try await connection.query(
          PostgresStatement("SELECT $1 + 0", [.int64(Int64(value))], isPrepared: true),
          deadline: soon()
        )
        #expect(try result.int64(row: 0, column: 0) == Int64(value))
      }
      let double = PostgresStatement("SELECT $1 + 0", [.double(0.5)], isPrepared: true)
      let results = try await connection.pipeline([double, double], deadline: soon())
      for result in results { #expect(try result.get().double(row: 0, column: 0) == 0.5) }
      let count = try await connection.query(
        "SELECT count(*) FROM pg_prepared_statements",
        deadline: soon()
      )
      #expect(try count.int64(row: 0, column: 0) == 2)
    }
  }

  @Test("a statement that cannot be parsed fails alone")
  func preparedError() async throws {
    try await connected { connection in
      let wrong = PostgresStatement("SELECT no_such_column", isPrepared: true)
      for _ in 0..<2 {
        let error = await thrown { () async throws(PostgresError) in
          _ = try await connection.query(wrong, deadline: soon())
        }
        #expect(error?.sqlstate == "42703")
      }
      let results = try await connection.pipeline(
        [PostgresStatement("SELECT 1"), wrong, PostgresStatement("SELECT 2")],
        deadline: soon()
      )
      guard case .failure(.server(let error)) = results[1] else {
        Issue.record("no server error")
        return
      }
      #expect(error.sqlstate == "42703" && error.statementIndex == 1)
    }
  }

  @Test("a kept statement whose table changed is parsed again the next time")
  func preparedStale() async throws {
    try await connected { connection in
      _ = try await connection.script("CREATE TEMP TABLE t AS SELECT 1 a", deadline: soon())
      let all = PostgresStatement("SELECT * FROM t", isPrepared: true)
      _ = try await connection.query(all, deadline: soon())
      _ = try await connection.script("ALTER TABLE t ADD b int DEFAULT 2", deadline: soon())
      let error = await thrown { () async throws(PostgresError) in
        _ = try await connection.query(all, deadline: soon())
      }
      #expect(error?.sqlstate == "0A000")
      #expect(try await connection.query(all, deadline: soon()).columnCount == 2)
    }
  }

  @Test("a pooled role keeps statements where no pooler stands between")
  func pooledRole() async throws {
    try await connected(role: .pooled("test")) { connection in
      let statement = PostgresStatement(
        "SELECT count(*) FROM pg_prepared_statements",
        isPrepared: true
      )
      #expect(connection.isOwnSession)
      for _ in 0..<2 {
        let result = try await connection.query(statement, deadline: soon())
        #expect(try result.int64(row: 0, column: 0) == 1)
      }
    }
  }

  @Test("notices are kept for the caller, of the last operation only")
  func notices() async throws {
    try await connected { connection in
      _ = try await connection.script(
        "DO $$ BEGIN FOR i IN 1..100 LOOP RAISE WARNING 'w%', i; END LOOP; END $$",
        deadline: soon()
      )
      #expect(connection.notices.count == LibpqSession.noticesMax)
      #expect(connection.notices.first?.severity == "WARNING")
      #expect(connection.notices.first?.message == "w85")
      #expect(connection.notices.last?.message == "w100")
      _ = try await connection.query("SELECT 1", deadline: soon())
      #expect(connection.notices.isEmpty)
    }
  }

  @Test("a COPY where none belongs is refused, and the connection goes on or is closed")
  func copyInQuery() async throws {
    try await connected { connection in
      _ = try await connection.script("CREATE TEMP TABLE t (a int)", deadline: soon())
      let error = await thrown { () async throws(PostgresError) in
        _ = try await connection.script("COPY t FROM STDIN", deadline: soon())
      }
      guard case .protocolViolation = error else {
        Issue.record("\(String(describing: error))")
        return
      }
      #expect(connection.isUsable && connection.isIdle)
      let out = await thrown { () async throws(PostgresError) in
        _ = try await connection.script("COPY t TO STDOUT", deadline: soon())
      }
      #expect(out != nil && !connection.isUsable)
    }
  }
}
