// A position in the write-ahead log.

/// A log sequence number; comparable within one timeline of one cluster only.
public struct PostgresLSN: Comparable, Hashable, Sendable {
  /// The position in bytes.
  public var value: UInt64

  /// The position `value` bytes into the log.
  public init(value: UInt64) { self.value = value }

  /// Reads "16/B374D848", as pg_lsn prints itself; nil when it is anything else.
  public init?(_ text: some StringProtocol) {
    let halves = text.split(separator: "/", omittingEmptySubsequences: false)
    guard halves.count == 2, let high = PostgresLSN.half(halves[0]),
      let low = PostgresLSN.half(halves[1])
    else { return nil }
    value = UInt64(high) << 32 | UInt64(low)
  }

  /// Orders by position.
  public static func < (left: PostgresLSN, right: PostgresLSN) -> Bool { left.value < right.value }

  private static func half(_ text: some StringProtocol) -> UInt32? {
    guard (1...8).contains(text.utf8.count), text.first?.isHexDigit == true else { return nil }
    return UInt32(text, radix: 16)
  }
}

extension PostgresLSN: CustomStringConvertible {
  /// As pg_lsn prints itself.
  public var description: String {
    let high = String(value >> 32, radix: 16, uppercase: true)
    let low = String(value & 0xffff_ffff, radix: 16, uppercase: true)
    return "\(high)/\(low)"
  }
}
