// Where the fields of a row lie in PostgreSQL's binary COPY format, one template per value type.

/// A row of one value type: everything but the key, the value and what depends on its length.
///
/// Every row has nine fields: entity_id at 6, observed_at at 18, tenant_id at 30, attribute_id at
/// 38, then the five value columns of which one is not NULL. A staged row has two more at its end.
enum RowLayout: Int, CaseIterable {
  case number, integer, flag, label, document

  static let entityOffset = 6
  static let observedOffset = 18
  static let tenantOffset = 30
  static let attributeOffset = 38

  /// Length, 16 bytes of producer, length, 8 bytes of sequence number.
  static let suffixBytes = 32
  static let producerOffset = 4
  static let sequenceOffset = 24

  /// No template is longer.
  static let templateBytesMax = 80

  /// Up to the value's bytes of a text, up to the end of the row otherwise.
  var bytes: Int {
    switch self {
    case .number, .integer: 70
    case .flag: 63
    case .label: 58
    case .document: 63
    }
  }

  /// Where the value lies, or of a text: its length field.
  var valueOffset: Int {
    switch self {
    case .number: 46
    case .integer: 50
    case .flag: 54
    case .label: 54
    case .document: 58
    }
  }

  /// The fields behind a text.
  var trailingNulls: Int { self == .label ? 1 : 0 }

  func template(fields: Int16) -> [UInt8] {
    let null: [UInt8] = [0xff, 0xff, 0xff, 0xff]
    func field(_ length: UInt8) -> [UInt8] {
      [0, 0, 0, length] + [UInt8](repeating: 0, count: Int(length))
    }
    let key =
      [UInt8(fields >> 8), UInt8(fields & 0xff)] + field(8) + field(8) + field(4) + field(4)
    let template: [UInt8] =
      switch self {
      case .number: key + field(8) + null + null + null + null
      case .integer: key + null + field(8) + null + null + null
      case .flag: key + null + null + field(1) + null + null
      case .label: key + null + null + null + [0, 0, 0, 0]
      // A document's first byte is the version of jsonb's binary form.
      case .document: key + null + null + null + null + [0, 0, 0, 0, 1]
      }
    precondition(template.count == bytes, "the template agrees with its offsets")
    return template
  }
}
