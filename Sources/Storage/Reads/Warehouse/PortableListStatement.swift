// Writes the SQL of a page of entities for the warehouse.

/// The statement of ListEntities, in words that PostgreSQL and Redshift share.
///
/// Its answer has the columns of `EntityListStatement`.
struct PortableListStatement {
  let statement: PostgresStatement

  private static let key = PortableText(expression: "external_key")

  /// - Parameters:
  ///   - page: which entities.
  ///   - attribute: what is known of one; nil when there is none.
  /// - Throws: `.attributeNotFound`, `.attributeNotHot`, `.badFilter`, `.notOrderable`,
  ///   `.orderNotFound`, `.badPageToken`.
  init(
    _ page: EntityListPage,
    attribute: (UInt32) -> CatalogAttribute?
  ) throws(StorageError) {
    let list = page.list
    var parameters = PortableParameters()
    let tenant = parameters.integer(Int64(list.tenant))
    var conditions = ["e.tenant_id = \(tenant)"]
    if !list.prefix.isEmpty {
      conditions.append(Self.key.compared(.prefix, list.prefix, &parameters))
      // Follows from it, and is where an index on keys begins.
      conditions.append("external_key >= \(parameters.text(list.prefix))")
    }
    if let filter = list.filter {
      let sql = try FilterSQL(filter, attribute: attribute, &parameters)
      conditions.append("(\(sql.text))")
    }
    // Something has to be there when keys alone make the order.
    var (type, value): (ValueType?, String) = (nil, "e.entity_id")
    if let id = list.order.attributeID {
      let found = try list.order.type(of: attribute(id))
      (type, value) = (found, PortableHot.value(id, found))
    }
    let order = Self.order(type, isDescending: list.order.isDescending)
    var behind = ""
    if let position = page.position {
      behind = "WHERE \(try Self.behind(position, list.order, type, &parameters))"
    }
    let sql = """
      SELECT entity_id, external_key, version, hot_attrs, hot_times, CAST(NULL AS varchar(1)),
        CAST(NULL AS varchar(1)), found
      FROM (
        SELECT p.*, count(*) OVER () AS found, row_number() OVER (ORDER BY \(order)) AS place,
          sum(64 + octet_length(external_key) + coalesce(octet_length(concat(hot_attrs, '')), 0)
            + coalesce(octet_length(concat(hot_times, '')), 0))
            OVER (ORDER BY \(order) ROWS UNBOUNDED PRECEDING) AS bytes
        FROM (
          SELECT k.* FROM (
            SELECT e.entity_id, e.external_key, coalesce(j.version, 0) AS version, j.hot_attrs,
              j.hot_times, \(value) AS ordered
            FROM sluice.entities e LEFT JOIN sluice.entity_jsonb j
              ON j.tenant_id = e.tenant_id AND j.entity_id = e.entity_id
            WHERE \(conditions.joined(separator: " AND "))) AS k
          \(behind)
          ORDER BY \(order) LIMIT \(page.limit + 1)) AS p) AS q
      WHERE place = 1 OR bytes <= \(page.bytesMax)
      ORDER BY place
      """
    statement = PostgresStatement(sql, parameters.values, resultFormat: .text)
  }

  /// By the value, entities without one last, and by key.
  private static func order(_ type: ValueType?, isDescending: Bool) -> String {
    guard let type else {
      return key.order(isDescending: isDescending).joined(separator: ", ")
    }
    let values =
      type == .label
      ? PortableText(expression: "ordered").order(isDescending: isDescending)
      : ["ordered\(isDescending ? " DESC" : "")"]
    return (values.map { "\($0) NULLS LAST" } + key.order(isDescending: false))
      .joined(separator: ", ")
  }

  /// What keeps only entities behind a position.
  private static func behind(
    _ position: EntityListPosition,
    _ order: EntityOrder,
    _ type: ValueType?,
    _ parameters: inout PortableParameters
  ) throws(StorageError) -> String {
    let further: EntityFilter.Relation = order.isDescending ? .less : .greater
    guard let type else { return key.compared(further, position.key, &parameters) }
    let hasLaterKey = key.compared(.greater, position.key, &parameters)
    guard let value = position.value else { return "ordered IS NULL AND \(hasLaterKey)" }
    guard value.valueType == type else { throw .badPageToken }
    let isFurther = parameters.compared("ordered", further, value)
    let isSame = parameters.compared("ordered", .equal, value)
    return "(\(isFurther) OR (\(isSame) AND \(hasLaterKey)) OR ordered IS NULL)"
  }
}
