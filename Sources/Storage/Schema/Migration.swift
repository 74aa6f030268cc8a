// One step of the schema.

/// One step of the schema, never changed once released.
public struct Migration: Sendable {
  /// Counts from 1.
  public let version: Int
  /// A word for logs.
  public let name: String
  /// Its statements.
  public let sql: String

  /// FNV-1a over the text, 16 hex digits: tells an edited migration, guards against nothing else.
  public var checksum: String {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in sql.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    let digits = String(hash, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
