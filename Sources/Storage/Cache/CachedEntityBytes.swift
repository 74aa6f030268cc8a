// A hot entity as the cache keeps it.

extension HotEntity {
  /// Changes with the layout; an entity in another layout is read anew.
  private static let layout: UInt8 = 3

  private enum Tag: UInt8 {
    case number, integer, flag, label, document
  }

  /// The entity as bytes: layout, id, version, external key, and of each value attribute, time,
  /// type and value; names of attributes every worker knows.
  var cached: [UInt8] {
    var bytes: [UInt8] = [HotEntity.layout]
    bytes.reserveCapacity(32 + externalKey.utf8.count + values.count * 24)
    bytes += ByteWriter.bytes(id) + ByteWriter.bytes(version)
    HotEntity.append(externalKey, to: &bytes)
    bytes += ByteWriter.bytes(UInt32(values.count))
    for value in values {
      bytes += ByteWriter.bytes(value.attributeID)
      bytes += ByteWriter.bytes(value.observedAtMicroseconds)
      HotEntity.append(value.value, to: &bytes)
    }
    return bytes
  }

  private static func append(_ text: String, to bytes: inout [UInt8]) {
    bytes += ByteWriter.bytes(UInt32(text.utf8.count))
    bytes += text.utf8
  }

  private static func append(_ value: StoredValue, to bytes: inout [UInt8]) {
    switch value {
    case .number(let number):
      bytes.append(Tag.number.rawValue)
      bytes += ByteWriter.bytes(number.bitPattern)
    case .integer(let integer):
      bytes.append(Tag.integer.rawValue)
      bytes += ByteWriter.bytes(integer)
    case .flag(let flag):
      bytes.append(Tag.flag.rawValue)
      bytes.append(flag ? 1 : 0)
    case .label(let text):
      bytes.append(Tag.label.rawValue)
      append(text, to: &bytes)
    case .document(let text):
      bytes.append(Tag.document.rawValue)
      append(text, to: &bytes)
    }
  }

  /// Reads what `cached` wrote; nil when it is anything else, or has an attribute that is not known
  /// here.
  init?(cached bytes: [UInt8], _ attribute: (UInt32) -> CatalogAttribute?) {
    guard bytes.first == HotEntity.layout else { return nil }
    var reader = ByteReader(bytes.dropFirst())
    guard let id = reader.integer(Int64.self), let version = reader.integer(Int64.self),
      let externalKey = HotEntity.text(&reader), let count = reader.integer(UInt32.self)
    else { return nil }
    var values: [NewestValue] = []
    values.reserveCapacity(min(64, bytes.count / 24))
    for _ in 0..<count {
      guard let attributeID = reader.integer(UInt32.self), let attribute = attribute(attributeID),
        let observedAt = reader.integer(Int64.self), let value = HotEntity.value(&reader)
      else { return nil }
      // As `HotEntity.values`: it was made cold since.
      guard attribute.isHot else { continue }
      values.append(
        NewestValue(
          attributeID: attributeID,
          name: attribute.name,
          value: value,
          observedAtMicroseconds: observedAt
        )
      )
    }
    guard reader.isAtEnd else { return nil }
    self.init(id: id, externalKey: externalKey, version: version, values: values)
  }

  private static func text(_ reader: inout ByteReader) -> String? {
    guard let count = reader.integer(UInt32.self), let bytes = reader.bytes(Int(count)) else {
      return nil
    }
    return String(validating: bytes, as: UTF8.self)
  }

  private static func value(_ reader: inout ByteReader) -> StoredValue? {
    guard let tag = reader.integer(UInt8.self).flatMap(Tag.init(rawValue:)) else { return nil }
    switch tag {
    case .number: return reader.integer(UInt64.self).map { .number(Double(bitPattern: $0)) }
    case .integer: return reader.integer(Int64.self).map { .integer($0) }
    case .flag: return reader.integer(UInt8.self).map { .flag($0 != 0) }
    case .label: return text(&reader).map { .label($0) }
    case .document: return text(&reader).map { .document($0) }
    }
  }
}
