// A position in the history of one cluster, opaque to clients.

/// Everything acknowledged up to a log position of one timeline of one cluster.
public struct FreshnessToken: Equatable, Sendable {
  /// Size when encoded: version, cluster, timeline, both positions, check.
  public static let byteCount = 33
  private static let version: UInt8 = 1
  private static let versionOfWarehouse: UInt8 = 2

  /// Whose log it is.
  public var systemIdentifier: UInt64
  /// Positions of different timelines cannot be compared.
  public var timeline: UInt32
  /// A flush position, read after a synchronous commit or before a read.
  public var lsn: PostgresLSN
  /// Beyond `lsn`, when the answer may have shown what lies up to here; nil where it did not, and
  /// where nobody asked.
  ///
  /// An answer shows everything up to `lsn` and some of what came between its proof and its
  /// snapshot. Whoever is not to go back in time needs all of it.
  public var seen: PostgresLSN?
  /// The warehouse gave it: reports that follow come from there again.
  public var isOfWarehouse = false
  /// It is what is likely to be there, by a feed that keeps no order, and proves nothing: such a
  /// token is never given away.
  public var isEstimated = false

  /// A token of these parts.
  public init(systemIdentifier: UInt64, timeline: UInt32, lsn: PostgresLSN) {
    self.systemIdentifier = systemIdentifier
    self.timeline = timeline
    self.lsn = lsn
  }

  /// Reads a token from a client; nil when it is none, or was altered.
  public init?(_ bytes: [UInt8]) {
    guard bytes.count == FreshnessToken.byteCount,
      bytes[0] == FreshnessToken.version || bytes[0] == FreshnessToken.versionOfWarehouse
    else { return nil }
    var reader = ByteReader(bytes[1...])
    guard let systemIdentifier = reader.integer(UInt64.self),
      let timeline = reader.integer(UInt32.self), let lsn = reader.integer(UInt64.self),
      let seen = reader.integer(UInt64.self),
      reader.integer(UInt32.self) == FreshnessToken.check(bytes.dropLast(4))
    else { return nil }
    self.init(
      systemIdentifier: systemIdentifier,
      timeline: timeline,
      lsn: PostgresLSN(value: lsn)
    )
    if seen > lsn { self.seen = PostgresLSN(value: seen) }
    isOfWarehouse = bytes[0] == FreshnessToken.versionOfWarehouse
  }

  /// Whether it is a later position than another token's, or one of another history.
  public func replaces(_ other: FreshnessToken) -> Bool {
    identity != other.identity || lsn > other.lsn
  }

  /// The bytes a client keeps and gives back.
  public var bytes: [UInt8] {
    precondition(!isEstimated, "whoever gets a token takes it for a proof")
    let version =
      isOfWarehouse ? FreshnessToken.versionOfWarehouse : FreshnessToken.version
    let body =
      [version] + ByteWriter.bytes(systemIdentifier) + ByteWriter.bytes(timeline)
      + ByteWriter.bytes(lsn.value) + ByteWriter.bytes(max(lsn, seen ?? lsn).value)
    return body + ByteWriter.bytes(FreshnessToken.check(body[...]))
  }

  private static func check(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    var fingerprint = Fingerprint()
    fingerprint.add(bytes)
    return UInt32(truncatingIfNeeded: fingerprint.value ^ fingerprint.value >> 32)
  }
}
