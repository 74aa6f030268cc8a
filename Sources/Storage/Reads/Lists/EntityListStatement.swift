// Writes the SQL of a page of entities. Only this file's own words and attribute ids are in it.

/// The statement of ListEntities.
struct EntityListStatement {
  let statement: PostgresStatement

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
    var parameters = NumberedParameters()
    let tenant = parameters.add(.int32(list.tenant))
    let prefix = parameters.add(.text(list.prefix))
    let count = parameters.add(.int64(Int64(page.limit) + 1))
    let bytes = parameters.add(.int64(Int64(page.bytesMax)))
    var conditions = [
      "e.tenant_id = \(tenant)", "starts_with(e.external_key, \(prefix))",
      "e.external_key >= \(prefix)",
    ]
    // What an index on the projection can find must not hang on an outer join.
    var isInner = false
    var required: Set<UInt32> = []
    if let filter = list.filter {
      let sql = try FilterSQL(filter, attribute: attribute, &parameters)
      conditions.append("(\(sql.text))")
      isInner = !sql.holdsForNothing
      required = sql.required
    }
    let order = try ListOrder(list.order, required: required, attribute: attribute)
    if let position = page.position { conditions.append(try order.behind(position, &parameters)) }
    if isInner { conditions.append("j.tenant_id = \(tenant)") }
    statement = PostgresStatement(
      EntityListStatement.page(
        """
        SELECT e.entity_id, e.external_key, coalesce(j.version, 0) AS version, j.hot_attrs, j.hot_times,
          row_number() OVER (ORDER BY \(order.text)) AS place
        FROM sluice.entities e \(isInner ? "" : "LEFT ")JOIN sluice.entity_jsonb j
          ON j.tenant_id = e.tenant_id AND j.entity_id = e.entity_id
        WHERE \(conditions.joined(separator: " AND "))
        ORDER BY \(order.text) LIMIT \(count)
        """,
        bytes
      ),
      parameters.values
    )
  }

  /// What of the rows fits.
  ///
  /// Sizes are added up in two steps, as stored and then as text, so that a page of huge documents
  /// is neither built nor sent. The first row always comes.
  private static func page(_ rows: String, _ bytesMax: String) -> String {
    """
    SELECT t.entity_id, t.external_key, t.version, t.attrs, t.times, NULL::text, NULL::text, t.found,
      t.bytes
    FROM (
      SELECT s.*, sum(64 + octet_length(s.external_key) + coalesce(octet_length(s.attrs), 0)
          + coalesce(octet_length(s.times), 0)) OVER (ORDER BY s.place) AS bytes
      FROM (
        SELECT p.*, p.hot_attrs::text AS attrs, p.hot_times::text AS times
        FROM (
          SELECT k.*, count(*) OVER () AS found,
            sum(coalesce(pg_column_size(k.hot_attrs), 0)) OVER (ORDER BY k.place) AS stored
          FROM (\(rows)) AS k) AS p
        WHERE p.place = 1 OR p.stored <= \(bytesMax)) AS s) AS t
    WHERE t.place = 1 OR t.bytes <= \(bytesMax)
    ORDER BY t.place
    """
  }
}

/// The order of a list as SQL.
private struct ListOrder {
  /// What stands behind ORDER BY.
  let text: String
  private let attribute: (id: UInt32, type: ValueType)?
  /// Whether every entity of the list has a value: then an index can bring them in either order.
  private let isComplete: Bool
  private let isDescending: Bool

  init(
    _ order: EntityOrder,
    required: Set<UInt32>,
    attribute: (UInt32) -> CatalogAttribute?
  ) throws(StorageError) {
    isDescending = order.isDescending
    guard let id = order.attributeID else {
      (self.attribute, isComplete) = (nil, true)
      text = "e.external_key\(order.isDescending ? " DESC" : "")"
      return
    }
    let type = try order.type(of: attribute(id))
    self.attribute = (id, type)
    isComplete = required.contains(id)
    let terms =
      isComplete
      ? HotExpression.order(id, type, isDescending: isDescending)
      : ["\(HotExpression.value(id, type))\(isDescending ? " DESC" : "") NULLS LAST"]
    text = (terms + ["e.external_key"]).joined(separator: ", ")
  }

  /// What keeps only entities behind a position.
  func behind(
    _ position: EntityListPosition,
    _ parameters: inout NumberedParameters
  ) throws(StorageError) -> String {
    let key = parameters.add(.text(position.key))
    let sign = isDescending ? "<" : ">"
    guard let (id, type) = attribute else { return "e.external_key \(sign) \(key)" }
    let expression = HotExpression.value(id, type)
    guard let value = position.value else {
      return "(\(expression) IS NULL AND e.external_key > \(key))"
    }
    guard value.valueType == type else { throw .badPageToken }
    let bound = parameters.add(HotExpression.parameter(value))
    let behind =
      "\(expression) \(sign) \(bound) OR \(expression) = \(bound) AND e.external_key > \(key)"
    guard isComplete else { return "(\(behind) OR \(expression) IS NULL)" }
    // Follows from the rest, and is what an index starts at.
    let start = "\(HotExpression.key(id, type)) \(sign)= \(HotExpression.key(of: bound, type))"
    return "\(start) AND (\(behind))"
  }
}
