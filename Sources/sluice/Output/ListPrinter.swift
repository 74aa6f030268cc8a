internal import Formats
internal import Wire

// Prints lists of the catalog in the form that was asked for.

/// A list that is printed as a table, as CSV, or as one JSON object with an array.
struct ListPrinter {
  private let format: OutputFormat
  private let noun: String
  private let singular: String
  private var count = 0
  private var table: Table
  private var csv = CSVWriter()
  private var json = JSONWriter()

  /// - Parameters:
  ///   - format: the form.
  ///   - titles: the columns of table and CSV.
  ///   - noun: what is listed, in the plural; the key of the array in JSON.
  ///   - singular: the same for one.
  init(_ format: OutputFormat, _ titles: [String], _ noun: String, singular: String) {
    self.format = format
    self.noun = noun
    self.singular = singular
    table = Table(titles, alignments: [.left], columnWidthMax: 80)
    switch format {
    case .table: break
    case .csv: csv.write(titles)
    case .json:
      json.beginObject()
      json.key(noun)
      json.beginArray()
    }
  }

  /// Adds an entry: its cells, and how it is written in JSON.
  mutating func add(_ cells: [String], _ write: (inout JSONWriter) -> Void) {
    count += 1
    switch format {
    case .table: table.append(cells)
    case .csv: csv.write(cells)
    case .json: write(&json)
    }
  }

  /// Prints what can be printed already.
  mutating func flush() throws {
    let text = csv.take() + json.take()
    if !text.isEmpty { try StandardStream.output.write(text) }
  }

  /// Ends the list; `freshness` is nil for lists that have no proof of their age.
  mutating func end(freshness: Freshness?? = nil) throws {
    let line = freshness.map { FreshnessText.line($0) }
    switch format {
    case .table:
      let footer =
        "\(Quantity.grouped(count)) \(count == 1 ? singular : noun)"
        + (line.map { "; \($0)" } ?? "") + "\n"
      try StandardStream.output.write((count > 0 ? table.render() + "\n" : "") + footer)
    case .csv:
      try flush()
      if let line { StandardStream.error.note(line + "\n") }
    case .json:
      json.endArray()
      if let freshness {
        json.key("freshness")
        FreshnessText.write(freshness, to: &json)
      }
      json.endObject()
      try flush()
    }
  }
}
