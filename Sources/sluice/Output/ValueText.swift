internal import Formats

// Values as people read them.

/// Prints values in tables.
enum ValueText {
  /// An entity above or below its values; its key is data, which must not steer the terminal.
  static func title(_ key: String, id: Int64) -> String { "\(DisplayWidth.visible(key))  #\(id)" }

  /// Numbers with at most six digits after the point, so that columns stay readable.
  static func cell(_ value: PointValue) -> String {
    if case .number(let number) = value { cell(number) } else { value.description }
  }

  /// A number with at most six digits after the point; tiny and huge ones as they are.
  static func cell(_ number: Double) -> String {
    let exact = JSONWriter.text(of: number)
    let magnitude = abs(number)
    guard number.isFinite, magnitude >= 0.001, magnitude < 1e15 else {
      return exact
    }
    let rounded = Quantity.decimal(number, digits: 6)
    return rounded.count < exact.count ? rounded : exact
  }
}
