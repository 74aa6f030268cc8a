// What a user can say about a CSV file before it is imported.

/// How to read a CSV file; what is left nil is found out from the header.
public struct CSVImportOptions: Sendable {
  /// The shape of the file.
  public var layout: CSVLayout?
  /// The column of the time.
  public var timeColumn: String?
  /// The unit of times that are plain numbers; without it, plain numbers are refused.
  public var timeUnit: TimeUnit?
  /// The column of the entity key.
  public var entityColumn: String?
  /// One entity for all rows; a column such as `host` is then an attribute like any other.
  public var entity: String?
  /// Long form: the column of the attribute name.
  public var attributeColumn: String?
  /// Long form: the column of the value.
  public var valueColumn: String?
  /// Long form: the column of the value's type.
  public var typeColumn: String?
  /// Types by attribute name; what is not here is inferred.
  public var types: [String: PointType] = [:]
  /// Columns to leave out.
  public var ignoredColumns: Set<String> = []
  /// The records that are looked at before types are decided; 0 lets each first value decide.
  public var sampleRecordsMax = 1_000
  /// How the file is cut into records.
  public var reader = CSVReader.Options()

  /// Everything is found out from the header.
  public init() {}
}
