import EventLoop
import Testing

@testable import Storage

@Suite("connection strings")
struct PostgresDSNTests {
  @Test("both forms are read")
  func forms() throws {
    let words = try PostgresDSN("host=a port=5433 dbname='my db'")
    #expect(words.setting("dbname") == "my db" && words.setting("user") == nil)
    let uri = try PostgresDSN("postgresql://u:p%40ss@h1:1,h2:2/d?target_session_attrs=any")
    #expect(uri.setting("host") == "h1,h2" && uri.setting("port") == "1,2")
    #expect(uri.setting("password") == "p@ss")
  }

  @Test("a setting is replaced, not added twice")
  func replaced() throws {
    let dsn = try PostgresDSN("host=a").setting("host", to: "b")
    #expect(dsn.settings.count == 1 && dsn.setting("host") == "b")
  }

  @Test("no form of printing shows a password")
  func redacted() throws {
    let dsn = try PostgresDSN("host=a password=hunter2 sslpassword=hunter2")
    var dumped = ""
    dump(dsn, to: &dumped)
    for text in ["\(dsn)", String(reflecting: dsn), dumped] {
      #expect(!text.contains("hunter2"))
    }
    #expect("\(dsn)".contains("password=***"))
  }

  @Test(
    "a fault is named without repeating the text",
    arguments: [
      ("", PostgresDSNProblem.empty), ("  ", .empty), ("hunter2", .missingEquals),
      ("password=x hunter2=y", .unknownKeyword), ("password='hunter2", .unterminatedQuote),
      ("postgresql://u:%zzhunter2@h/d", .percentEncoding),
      ("postgresql://[hunter2/d", .malformedURI), ("host=a\0hunter2", .zeroByte),
    ]
  )
  func faults(text: String, problem: PostgresDSNProblem) {
    #expect(throws: PostgresError.invalidDSN(problem)) { try PostgresDSN(text) }
    #expect(!"\(PostgresError.invalidDSN(problem))".contains("hunter2"))
  }

  @Test("places are listed in order, and only names need a lookup")
  func endpoints() throws {
    let dsn = try PostgresDSN("host=/tmp,db.example,10.0.0.1,::1 port=1,2,3,4")
    let endpoints = try HostResolver.endpoints(dsn)
    #expect(endpoints.map(\.address) == ["", nil, "10.0.0.1", "::1"])
    #expect(endpoints.map(\.port) == ["1", "2", "3", "4"])
    let uneven = try PostgresDSN("host=a,b,c port=1,2")
    #expect(throws: PostgresError.self) { try HostResolver.endpoints(uneven) }
  }

  @Test(
    "log positions are read and printed as the server does",
    arguments: [
      ("16/B374D848", 0x16_b374_d848 as UInt64), ("0/0", 0), ("FFFFFFFF/1", 0xffff_ffff_0000_0001),
    ]
  )
  func lsn(text: String, value: UInt64) throws {
    #expect(try #require(PostgresLSN(text)).value == value)
    #expect(PostgresLSN(value: value).description == text)
  }

  @Test(
    "anything else is no log position",
    arguments: ["", "/", "1", "1/2/3", "1/+2", "100000000/0", "g/0"]
  )
  func notLSN(text: String) {
    #expect(PostgresLSN(text) == nil)
  }
}

@Suite("connecting", .needsPostgres)
struct PostgresConnectTests {
  private func failure(
    _ change: @escaping @Sendable (PostgresDSN) -> PostgresDSN,
    role: PostgresRole = .pooled("test")
  ) async throws -> PostgresConnectFailure? {
    try await onLoop { loop in
      let error = await thrown {
        () async throws(PostgresError) in
        let dsn = try PostgresDSN(PostgresTestServer.text ?? "")
        let connection = try await PostgresConnection.connect(
          to: change(dsn),
          role: role,
          on: loop,
          deadline: soon()
        )
        connection.close()
      }
      guard case .connectFailed(let failure) = error else { return nil }
      return failure
    }
  }

  @Test("a connection knows its server and shows its role")
  func connected() async throws {
    try await onLoop { loop in
      let connection = try await connect(loop, role: .pooled("reader"))
      defer { connection.close() }
      #expect(connection.serverVersion >= 150_000 && connection.backendID > 0)
      let result = try await connection.query(
        "SELECT current_setting('application_name')",
        deadline: soon()
      )
      #expect(result.text(row: 0, column: 0) == "sluice/reader")
      let identity = try await connection.identity(deadline: soon())
      #expect(!identity.isInRecovery && identity.systemIdentifier != 0 && identity.timeline >= 1)
      #expect(identity.synchronousCommit != "off")
    }
  }

  @Test("a port nobody listens on is named as such")
  func wrongPort() async throws {
    let tcp = try await failure { $0.setting("host", to: "127.0.0.1").setting("port", to: "1") }
    #expect(tcp?.kind == .unreachable)
    #expect(tcp?.description == "no server answers at this address")
    let unix = try await failure { $0.setting("host", to: "/tmp").setting("port", to: "1") }
    #expect(unix?.kind == .unreachable)
  }

  @Test("a database that does not exist is named as such")
  func wrongDatabase() async throws {
    let failure = try await failure { $0.setting("dbname", to: "no_such_database") }
    #expect(failure?.kind == .noSuchDatabase)
    #expect(failure?.description == "the database does not exist (3D000)")
  }

  @Test("a user the server refuses is named as such, and the password nowhere")
  func wrongPassword() async throws {
    let failure = try await failure {
      $0.setting("user", to: "no_such_user").setting("password", to: "hunter2")
    }
    #expect(failure?.kind == .authentication)
    #expect(failure?.sqlstate?.family == "28")
    #expect(failure.map { "\($0) \($0.message)".contains("hunter2") } == false)
  }

  @Test("a host name that does not exist is named as such, without blocking the loop")
  func unknownHost() async throws {
    let failure = try await failure { $0.setting("host", to: "no-such-host.invalid") }
    #expect(failure?.kind == .unknownHost)
  }

  @Test("a host name is looked up off the loop and tried at each address")
  func hostName() async throws {
    // Whether the server listens on TCP is the runner's affair: only the way there is asked for.
    let failure = try await failure { $0.setting("host", to: "localhost").setting("port", to: "1") }
    #expect(failure?.kind == .unreachable)
    // libpq was given the address, so it had nothing to look up.
    #expect(failure?.message.contains { $0.isNumber } == true)
    #expect(failure?.message.contains("localhost") == false)
  }

  @Test("a server that accepts and says nothing is given up at the deadline")
  func silent() async throws {
    let silent = try Socket.listen(on: SocketAddress(host: "127.0.0.1", port: 0))
    let port = try silent.localPort()
    let error = try await onLoop { loop in
      await thrown { () async throws(PostgresError) in
        let dsn = try PostgresDSN("host=127.0.0.1 port=\(port) user=a dbname=a")
        _ = try await PostgresConnection.connect(
          to: dsn,
          role: .pooled("test"),
          on: loop,
          deadline: soon(.milliseconds(50))
        )
      }
    }
    guard case .connectFailed(let failure) = error else {
      Issue.record("no connect failure: \(String(describing: error))")
      return
    }
    #expect(failure.kind == .timedOut)
  }

  @Test("a role that needs synchronous commits refuses a session without them")
  func synchronousCommit() async throws {
    let off: @Sendable (PostgresDSN) -> PostgresDSN = {
      $0.setting("options", to: "-c synchronous_commit=off")
    }
    let careful = PostgresRole.pooled("test", requiresSynchronousCommit: true)
    #expect(try await failure(off, role: careful)?.kind == .synchronousCommitOff)
    #expect(try await failure(off) == nil)
    #expect(try await failure({ $0 }, role: careful) == nil)
  }

  @Test("a setup that fails fails the connection with the server's words")
  func setup() async throws {
    try await onLoop { loop in
      let error = await thrown { () async throws(PostgresError) in
        _ = try await PostgresConnection.connect(
          to: PostgresDSN(PostgresTestServer.text ?? ""),
          role: .direct("test", setup: "SET no_such_setting = 1"),
          on: loop,
          deadline: soon()
        )
      }
      #expect(error?.sqlstate == "42704")
      let connection = try await connect(loop, role: .direct("test", setup: "SET work_mem = '1MB'"))
      defer { connection.close() }
      let result = try await connection.query("SHOW work_mem", deadline: soon())
      #expect(result.text(row: 0, column: 0) == "1MB")
    }
  }
}
