internal import Formats
internal import Wire

// Makes a value of the input one of its attribute's type, exactly or not at all.

/// A value as the type that its attribute has in the catalog, or why it is none of that type.
enum ValueFit: Equatable {
  case value(PointValue)
  /// What is wrong and what to do.
  case refused(String)

  /// Whole numbers below this one are exact as doubles; above, a double stands for several.
  private static let exactMax = 0x1p53

  /// Fits a point to the type of its attribute.
  ///
  /// A type that was only guessed yields: the text is read anew. A type that the input has said
  /// stays, but integers and numbers are one another where that loses nothing.
  init(_ point: Point, _ type: ValueType) {
    if ValueType(point.value.type) == type {
      self = .value(point.value)
    } else if let text = point.guessedText {
      self = Self.read(text, point, type)
    } else {
      self = Self.convert(point, type)
    }
  }

  private static func read(_ text: String, _ point: Point, _ type: ValueType) -> ValueFit {
    let refusal = "\(point.attribute) has the type \(type.name), and this value"
    guard let wanted = PointType(type) else { return .refused("\(refusal) is none") }
    do throws(PointValueError) {
      return .value(try PointValue(parsing: text, as: wanted))
    } catch .notInteger {
      // Perhaps written as 7.0 or 1e3; what is no number either is refused.
      let integer = integer(try? PointValue(parsing: text, as: .number))
      return integer.map { .value($0) } ?? .refused("\(refusal) is none")
    } catch .integerTooLarge {
      return .refused("\(refusal) does not fit 64 bits")
    } catch {
      return .refused("\(refusal) is none")
    }
  }

  private static func convert(_ point: Point, _ type: ValueType) -> ValueFit {
    switch (point.value, type) {
    case (.integer(let integer), .number):
      if let number = Double(exactly: integer) { return .value(.number(number)) }
    case (.number(let number), .integer):
      if let integer = integer(point.value) { return .value(integer) }
      if number.magnitude >= exactMax {
        return .refused(
          "\(point.attribute) has the type integer, and a number of this size is not exact; write"
            + " it as an integer"
        )
      }
    default: break
    }
    return .refused(
      "\(point.attribute) has the type \(type.name), and this value is of type"
        + " \(point.value.type.rawValue); give it another name with --rename"
    )
  }

  /// The integer that a number is without doubt.
  private static func integer(_ value: PointValue?) -> PointValue? {
    guard case .number(let number)? = value, number.magnitude < exactMax else { return nil }
    return Int64(exactly: number).map { .integer($0) }
  }
}
