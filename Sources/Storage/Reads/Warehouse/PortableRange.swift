// The rows that a history read of the warehouse looks at.

/// The condition that history statements of the warehouse share.
struct PortableRange {
  var range: HistoryRange

  /// FROM and WHERE; times are compared as they are, so that indexes, partitions and blocks whose
  /// bounds are known are passed over.
  func sql(_ parameters: inout PortableParameters) -> String {
    let query = range.query
    var conditions = [
      "tenant_id = \(parameters.integer(Int64(query.tenant)))",
      "entity_id IN \(parameters.list(Set(query.entityIDs).sorted()))",
    ]
    if !query.attributeIDs.isEmpty {
      let attributes = Set(query.attributeIDs).sorted().map { Int64($0) }
      conditions.append("attribute_id IN \(parameters.list(attributes))")
    }
    conditions += [
      "observed_at >= \(parameters.time(query.startMicroseconds))",
      "observed_at < \(parameters.time(query.endMicroseconds))",
      "ingested_at >= \(parameters.time(range.ingestedFrom))",
    ]
    return "FROM sluice.entity_values WHERE \(conditions.joined(separator: " AND "))"
  }
}

/// The statement of ExistsInRange.
struct PortableExistsStatement {
  var range: HistoryRange

  var statement: PostgresStatement {
    var parameters = PortableParameters()
    let rows = PortableRange(range: range).sql(&parameters)
    return PostgresStatement(
      "SELECT DISTINCT entity_id \(rows) ORDER BY entity_id",
      parameters.values,
      resultFormat: .text
    )
  }
}
