// Writes the SQL of a page of raw values for the warehouse.

/// The statement of one page of raw values, in words that PostgreSQL and Redshift share.
///
/// Rows have no place there that a page could name, so those of one key are in the order of their
/// transactions, and of their values within one. A page that ends inside a key says of which
/// transaction its last row was, and how many rows of that are given; all of them appear at once.
/// Documents that differ by nothing but zeros at the end of a number are the same to PostgreSQL, so
/// that a page may end between two of them and the next one begin with either.
struct PortableHistoryStatement {
  var page: HistoryStatement

  var statement: PostgresStatement {
    var parameters = PortableParameters()
    let rows = PortableRange(range: page.range).sql(&parameters)
    let sql = """
      SELECT \(PortableTime.microseconds(of: "observed_at")) AS observed, entity_id, attribute_id,
        number, "integer", flag, label, document,
        \(PortableTime.microseconds(of: "ingested_at")) AS ingested, found
      FROM (
        SELECT p.*, count(*) OVER () AS found, row_number() OVER (ORDER BY \(order)) AS place,
          sum(\(bytes)) OVER (ORDER BY \(order) ROWS UNBOUNDED PRECEDING) AS bytes
        FROM (
          SELECT observed_at, entity_id, attribute_id, ingested_at, number, "integer", flag, label,
            document, CASE WHEN number = 0 THEN CAST(number AS varchar(8)) END AS zero
          \(rows) \(behind(&parameters))
          ORDER BY \(order) LIMIT \(page.limit + 1) OFFSET \(passed?.count ?? 0)) AS p) AS q
      WHERE place = 1 OR bytes <= \(page.bytesMax)
      ORDER BY place
      """
    return PostgresStatement(sql, parameters.values, resultFormat: .text)
  }

  /// 0 and -0 are equal, but for their text.
  private var order: String {
    let names =
      ["observed_at", "entity_id", "attribute_id", "ingested_at", "number", "zero", "\"integer\""]
      + ["flag"] + (page.hasTexts ? ["label", "document"] : [])
    return names.map { page.query.isDescending ? "\($0) DESC" : $0 }.joined(separator: ", ")
  }

  // A document is jsonb or a text: joined to nothing it is a text in either case. It is never cut,
  // as a CAST to a text of Redshift's longest would cut it on PostgreSQL.
  private var bytes: String {
    guard page.hasTexts else { return "\(HistoryStatement.valueBytes)" }
    return "\(HistoryStatement.valueBytes) + coalesce(octet_length(label), 0)"
      + " + coalesce(octet_length(concat(document, '')), 0)"
  }

  private var passed: HistoryPosition.Passed? {
    guard case .passed(let passed) = page.position?.place else { return nil }
    return passed
  }

  /// What keeps only rows behind the position, and those of the transaction it lies in, whose first
  /// ones are passed over then.
  private func behind(_ parameters: inout PortableParameters) -> String {
    guard let key = page.position?.key else { return "" }
    let relation = page.query.isDescending ? "<" : ">"
    let parts = [
      ("observed_at", parameters.time(key.observedAt)),
      ("entity_id", parameters.integer(key.entityID)),
      ("attribute_id", parameters.integer(Int64(key.attributeID))),
    ]
    var condition: String?
    if let passed {
      condition = "ingested_at \(relation)= \(parameters.time(passed.ingestedAt))"
    }
    for (name, value) in parts.reversed() {
      let further = condition.map { " OR (\(name) = \(value) AND (\($0)))" } ?? ""
      condition = "\(name) \(relation) \(value)\(further)"
    }
    return "AND (\(condition ?? ""))"
  }
}
