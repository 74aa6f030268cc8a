// A grid of dots that becomes lines of text, in braille or in asterisks.

/// A canvas of dots; (0, 0) is at the upper left.
struct ChartCanvas {
  /// Dots across and down.
  let width: Int
  let height: Int

  private let columns: Int
  private let rows: Int
  private let isBraille: Bool
  /// The dots of each character as the low byte of its braille pattern, row by row.
  private var cells: [UInt8]

  /// The bits of the eight dots, row by row.
  ///
  /// Source: Unicode, block "Braille Patterns".
  private static let bits: [UInt8] = [0x01, 0x08, 0x02, 0x10, 0x04, 0x20, 0x40, 0x80]

  init(columns: Int, rows: Int, isBraille: Bool) {
    self.columns = columns
    self.rows = rows
    self.isBraille = isBraille
    width = isBraille ? columns * 2 : columns
    height = isBraille ? rows * 4 : rows
    cells = Array(repeating: 0, count: columns * rows)
  }

  mutating func dot(_ x: Int, _ y: Int) {
    guard (0..<width).contains(x), (0..<height).contains(y) else { return }
    if isBraille {
      cells[y / 4 * columns + x / 2] |= Self.bits[y % 4 * 2 + x % 2]
    } else {
      cells[y * columns + x] = 1
    }
  }

  /// Bresenham's line with both ends.
  mutating func line(from start: (x: Int, y: Int), to end: (x: Int, y: Int)) {
    let (deltaX, deltaY) = (abs(end.x - start.x), -abs(end.y - start.y))
    let (stepX, stepY) = (start.x < end.x ? 1 : -1, start.y < end.y ? 1 : -1)
    var (x, y) = start
    var error = deltaX + deltaY
    while true {
      dot(x, y)
      guard x != end.x || y != end.y else { return }
      let doubled = 2 * error
      if doubled >= deltaY {
        error += deltaY
        x += stepX
      }
      if doubled <= deltaX {
        error += deltaX
        y += stepY
      }
    }
  }

  /// The rows of characters.
  func lines() -> [String] {
    (0..<rows).map { row in
      var line = ""
      for cell in cells[(row * columns)..<((row + 1) * columns)] {
        line.unicodeScalars.append(character(cell))
      }
      return line
    }
  }

  private func character(_ cell: UInt8) -> Unicode.Scalar {
    guard cell != 0 else { return " " }
    guard isBraille else { return "*" }
    return Unicode.Scalar(0x2800 + UInt32(cell)) ?? "*"
  }
}
