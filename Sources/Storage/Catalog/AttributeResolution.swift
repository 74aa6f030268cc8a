// Names of attributes to ids: what is asked, and what comes of each wish.

/// Looks attributes up, and creates those that are wanted with a type.
struct AttributeResolution {
  /// What became of a wish: an attribute, unless there is none and none was made.
  typealias Finding = (attribute: CatalogAttribute?, outcome: String)

  var tenant: Int32
  var wanted: [WantedAttribute]

  var statement: PostgresStatement {
    var hots = PostgresArray(of: .bool)
    for wish in wanted { hots.append(wish.isHot) }
    return PostgresStatement(
      """
      SELECT attribute_id, name, value_type, unit, is_hot, outcome
      FROM sluice.resolve_attributes($1, $2, $3::int4[]::int2[], $4, $5) ORDER BY "position"
      """,
      [
        .int32(tenant), .array(wanted.map(\.name)),
        .array(wanted.map { Int32($0.type?.rawValue ?? 0) }), .array(wanted.map(\.unit)),
        .array(hots),
      ]
    )
  }

  /// What became of each wish, in their order.
  func read(_ result: PostgresResult) throws(PostgresError) -> [Finding] {
    guard result.rowCount == wanted.count else { throw .protocolViolation("a row for each name") }
    var found: [Finding] = []
    for row in 0..<result.rowCount {
      let isThere = try result.int64(row: row, column: 0) != nil
      let attribute = isThere ? try CatalogAttribute(result, row: row, column: 0) : nil
      found.append((attribute, result.text(row: row, column: 5) ?? ""))
    }
    return found
  }

  /// The attributes, when every wish is fulfilled.
  ///
  /// - Throws: `.attributeNotFound`, `.attributeTypeMismatch`, `.mayNotCreateNames`.
  func attributes(_ found: [Finding]) throws(StorageError) -> [CatalogAttribute] {
    var attributes: [CatalogAttribute] = []
    for (index, (attribute, outcome)) in found.enumerated() {
      guard let attribute else {
        throw wanted[index].type == nil ? .attributeNotFound(index: index) : .mayNotCreateNames
      }
      guard outcome != "type_mismatch" else {
        throw .attributeTypeMismatch(index: index, existing: attribute.type)
      }
      attributes.append(attribute)
    }
    return attributes
  }
}
