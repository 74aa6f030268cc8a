internal import CLibpq
internal import Glibc

// The only file that sees a PGconn: libpq's asynchronous calls, one method each.

/// One libpq connection.
///
/// Every call returns at once; waiting is the caller's business.
///
/// After `close` every method behaves as on a dead connection: libpq accepts NULL everywhere.
/// Source: libpq manual, chapters "Asynchronous Command Processing" and "Pipeline Mode".
@safe
final class LibpqSession {
  enum Polling { case reading, writing, connected, failed }
  enum Flush { case done, again, failed }
  enum Put { case taken, full, failed }
  enum Transaction { case idle, active, open, failed, unknown }

  /// Notices kept for one operation: the newest.
  static let noticesMax = 16

  private var raw: OpaquePointer?
  /// Notices since they were last removed.
  var notices: [PostgresNotice] = []
  /// Reused by every send.
  private var parameters = ParameterBuffer()

  /// Starts to connect (PQconnectStartParams).
  ///
  /// Host names must have been resolved: libpq would block.
  ///
  /// - Throws: `.connectFailed(outOfResources)` when libpq has no memory.
  init(_ dsn: PostgresDSN) throws(PostgresError) {
    let keywords = unsafe LibpqSession.duplicates(dsn.settings.map(\.keyword))
    let values = unsafe LibpqSession.duplicates(dsn.settings.map(\.value))
    defer {
      unsafe (keywords + values).forEach { unsafe free(UnsafeMutableRawPointer(mutating: $0)) }
    }
    guard let raw = unsafe PQconnectStartParams(keywords, values, 0) else {
      throw .connectFailed(.init(kind: .outOfResources, sqlstate: nil, message: ""))
    }
    unsafe self.raw = raw
    // While connecting the SQLSTATE is told in the error text only, and only when it is verbose.
    unsafe PQsetErrorVerbosity(raw, PQERRORS_VERBOSE)
    // The session outlives the PGconn, which it finishes itself, so the context stays valid.
    unsafe PQsetNoticeReceiver(
      raw,
      { context, result in
        guard let context = unsafe context, let result = unsafe result else { return }
        unsafe Unmanaged<LibpqSession>.fromOpaque(context).takeUnretainedValue().took(result)
      },
      Unmanaged.passUnretained(self).toOpaque()
    )
  }

  deinit { unsafe PQfinish(raw) }

  /// Says goodbye if that needs no waiting, and closes the socket: remove its registration before.
  func close() {
    unsafe PQfinish(raw)
    unsafe raw = nil
  }

  // MARK: Connecting

  func poll() -> Polling {
    switch unsafe PQconnectPoll(raw) {
    case PGRES_POLLING_READING: .reading
    case PGRES_POLLING_WRITING: .writing
    case PGRES_POLLING_OK: .connected
    default: .failed
    }
  }

  /// To be called once connected: from now on no call may block.
  func becomeNonblocking() -> Bool { unsafe PQsetnonblocking(raw, 1) == 0 }

  // MARK: State

  /// The socket, negative when there is none.
  ///
  /// libpq closes and replaces it while connecting.
  var socket: CInt { unsafe PQsocket(raw) }
  /// Whether `close` was called.
  var isClosed: Bool { unsafe raw == nil }
  /// Whether the connection is lost or was never made.
  var isBad: Bool { unsafe PQstatus(raw) == CONNECTION_BAD }
  /// Process id of the server's backend, or what a pooler gives instead.
  var backendID: CInt { unsafe PQbackendPID(raw) }
  /// As in server_version_num; 0 when the connection is bad.
  var serverVersion: Int { unsafe Int(PQserverVersion(raw)) }
  /// Whether the connection is encrypted.
  var isEncrypted: Bool { unsafe PQsslInUse(raw) != 0 || PQgssEncInUse(raw) != 0 }

  /// What went wrong last.
  ///
  /// The password is never part of it.
  var errorMessage: String {
    guard let text = unsafe PQerrorMessage(raw) else { return "" }
    return unsafe String(cString: text)
  }

  func parameterStatus(_ name: String) -> String? {
    guard let text = unsafe PQparameterStatus(raw, name) else { return nil }
    return unsafe String(cString: text)
  }

  var transaction: Transaction {
    switch unsafe PQtransactionStatus(raw) {
    case PQTRANS_IDLE: .idle
    case PQTRANS_ACTIVE: .active
    case PQTRANS_INTRANS: .open
    case PQTRANS_INERROR: .failed
    default: .unknown
    }
  }

  // MARK: Sending

  /// Sends SQL by the simple protocol; several statements are allowed.
  func send(script: String) -> Bool { unsafe PQsendQuery(raw, script) == 1 }

  /// Sends one unnamed statement.
  func send(_ statement: PostgresStatement) -> Bool {
    parameters.encode(statement.parameters)
    return unsafe withParameters { types, values, lengths, formats, count in
      unsafe PQsendQueryParams(
        raw,
        statement.sql,
        count,
        types,
        values,
        lengths,
        formats,
        statement.resultFormat.rawValue
      ) == 1
    }
  }

  /// Has the server parse a statement under a name; parameter types are those of the given values.
  func sendPrepare(_ statement: PostgresStatement, as name: String) -> Bool {
    parameters.encode(statement.parameters)
    return unsafe withParameters { types, _, _, _, count in
      unsafe PQsendPrepare(raw, name, statement.sql, count, types) == 1
    }
  }

  /// Runs a statement the server has parsed before.
  func send(_ statement: PostgresStatement, prepared name: String) -> Bool {
    parameters.encode(statement.parameters)
    return unsafe withParameters { _, values, lengths, formats, count in
      unsafe PQsendQueryPrepared(
        raw,
        name,
        count,
        values,
        lengths,
        formats,
        statement.resultFormat.rawValue
      ) == 1
    }
  }

  func enterPipeline() -> Bool { unsafe PQenterPipelineMode(raw) == 1 }
  func exitPipeline() -> Bool { unsafe PQexitPipelineMode(raw) == 1 }
  func sync() -> Bool { unsafe PQpipelineSync(raw) == 1 }

  /// Writes what is buffered, as far as the socket takes it.
  func flush() -> Flush {
    switch unsafe PQflush(raw) {
    case 0: .done
    case 1: .again
    default: .failed
    }
  }

  // MARK: COPY

  /// Buffers and begins to send one CopyData message.
  func putCopy(_ bytes: RawSpan) -> Put {
    let code = unsafe bytes.withUnsafeBytes { bytes in
      unsafe PQputCopyData(
        raw,
        bytes.baseAddress?.assumingMemoryBound(to: CChar.self),
        CInt(bytes.count)
      )
    }
    return switch code {
    case 1: .taken
    case 0: .full
    default: .failed
    }
  }

  /// Ends the COPY, with `abort` as an error on the server.
  func endCopy(abort: String?) -> Put {
    switch unsafe PQputCopyEnd(raw, abort) {
    case 1: .taken
    case 0: .full
    default: .failed
    }
  }

  // MARK: Receiving

  /// Reads what has come; false when the connection is lost.
  func consumeInput() -> Bool { unsafe PQconsumeInput(raw) == 1 }

  /// Whether `nextResult` would have to wait.
  var isBusy: Bool { unsafe PQisBusy(raw) == 1 }

  /// The next answer; nil at the end of a query, or of one statement of a pipeline.
  func nextResult() -> PostgresResult? {
    guard let result = unsafe PQgetResult(raw) else { return nil }
    return unsafe PostgresResult(owning: result)
  }

  // MARK: Tracing

  /// Writes the protocol's messages to `stream` until `endTrace`.
  func trace(to stream: UnsafeMutablePointer<FILE>) {
    unsafe PQtrace(raw, stream)
    unsafe PQsetTraceFlags(raw, CInt(PQTRACE_SUPPRESS_TIMESTAMPS))
  }

  func endTrace() { unsafe PQuntrace(raw) }

  // MARK: Private

  /// A notice; libpq clears it after the call.
  private func took(_ result: OpaquePointer) {
    // The newest are kept: what a COMMIT warns of comes last.
    if notices.count == LibpqSession.noticesMax { notices.removeFirst() }
    let field = { (code: UInt8) -> String? in
      guard let text = unsafe PQresultErrorField(result, CInt(code)) else { return nil }
      return unsafe String(cString: text)
    }
    notices.append(
      PostgresNotice(
        sqlstate: SQLState(field(UInt8(ascii: "C")) ?? ""),
        severity: field(UInt8(ascii: "V")) ?? "",
        message: field(UInt8(ascii: "M")) ?? "",
        function: field(UInt8(ascii: "R")) ?? ""
      )
    )
  }

  private typealias Parameters = (
    UnsafePointer<Oid>?, UnsafePointer<UnsafePointer<CChar>?>?, UnsafePointer<CInt>?,
    UnsafePointer<CInt>?, CInt
  ) -> Bool

  /// The encoded parameters as libpq's four arrays; libpq copies what it needs during the call.
  private func withParameters(_ body: Parameters) -> Bool {
    let types = parameters.values.map(\.type.rawValue)
    let lengths = parameters.values.map { CInt($0.range?.count ?? 0) }
    let formats = parameters.values.map(\.format.rawValue)
    return unsafe parameters.bytes.withUnsafeBytes { bytes in
      let values = unsafe parameters.values.map { value -> UnsafePointer<CChar>? in
        guard let range = value.range, let base = bytes.baseAddress else { return nil }
        return unsafe (base + range.lowerBound).assumingMemoryBound(to: CChar.self)
      }
      return unsafe body(types, values, lengths, formats, CInt(parameters.values.count))
    }
  }

  /// C copies of strings, with NULL at the end; the caller frees each.
  private static func duplicates(_ strings: [String]) -> [UnsafePointer<CChar>?] {
    var copies: [UnsafePointer<CChar>?] = unsafe []
    for string in strings {
      let copy = unsafe strdup(string)
      unsafe copies.append(UnsafePointer(copy))
    }
    unsafe copies.append(nil)
    return unsafe copies
  }
}
