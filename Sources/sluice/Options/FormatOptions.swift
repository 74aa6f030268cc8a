internal import ArgumentParser
internal import Formats

// How the input of `sluice import` is to be read.

/// The formats that can be imported.
enum InputFormat: String, ExpressibleByArgument, CaseIterable, Sendable {
  case auto
  case csv
  case lineProtocol = "line-protocol"
}

/// Options that say what the columns or tags of the input mean.
struct FormatOptions: ParsableArguments, Sendable {
  @Option(
    help: ArgumentHelp(
      "csv, line-protocol, or auto: by the file's name, else by its first line.",
      valueName: "format"
    )
  )
  var format = InputFormat.auto

  @Option(help: ArgumentHelp("CSV: one entity for all rows.", valueName: "key"))
  var entity: String?

  @Option(help: ArgumentHelp("CSV: the column of the entity.", valueName: "name"))
  var entityColumn: String?

  @Option(help: ArgumentHelp("CSV: the column of the time.", valueName: "name"))
  var timeColumn: String?

  @Option(
    help: ArgumentHelp(
      "Unit of times that are plain numbers: s, ms, us or ns (line protocol: ns unless said).",
      valueName: "unit"
    ),
    transform: timeUnit
  )
  var precision: TimeUnit?

  @Option(help: ArgumentHelp("CSV: wide or long (default: by the header).", valueName: "layout"))
  var layout: LayoutChoice?

  @Option(help: ArgumentHelp("CSV, long: the column of the attribute.", valueName: "name"))
  var attributeColumn: String?

  @Option(help: ArgumentHelp("CSV, long: the column of the value.", valueName: "name"))
  var valueColumn: String?

  @Option(help: ArgumentHelp("CSV, long: the column of the value's type.", valueName: "name"))
  var typeColumn: String?

  @Option(
    help: ArgumentHelp(
      "CSV: types of attributes: number, integer, flag, label or document; what is not said is"
        + " found out from the first rows.",
      valueName: "name=type,…"
    )
  )
  var types: [String] = []

  @Option(help: ArgumentHelp("CSV: leave out a column; may be repeated.", valueName: "name"))
  var ignore: [String] = []

  @Option(
    help: ArgumentHelp(
      "CSV: the byte between fields; tab for a tab (default: tab for .tsv, else a comma).",
      valueName: "character"
    )
  )
  var delimiter: String?

  @Option(help: ArgumentHelp("Line protocol: the tag whose value is the entity.", valueName: "tag"))
  var entityTag: String?

  @Flag(help: "Line protocol, with --entity-tag: leave the other tags out of the attribute's name.")
  var dropTags = false

  func validate() throws {
    _ = try csvOptions()
    guard entity == nil || entityColumn == nil else {
      throw ValidationError("choose one of --entity and --entity-column")
    }
  }

  /// The options of a CSV file.
  ///
  /// - Throws: which of them cannot be.
  func csvOptions() throws -> CSVImportOptions {
    var options = CSVImportOptions()
    options.layout = layout.map { $0 == .wide ? .wide : .long }
    options.timeColumn = timeColumn
    options.timeUnit = precision
    options.entityColumn = entityColumn
    options.entity = entity
    options.attributeColumn = attributeColumn
    options.valueColumn = valueColumn
    options.typeColumn = typeColumn
    options.ignoredColumns = Set(ignore)
    for (name, typeName) in try Assignments.parse(types, "--types") {
      guard let type = PointType(name: typeName) else {
        throw ValidationError(
          "'\(typeName)' is no type; write number, integer, flag, label or document"
        )
      }
      options.types[name] = type
    }
    if let delimiter { options.reader.delimiter = try delimiterByte(delimiter) }
    options.reader.recordBytesMax = CSVReader.recordBytesLimit
    return options
  }

  /// The options of line protocol; `now` is the time of lines that have none.
  func lineProtocolOptions(now: Timestamp) -> LineProtocolImport.Options {
    var options = LineProtocolImport.Options(now: now)
    options.entityTag = entityTag
    options.keepsOtherTags = !dropTags
    if let precision { options.reader.precision = precision }
    options.reader.lineBytesMax = LineProtocolReader.lineBytesLimit
    return options
  }

  private func delimiterByte(_ delimiter: String) throws -> UInt8 {
    if delimiter == "tab" || delimiter == "\\t" { return UInt8(ascii: "\t") }
    guard delimiter.utf8.count == 1, let byte = delimiter.utf8.first,
      byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\n"), byte != UInt8(ascii: "\r")
    else { throw ValidationError("--delimiter is one character, such as ';', or the word tab") }
    return byte
  }
}

private let timeUnit: @Sendable (String) throws -> TimeUnit = { text in
  guard let unit = TimeUnit(name: text) else {
    throw ValidationError("'\(text)' is no unit of time; write s, ms, us or ns")
  }
  return unit
}

/// The shapes of a CSV file, as an option names them.
enum LayoutChoice: String, ExpressibleByArgument, CaseIterable, Sendable {
  case wide
  case long
}

/// Pairs of the form NAME=VALUE, separated by commas or given as several options.
enum Assignments {
  /// Reads the pairs; the last equals sign counts, because names may have some.
  ///
  /// - Throws: which pair has no equals sign or no name.
  static func parse(_ texts: [String], _ option: String) throws -> [(String, String)] {
    try texts.flatMap { $0.split(separator: ",") }.map { pair in
      guard let equals = pair.lastIndex(of: "="), equals > pair.startIndex else {
        throw ValidationError("\(option): '\(pair)' is not NAME=VALUE")
      }
      return (String(pair[..<equals]), String(pair[pair.index(after: equals)...]))
    }
  }
}
