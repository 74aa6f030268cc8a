// Names of time zones, and under which of them the database finds the zone.

/// A name that can only be one of the IANA database.
///
/// PostgreSQL takes more for a zone: abbreviations such as CEST, and rules such as "foo/bar5" that
/// it makes up a zone from. Those have no area and are none of the few names without one, or have
/// digits where no name has any. Whether the name exists only PostgreSQL knows.
public struct TimeZoneName: Equatable, Sendable {
  /// Longer than any of them.
  public static let bytesMax = 64
  /// What was asked for.
  public let text: String

  /// What PostgreSQL is asked for.
  var databaseName: String { TimeZoneName.shadowed[text] ?? text }

  /// Fails when there is no such zone, also where there is no time to be brought there.
  var check: PostgresStatement {
    PostgresStatement(
      "SELECT CAST('1970-01-01 00:00:00+00' AS timestamptz) AT TIME ZONE $1",
      [.text(databaseName)],
      resultFormat: .text
    )
  }

  /// Nil when it cannot be one.
  public init?(_ text: String) {
    // A folder of copies that some systems have, and PostgreSQL lists.
    let name = text.hasPrefix("posix/") ? String(text.dropFirst(6)) : text
    guard TimeZoneName.withoutArea.contains(name) || TimeZoneName.isWithArea(name) else {
      return nil
    }
    self.text = text
  }

  /// All names that have no area, as in pg_timezone_names; new ones always have one.
  ///
  /// Source: the files "backward" and "etcetera" of the IANA database.
  private static let withoutArea: Set<String> = [
    "CET", "CST6CDT", "Cuba", "EET", "EST", "EST5EDT", "Egypt", "Eire", "Factory", "GB", "GB-Eire",
    "GMT", "GMT+0", "GMT-0", "GMT0", "Greenwich", "HST", "Hongkong", "Iceland", "Iran", "Israel",
    "Jamaica", "Japan", "Kwajalein", "Libya", "MET", "MST", "MST7MDT", "NZ", "NZ-CHAT", "Navajo",
    "PRC", "PST8PDT", "Poland", "Portugal", "ROC", "ROK", "Singapore", "Turkey", "UCT", "UTC",
    "Universal", "W-SU", "WET", "Zulu",
  ]

  /// Names that are abbreviations, too, which PostgreSQL looks for first: its CET knows no summer.
  ///
  /// Each is a link to the zone beside it. Source: the file "backward" of the IANA database.
  private static let shadowed = [
    "CET": "Europe/Brussels", "EET": "Europe/Athens", "EST": "America/Panama",
    "HST": "Pacific/Honolulu", "MET": "Europe/Brussels", "MST": "America/Phoenix",
    "WET": "Europe/Lisbon",
  ]

  private static func isWithArea(_ text: String) -> Bool {
    let bytes = text.utf8
    return bytes.contains(UInt8(ascii: "/")) && bytes.count <= TimeZoneName.bytesMax
      && bytes.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
          UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "/"):
          true
        case UInt8(ascii: "0")...UInt8(ascii: "9"): text.hasPrefix("Etc/GMT")
        default: false
        }
      }
  }
}
