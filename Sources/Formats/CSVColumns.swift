// Finds out from a header which column means what.

/// The two shapes of a CSV file of telemetry.
public enum CSVLayout: String, CaseIterable, Sendable {
  /// A row for each time, a column for each attribute.
  case wide
  /// A row for each value: entity, attribute, time, value and perhaps its type.
  case long
}

/// The meaning of each column of a file.
///
/// Names are compared without regard to case, blanks and hyphens. A name that was asked for wins
/// over one that was guessed.
public struct CSVColumns: Equatable, Sendable {
  /// The shape of the file.
  public let layout: CSVLayout
  /// The names of all columns.
  public let names: [String]
  /// The column of the time.
  public let time: Int
  /// The column of the entity key; nil when one entity was given for all rows.
  public let entity: Int?
  /// Wide form: the columns that hold values.
  public let attributes: [Int]
  /// Long form: the column of the attribute name.
  public let attribute: Int?
  /// Long form: the column of the value.
  public let value: Int?
  /// Long form: the column of the type, where there is one.
  public let type: Int?
  /// The names of columns that give no values; worth telling the user.
  public let unused: [String]

  private static let timeNames = [
    "time", "timestamp", "ts", "observed_at", "datetime", "date_time", "date", "_time",
    "@timestamp", "recorded_at", "created_at",
  ]
  private static let entityNames = [
    "entity", "entity_key", "entity_id", "host", "hostname", "device", "device_id", "sensor",
    "sensor_id", "id",
  ]
  // "name" could as well be an attribute, so it counts only when the long form was asked for.
  private static let attributeNames = ["attribute", "metric", "variable", "parameter", "_field"]
  private static let attributeNamesWhenLong = attributeNames + ["field", "key", "name"]
  private static let valueNames = ["value", "_value", "reading"]
  private static let typeNames = ["type", "value_type"]

  /// Reads a header.
  ///
  /// - Parameters:
  ///   - header: the names of the columns.
  ///   - options: what the user asked for.
  /// - Throws: which column is missing, unnamed or there twice.
  public init(header: [String], options: CSVImportOptions) throws(ImportError) {
    let finder = try Finder(header: header, options: options)
    guard let time = try finder.column(asked: options.timeColumn, guesses: Self.timeNames) else {
      throw .timeColumnUnknown
    }
    var entity: Int?
    if options.entity == nil || options.entityColumn != nil {
      entity = try finder.column(asked: options.entityColumn, guesses: Self.entityNames)
      guard entity != nil else { throw .entityUnknown }
    }
    let isLongAsked =
      options.layout == .long || options.attributeColumn != nil || options.valueColumn != nil
    let attribute = try finder.column(
      asked: options.attributeColumn,
      guesses: isLongAsked ? Self.attributeNamesWhenLong : Self.attributeNames
    )
    let value = try finder.column(asked: options.valueColumn, guesses: Self.valueNames)
    let type = try finder.column(asked: options.typeColumn, guesses: Self.typeNames)

    names = header
    self.time = time
    self.entity = entity
    let taken: [Int]
    if options.layout != .wide, let attribute, let value {
      layout = .long
      self.attribute = attribute
      self.value = value
      self.type = type
      attributes = []
      taken = [time, attribute, value] + [entity, type].compactMap(\.self)
    } else {
      guard !isLongAsked || options.layout == .wide else { throw .longColumnsUnknown }
      layout = .wide
      self.attribute = nil
      self.value = nil
      self.type = nil
      attributes = finder.usable.filter { $0 != time && $0 != entity }
      guard !attributes.isEmpty else { throw .attributesMissing }
      for name in options.types.keys.sorted() { _ = try finder.exact(name) }
      taken = attributes + [time] + [entity].compactMap(\.self)
    }
    unused = header.indices.filter { !taken.contains($0) }.map { header[$0] }
  }

  /// Looks for columns by name.
  private struct Finder {
    let header: [String]
    let folded: [String]
    /// The columns that are not to be ignored.
    let usable: [Int]

    init(header: [String], options: CSVImportOptions) throws(ImportError) {
      self.header = header
      folded = header.map(Self.folded)
      usable = header.indices.filter { !options.ignoredColumns.contains(header[$0]) }
      for name in options.ignoredColumns.sorted() where !header.contains(name) {
        throw .columnUnknown(name)
      }
      var seen: Set<String> = []
      for index in usable {
        guard !folded[index].isEmpty else { throw .columnUnnamed(index + 1) }
        guard seen.insert(header[index]).inserted else { throw .columnTwice(header[index]) }
      }
    }

    /// The column that was asked for, else the first of the guesses that the header has.
    func column(asked: String?, guesses: [String]) throws(ImportError) -> Int? {
      if let asked { return try exact(asked) }
      for guess in guesses {
        if let index = usable.first(where: { folded[$0] == guess }) { return index }
      }
      return nil
    }

    /// The column of this very name, or of one that differs only in case.
    func exact(_ name: String) throws(ImportError) -> Int {
      if let index = usable.first(where: { header[$0] == name }) { return index }
      let wanted = Self.folded(name)
      guard let index = usable.first(where: { folded[$0] == wanted }) else {
        throw .columnUnknown(name)
      }
      return index
    }

    static func folded(_ name: String) -> String {
      let trimmed = Ascii.trimmed(Array(name.utf8)[...])
      let bytes = trimmed.map { byte in
        byte == Ascii.space || byte == Ascii.minus
          ? UInt8(ascii: "_") : Ascii.lowercased(byte)
      }
      return String(decoding: bytes, as: UTF8.self)
    }
  }
}
