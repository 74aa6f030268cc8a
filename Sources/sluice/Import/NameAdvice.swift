internal import Formats
internal import Wire

// What the gateway would refuse of a name (catalog.proto): one would take the others of its call
// along.

/// Judges the names of a point.
enum NameAdvice {
  /// What is wrong with the names of a point and what to do; nil when they are good.
  static func of(_ point: Point) -> String? {
    advice("the entity's key", point.entity, WireLimits.externalKeyBytesMax)
      ?? advice("the attribute's name", point.attribute, WireLimits.attributeNameBytesMax)
  }

  private static func advice(_ what: String, _ name: String, _ most: Int) -> String? {
    let bytes = name.utf8
    guard !bytes.contains(0) else {
      return "\(what) contains a NUL character, which PostgreSQL cannot store"
    }
    guard !bytes.isEmpty, bytes.count <= most else {
      return "\(what) has \(bytes.count) bytes; it must have 1 to \(most)"
    }
    return nil
  }
}
