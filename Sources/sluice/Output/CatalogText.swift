internal import Formats
internal import Wire

// Attributes of the catalog in JSON, as all commands print them.

/// Prints attributes.
enum CatalogText {
  /// Writes one attribute as an object.
  static func write(_ attribute: Attribute, to json: inout JSONWriter) {
    json.beginObject()
    json.key("attribute")
    json.value(attribute.name)
    json.key("attribute_id")
    json.value(attribute.attributeID)
    json.key("type")
    json.value(attribute.valueType.name)
    json.key("unit")
    json.value(attribute.unit)
    json.key("hot")
    json.value(attribute.isHot)
    json.endObject()
  }

  /// Titles of the columns of a table or CSV file of attributes.
  static let titles = ["attribute", "id", "type", "unit", "hot"]

  /// One attribute as cells.
  static func cells(_ attribute: Attribute) -> [String] {
    [
      attribute.name, "\(attribute.attributeID)", attribute.valueType.name, attribute.unit,
      attribute.isHot ? "true" : "false",
    ]
  }
}
