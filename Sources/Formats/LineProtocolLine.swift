// One parsed line of line protocol, before anybody decides what its entity is.

/// A measurement with its tags, fields and perhaps a time.
public struct LineProtocolLine: Equatable, Sendable {
  /// The line of the input on which it begins, from 1.
  public let line: Int
  /// The name of the measurement, unescaped.
  public let measurement: String
  /// The tags, unescaped, sorted by name.
  public let tags: [Tag]
  /// The fields in the order of the line, at least one.
  public let fields: [Field]
  /// The time, or nil when the line has none.
  public let time: Timestamp?

  /// A tag of a line.
  public struct Tag: Equatable, Sendable {
    /// The name, unescaped.
    public let name: String
    /// The value, unescaped, never empty.
    public let value: String
  }

  /// A field of a line.
  public struct Field: Equatable, Sendable {
    /// The name, unescaped.
    public let name: String
    /// The value: a number, integer, flag or label.
    public let value: PointValue
  }
}
