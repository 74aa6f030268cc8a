// Turns lines of line protocol into points.

/// An importer of InfluxDB line protocol.
///
/// Without an entity tag, an entity is what InfluxDB calls a series: `cpu,core=0,host=web1` (the
/// tags sorted by name, escaped as in the protocol), and an attribute is a field: `idle`.
///
/// With an entity tag such as `host`, an entity is the value of that tag: `web1`, and an attribute
/// is measurement and field with the tags that are left: `cpu.idle,core=0`, or just `mem.free`.
/// Without the tags, the series of one host would overwrite each other. They can be left out where
/// they are known not to tell series apart.
public struct LineProtocolImport: PointImport {
  /// How lines become points.
  public struct Options: Sendable {
    /// How the input is cut into lines and times are read.
    public var reader = LineProtocolReader.Options()
    /// The time of lines that have none.
    public var now: Timestamp
    /// The tag whose value is the entity; a line without it is a problem.
    public var entityTag: String?
    /// With an entity tag: whether the other tags become part of the attribute.
    public var keepsOtherTags = true

    /// The usual options.
    ///
    /// - Parameter now: the time of lines that have none.
    public init(now: Timestamp) {
      self.now = now
    }
  }

  private let options: Options
  private var reader: LineProtocolReader

  /// Starts an import.
  public init(options: Options) {
    self.options = options
    reader = LineProtocolReader(options: options.reader)
  }

  /// Appends bytes of the input; at best after `next()` has returned nil.
  public mutating func feed(_ bytes: ArraySlice<UInt8>) {
    reader.feed(bytes)
  }

  /// Says that the input has no more bytes.
  public mutating func finish() {
    reader.finish()
  }

  /// The next line with its points or its problem; never throws.
  ///
  /// - Returns: the line, or nil when more bytes (or `finish()`) are needed or the input is over.
  public mutating func next() -> ImportedRecord? {
    do throws(LineProtocolError) {
      guard let line = try reader.next() else { return nil }
      return ImportedRecord(line: line.line, points: try points(from: line))
    } catch {
      let problem = ImportProblem(
        line: error.line,
        column: error.column,
        reason: .lineProtocol(error.problem)
      )
      return ImportedRecord(line: error.line, problems: [problem])
    }
  }

  private func points(from line: LineProtocolLine) throws(LineProtocolError) -> [Point] {
    let time = line.time ?? options.now
    guard let entityTag = options.entityTag else {
      let entity = Self.seriesKey(Self.escaped(line.measurement, isMeasurement: true), line.tags)
      return line.fields.map {
        Point(entity: entity, attribute: $0.name, time: time, value: $0.value)
      }
    }
    guard let entity = line.tags.first(where: { $0.name == entityTag }) else {
      throw LineProtocolError(line: line.line, column: 1, problem: .entityTagMissing)
    }
    let otherTags = options.keepsOtherTags ? line.tags.filter { $0.name != entityTag } : []
    return line.fields.map { field in
      // Without other tags there is nothing to tell apart, so the names stay as they are.
      let name = "\(line.measurement).\(field.name)"
      return Point(
        entity: entity.value,
        attribute: Self.seriesKey(name, otherTags),
        time: time,
        value: field.value
      )
    }
  }

  /// A name followed by tags as the protocol writes them.
  private static func seriesKey(_ name: String, _ tags: [LineProtocolLine.Tag]) -> String {
    var key = name
    for tag in tags {
      key += ","
      key += escaped(tag.name)
      key += "="
      key += escaped(tag.value)
    }
    return key
  }

  private static func escaped(_ text: String, isMeasurement: Bool = false) -> String {
    func mustEscape(_ byte: UInt8) -> Bool {
      byte == Ascii.comma || byte == Ascii.space || (byte == Ascii.equals && !isMeasurement)
    }
    guard text.utf8.contains(where: mustEscape) else { return text }
    var escaped: [UInt8] = []
    for byte in text.utf8 {
      if mustEscape(byte) { escaped.append(Ascii.backslash) }
      escaped.append(byte)
    }
    return String(decoding: escaped, as: UTF8.self)
  }
}
