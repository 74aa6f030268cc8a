internal import CLibpq

// One statement's answer, owned; values are read in place.

/// Why a statement's answer was asked for as text or binary.
public enum PostgresFormat: CInt, Sendable {
  /// Values as psql prints them.
  case text = 0
  /// Values as the types' send functions write them, big-endian.
  case binary = 1
}

/// The answer to one statement: rows, or what a command did.
///
/// Values stay in the memory libpq received them into; `bytes` borrows from there, the other
/// readers convert or copy. Row and column numbers start at 0 and must exist. Not thread-safe.
@safe
public final class PostgresResult {
  /// What the answer is.
  enum Status {
    case command, rows, empty, copyIn, copyOther, pipelineSync, pipelineAborted, error
  }

  private let raw: OpaquePointer

  /// Takes over a result and clears it at the end.
  init(owning raw: OpaquePointer) { unsafe self.raw = raw }

  deinit { unsafe PQclear(raw) }

  // MARK: Shape

  /// How many rows there are; 0 for a command.
  public var rowCount: Int { unsafe Int(PQntuples(raw)) }

  /// How many columns each row has; 0 for a command.
  public var columnCount: Int { unsafe Int(PQnfields(raw)) }

  /// The name of a column.
  public func columnName(_ column: Int) -> String {
    guard let name = unsafe PQfname(raw, checked(column: column)) else { return "" }
    return unsafe String(cString: name)
  }

  /// The first column of the given name, nil when there is none.
  ///
  /// The name is folded as SQL does.
  public func columnIndex(_ name: String) -> Int? {
    let column = unsafe PQfnumber(raw, name)
    return column < 0 ? nil : Int(column)
  }

  /// The oid of a column's type.
  public func columnType(_ column: Int) -> UInt32 {
    unsafe PQftype(raw, checked(column: column))
  }

  /// How a column's values are written.
  public func columnFormat(_ column: Int) -> PostgresFormat {
    unsafe PQfformat(raw, checked(column: column)) == 0 ? .text : .binary
  }

  /// What the server says was done: "COPY 1000", "COMMIT", "ROLLBACK", "SELECT 1".
  public var commandTag: String {
    guard let tag = unsafe PQcmdStatus(raw) else { return "" }
    return unsafe String(cString: tag)
  }

  /// How many rows the command touched or returned; nil for commands that do not say.
  public var affectedRows: Int? {
    guard let text = unsafe PQcmdTuples(raw) else { return nil }
    return unsafe Int(String(cString: text))
  }

  // MARK: Values

  /// Whether a value is NULL.
  public func isNull(row: Int, column: Int) -> Bool {
    unsafe PQgetisnull(raw, checked(row: row), checked(column: column)) != 0
  }

  /// The bytes of a value as they came, borrowed from the result; nil for NULL.
  @_lifetime(borrow self)
  public func bytes(row: Int, column: Int) -> RawSpan? {
    let (row, column) = (checked(row: row), checked(column: column))
    guard unsafe PQgetisnull(raw, row, column) == 0, let value = unsafe PQgetvalue(raw, row, column)
    else { return nil }
    let span = unsafe RawSpan(
      _unsafeStart: UnsafeRawPointer(value),
      byteCount: Int(PQgetlength(raw, row, column))
    )
    return unsafe _overrideLifetime(span, borrowing: self)
  }

  /// A copy of a field's bytes; nil for NULL.
  public func binary(row: Int, column: Int) -> [UInt8]? {
    guard let bytes = bytes(row: row, column: column) else { return nil }
    return unsafe bytes.withUnsafeBytes { unsafe Array($0) }
  }

  /// A value as text; nil for NULL.
  ///
  /// Right for text formats and for binary text, json, enums and names.
  public func text(row: Int, column: Int) -> String? {
    bytes(row: row, column: column)?.utf8Text
  }

  /// An integer of 2, 4 or 8 bytes, also oid and the like; nil for NULL.
  ///
  /// - Throws: `.protocolViolation` when the value is no integer.
  public func int64(row: Int, column: Int) throws(PostgresError) -> Int64? {
    guard columnFormat(column) == .binary else {
      return try parsed(row, column, "integer") { Int64($0) }
    }
    return try decoded(row, column, "integer") { bytes in
      switch bytes.byteCount {
      case 2: Int64(Int16(bitPattern: bytes.bigEndian()))
      case 4: Int64(Int32(bitPattern: bytes.bigEndian()))
      case 8: Int64(bitPattern: bytes.bigEndian())
      default: nil
      }
    }
  }

  /// A float4 or float8; nil for NULL.
  ///
  /// NaN, infinities and -0.0 come back as they were.
  ///
  /// - Throws: `.protocolViolation` when the value is no floating point number (numeric in binary
  ///   is not).
  public func double(row: Int, column: Int) throws(PostgresError) -> Double? {
    guard columnFormat(column) == .binary else {
      return try parsed(row, column, "number") { Double($0) }
    }
    return try decoded(row, column, "number") { bytes in
      switch bytes.byteCount {
      case 4: Double(Float(bitPattern: bytes.bigEndian()))
      case 8: Double(bitPattern: bytes.bigEndian())
      default: nil
      }
    }
  }

  /// A boolean; nil for NULL.
  ///
  /// - Throws: `.protocolViolation` when the value is none.
  public func bool(row: Int, column: Int) throws(PostgresError) -> Bool? {
    try decoded(row, column, "boolean") { bytes in
      guard bytes.byteCount == 1 else { return nil }
      return switch bytes.byte(0) {
      case 0, UInt8(ascii: "f"): false
      case 1, UInt8(ascii: "t"): true
      default: nil
      }
    }
  }

  /// A position in the log; nil for NULL.
  ///
  /// - Throws: `.protocolViolation` when the value is none.
  public func lsn(row: Int, column: Int) throws(PostgresError) -> PostgresLSN? {
    guard columnFormat(column) == .binary else {
      return try parsed(row, column, "log position") { PostgresLSN($0) }
    }
    return try decoded(row, column, "log position") { bytes in
      bytes.byteCount == 8 ? PostgresLSN(value: bytes.bigEndian()) : nil
    }
  }

  /// A bytea, copied; nil for NULL.
  ///
  /// Text is read in the hex form, which is the server's default.
  ///
  /// - Throws: `.protocolViolation` when the text is not in hex form.
  public func bytea(row: Int, column: Int) throws(PostgresError) -> [UInt8]? {
    let format = columnFormat(column)
    return try decoded(row, column, "bytea") { bytes in
      format == .binary ? bytes.copied : PostgresResult.hex(bytes)
    }
  }

  // MARK: For the connection

  /// postgres_ext.h's PG_DIAG_ constants, which are character macros and do not import.
  private enum ErrorField: CInt {
    case severity = 0x56  // 'V', not localized
    case sqlstate = 0x43  // 'C'
    case message = 0x4d  // 'M'
    case detail = 0x44  // 'D'
    case hint = 0x48  // 'H'
    case constraint = 0x6e  // 'n'
  }

  var status: Status {
    switch unsafe PQresultStatus(raw) {
    case PGRES_COMMAND_OK: .command
    case PGRES_TUPLES_OK, PGRES_SINGLE_TUPLE: .rows
    case PGRES_EMPTY_QUERY: .empty
    case PGRES_COPY_IN: .copyIn
    case PGRES_COPY_OUT, PGRES_COPY_BOTH: .copyOther
    case PGRES_PIPELINE_SYNC: .pipelineSync
    case PGRES_PIPELINE_ABORTED: .pipelineAborted
    default: .error
    }
  }

  /// The name of the error this answer is; nil when libpq made it up because the connection is
  /// gone.
  var sqlstate: SQLState? { field(.sqlstate).map { SQLState($0) } }

  /// The error this answer is, after `statementIndex` answered statements.
  func serverError(statementIndex: Int) -> PostgresServerError {
    PostgresServerError(
      sqlstate: sqlstate ?? "XX000",
      severity: field(.severity) ?? "ERROR",
      message: field(.message) ?? "",
      detail: field(.detail),
      hint: field(.hint),
      constraint: field(.constraint),
      statementIndex: statementIndex
    )
  }

  // MARK: Private

  private func field(_ field: ErrorField) -> String? {
    guard let text = unsafe PQresultErrorField(raw, field.rawValue) else { return nil }
    return unsafe String(cString: text)
  }

  private func checked(row: Int) -> CInt {
    precondition(row >= 0 && row < rowCount, "the row exists")
    return CInt(row)
  }

  private func checked(column: Int) -> CInt {
    precondition(column >= 0 && column < columnCount, "the column exists")
    return CInt(column)
  }

  private func decoded<T>(
    _ row: Int,
    _ column: Int,
    _ type: StaticString,
    _ body: (RawSpan) -> T?
  ) throws(PostgresError) -> T? {
    guard let bytes = bytes(row: row, column: column) else { return nil }
    guard let value = body(bytes) else {
      throw .protocolViolation("column \(column) is no \(type)")
    }
    return value
  }

  private func parsed<T>(
    _ row: Int,
    _ column: Int,
    _ type: StaticString,
    _ body: (String) -> T?
  ) throws(PostgresError) -> T? {
    try decoded(row, column, type) { bytes in body(bytes.utf8Text) }
  }

  private static func hex(_ text: RawSpan) -> [UInt8]? {
    guard text.byteCount >= 2, text.byteCount % 2 == 0, text.byte(0) == UInt8(ascii: "\\"),
      text.byte(1) == UInt8(ascii: "x")
    else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.byteCount / 2 - 1)
    for index in stride(from: 2, to: text.byteCount, by: 2) {
      guard let high = digit(text.byte(index)), let low = digit(text.byte(index + 1)) else {
        return nil
      }
      bytes.append(high << 4 | low)
    }
    return bytes
  }

  private static func digit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}
