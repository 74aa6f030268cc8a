internal import Formats

// What an import was asked to do, checked before anything is opened.

/// The checked options of `sluice import`.
struct ImportPlan: Sendable {
  let files: [String]
  let format: InputFormat
  let csv: CSVImportOptions
  private let isDelimiterSaid: Bool
  private(set) var lineProtocol: LineProtocolImport.Options
  /// New names of attributes by the ones they have in the input.
  let names: [String: String]
  let units: [String: String]
  let hotNames: Set<String>
  let isAllHot: Bool
  let isStaged: Bool
  let isStrict: Bool
  let showsProgress: Bool?

  init(_ command: ImportCommand) throws {
    files = command.files
    format = command.format.format
    csv = try command.format.csvOptions()
    isDelimiterSaid = command.format.delimiter != nil
    // One time for all lines without one, so that they stay one observation.
    lineProtocol = command.format.lineProtocolOptions(now: Environment.now)
    names = Dictionary(
      try Assignments.parse(command.rename, "--rename"),
      uniquingKeysWith: { $1 }
    )
    units = Dictionary(try Assignments.parse(command.unit, "--unit"), uniquingKeysWith: { $1 })
    hotNames = Set(command.hot.flatMap { $0.split(separator: ",").map(String.init) })
    isAllHot = hotNames.contains("all")
    isStaged = command.staged
    isStrict = command.strict
    showsProgress = command.progress
  }

  /// Gives lines without a time that of an earlier run, so that they are the same lines.
  mutating func use(now: Timestamp, _ command: ImportCommand) {
    lineProtocol = command.format.lineProtocolOptions(now: now)
  }

  /// The importer for a file that starts with these bytes.
  ///
  /// - Throws: that the file is compressed.
  func importer(
    for name: String,
    start: ArraySlice<UInt8>
  ) throws(CommandFailure) -> any PointImport {
    // The mark of gzip. RFC 1952, section 2.3.1
    guard !start.starts(with: [0x1F, 0x8B]) else {
      let isPiped = name == "-"
      let inner = name.lowercased().hasSuffix(".gz") ? String(name.dropLast(3)) : name
      let format = format == .auto ? Self.guess(inner, []) : format
      throw CommandFailure(
        "\(isPiped ? "standard input" : name) is compressed; use: zcat \(isPiped ? "FILE" : name)"
          + " | sluice import - --format \(format.rawValue)",
        .data
      )
    }
    switch format == .auto ? Self.guess(name, start) : format {
    case .lineProtocol: return LineProtocolImport(options: lineProtocol)
    case .csv, .auto:
      var options = csv
      if !isDelimiterSaid, name.lowercased().hasSuffix(".tsv") {
        options.reader.delimiter = UInt8(ascii: "\t")
      }
      return CSVImport(options: options)
    }
  }

  /// The format by the file's name, else by its first line that is not a comment.
  static func guess(_ name: String, _ start: ArraySlice<UInt8>) -> InputFormat {
    let lower = name.lowercased()
    if lower.hasSuffix(".csv") || lower.hasSuffix(".tsv") { return .csv }
    if [".lp", ".line", ".influx"].contains(where: lower.hasSuffix) { return .lineProtocol }
    let lines = start.split(separator: UInt8(ascii: "\n"))
    guard let line = lines.first(where: { $0.first != UInt8(ascii: "#") }) else { return .csv }
    // A header has no "name=value" behind a blank.
    let fields = line.split(separator: UInt8(ascii: " ")).dropFirst()
    let isLineProtocol = fields.contains { $0.contains(UInt8(ascii: "=")) }
    return isLineProtocol ? .lineProtocol : .csv
  }
}
