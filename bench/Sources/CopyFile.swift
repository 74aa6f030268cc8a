internal import Client
internal import Glibc

// The same rows as files for psql's COPY BINARY.

/// Writes `file=PATH`: values `from` to `from + rows` as the gateway itself would COPY them.
///
/// Source: PostgreSQL manual, "COPY", section "Binary Format".
enum CopyFile {
  /// Microseconds from 1970 to 2000, where PostgreSQL's time begins.
  private static let epochMicroseconds: Int64 = 946_684_800_000_000
  private static let tenant: Int32 = 1

  static func run(_ arguments: Arguments) async throws {
    let client = try SluiceClient([arguments.gateway()])
    let series = try await Series(client, arguments)
    let from = try arguments.int("from", 0)
    let rows = try arguments.int("rows", 0)
    let file = unsafe open(arguments.text("file", ""), O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    guard file >= 0 else { throw ArgumentError(text: "file=PATH cannot be written") }
    defer { close(file) }
    var bytes = [UInt8]("PGCOPY\n".utf8) + [0xff, 0x0d, 0x0a, 0x00]
    bytes += [UInt8](repeating: 0, count: 8)
    for index in from..<from + rows {
      append(series.row(index), to: &bytes)
      if bytes.count > 1 << 20 { try flush(&bytes, file) }
    }
    bytes += [0xff, 0xff]
    try flush(&bytes, file)
    Output.result([("rows", .count(rows))])
  }

  private static func append(_ row: Series.Row, to bytes: inout [UInt8]) {
    big(UInt16(9), &bytes)
    field(UInt64(bitPattern: row.entity), &bytes)
    field(UInt64(bitPattern: row.observedAt - epochMicroseconds), &bytes)
    field(UInt32(bitPattern: tenant), &bytes)
    field(row.attribute, &bytes)
    field(row.number.bitPattern, &bytes)
    for _ in 0..<4 { big(UInt32.max, &bytes) }
  }

  private static func field<Value: FixedWidthInteger>(_ value: Value, _ bytes: inout [UInt8]) {
    big(UInt32(Value.bitWidth / 8), &bytes)
    big(value, &bytes)
  }

  private static func big<Value: FixedWidthInteger>(_ value: Value, _ bytes: inout [UInt8]) {
    for shift in stride(from: Value.bitWidth - 8, through: 0, by: -8) {
      bytes.append(UInt8(truncatingIfNeeded: value >> Value(shift)))
    }
  }

  private static func flush(_ bytes: inout [UInt8], _ file: CInt) throws {
    guard writeWhole(bytes, to: file) else {
      throw ArgumentError(text: "file=PATH cannot be written")
    }
    bytes.removeAll(keepingCapacity: true)
  }
}
