internal import Formats
internal import Wire

// What `sluice set` writes, read before anything is made for it.

/// One attribute and the text it is set to.
struct Assignment: Sendable {
  let name: String
  /// nil takes the attribute out.
  let text: String?
  /// What it becomes when there is none of its name; nil makes none.
  let newType: PointType?

  /// Reads every text as a value of its attribute, so that nothing is made for a call that fails.
  ///
  /// - Parameters:
  ///   - assignments: what is to be written.
  ///   - found: the attribute of each, nil where there is none.
  /// - Returns: the value of each, nil for what is taken out, and the attributes that are missing.
  /// - Throws: which text is no value of its attribute.
  static func read(
    _ assignments: [Assignment],
    found: [Attribute?]
  ) throws(CommandFailure) -> (values: [Value?], missing: [AttributeSpec]) {
    var values: [Value?] = []
    var missing: [AttributeSpec] = []
    for (assignment, attribute) in zip(assignments, found) {
      let type = attribute?.valueType ?? assignment.newType.map { ValueType($0) } ?? .unspecified
      values.append(try assignment.value(of: type))
      guard attribute == nil else { continue }
      missing.append(AttributeSpec(name: assignment.name, valueType: type, isHot: true))
    }
    return (values, missing)
  }

  private func value(of type: ValueType) throws(CommandFailure) -> Value? {
    guard let text else { return nil }
    guard let type = PointType(type) else {
      throw CommandFailure("'\(name)' has a type this program does not know", .data)
    }
    do throws(PointValueError) {
      return Value(try PointValue(parsing: text, as: type))
    } catch {
      throw CommandFailure("\(name)=\(text): \(error)", .data)
    }
  }
}
