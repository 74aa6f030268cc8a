// Lays out rows of text in aligned columns for a terminal.

/// A table that is filled row by row and rendered at the end.
///
/// Control characters in cells are shown as escapes, so a cell stays on its line.
public struct Table: Sendable {
  /// How a table is drawn.
  public enum Style: Sendable {
    /// Columns separated by two blanks, headers in capitals of the caller's choice.
    case plain
    /// Lines of box-drawing characters around the cells.
    case box
  }

  /// On which side of its column a cell stands.
  public enum Alignment: Sendable {
    /// At the right when all cells of the column are numbers or empty, else at the left.
    case automatic
    /// At the left.
    case left
    /// At the right.
    case right
  }

  /// How the table is drawn.
  public var style: Style
  /// The widest a column may become (longer cells end in an ellipsis), or nil to cut nothing.
  public var columnWidthMax: Int?
  /// The number of rows without the header.
  public var rowCount: Int { rows.count }

  private let titles: [String]
  private let alignments: [Alignment]
  private var rows: [[String]] = []

  /// Starts a table.
  ///
  /// - Parameters:
  ///   - titles: the header of each column.
  ///   - alignments: the side of each column, from the first; columns without one are automatic.
  ///   - style: how the table is drawn.
  ///   - columnWidthMax: the widest a column may become, or nil.
  public init(
    _ titles: [String],
    alignments: [Alignment] = [],
    style: Style = .plain,
    columnWidthMax: Int? = nil
  ) {
    self.titles = titles.map(DisplayWidth.visible)
    self.alignments = titles.indices.map { $0 < alignments.count ? alignments[$0] : .automatic }
    self.style = style
    self.columnWidthMax = columnWidthMax
  }

  /// Adds a row; missing cells are empty.
  public mutating func append(_ cells: [String]) {
    precondition(cells.count <= titles.count, "a row has no more cells than the table has columns")
    let missing = Array(repeating: "", count: titles.count - cells.count)
    rows.append(cells.map(DisplayWidth.visible) + missing)
  }

  /// The whole table, each line ended by a line feed; empty when there are no columns.
  public func render() -> String {
    guard !titles.isEmpty else { return "" }
    let lines = ([titles] + rows).map { row in
      guard let columnWidthMax else { return row }
      return row.map { DisplayWidth.truncated($0, to: columnWidthMax) }
    }
    let widths = titles.indices.map { column in
      lines.reduce(0) { max($0, DisplayWidth.of($1[column])) }
    }
    let isRight = titles.indices.map(isRightAligned)
    let texts = lines.map { row in
      row.indices.map { pad(row[$0], to: widths[$0], isRight: isRight[$0]) }
    }
    return style == .box ? boxed(texts, widths) : plain(texts)
  }

  private func isRightAligned(_ column: Int) -> Bool {
    switch alignments[column] {
    case .left: false
    case .right: true
    case .automatic:
      rows.contains { !$0[column].isEmpty }
        && rows.allSatisfy { $0[column].isEmpty || Self.isNumber($0[column]) }
    }
  }

  /// A number, with grouping commas and perhaps a unit behind a blank, as `Quantity` prints them.
  private static func isNumber(_ cell: String) -> Bool {
    let number = cell.utf8.prefix { $0 != Ascii.space }.filter { $0 != Ascii.comma }
    guard NumberText.double(number[...]) == nil else { return true }
    guard let last = number.last, Ascii.digit(last) == nil else { return false }
    return last == UInt8(ascii: "%") && NumberText.double(number.dropLast()[...]) != nil
  }

  private func pad(_ cell: String, to width: Int, isRight: Bool) -> String {
    let blanks = String(repeating: " ", count: width - DisplayWidth.of(cell))
    return isRight ? blanks + cell : cell + blanks
  }

  private func plain(_ lines: [[String]]) -> String {
    lines.reduce(into: "") { text, cells in
      var line = cells.joined(separator: "  ")
      while line.hasSuffix(" ") { line.removeLast() }
      text += line + "\n"
    }
  }

  private func boxed(_ lines: [[String]], _ widths: [Int]) -> String {
    func rule(_ left: String, _ cross: String, _ right: String) -> String {
      let parts = widths.map { String(repeating: "─", count: $0 + 2) }
      return left + parts.joined(separator: cross) + right + "\n"
    }
    var text = rule("┌", "┬", "┐")
    for (index, cells) in lines.enumerated() {
      text += "│ " + cells.joined(separator: " │ ") + " │\n"
      if index == 0 { text += rule("├", "┼", "┤") }
    }
    return text + rule("└", "┴", "┘")
  }
}
