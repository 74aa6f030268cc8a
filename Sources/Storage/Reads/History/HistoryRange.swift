// The rows that a history read looks at: one condition and six parameters for all of them.

/// Whose values, observed when, and in which partitions they can be.
struct HistoryRange {
  /// Microseconds that clocks of gateways and database may differ, for `ingested_at` to prune by.
  static let clockSkew: Int64 = 86_400_000_000

  var query: HistoryQuery
  /// The largest future limit any gateway ever had; nil when it is not known.
  var futureLimit: Int64?

  /// What is committed; of all the entities, or of one.
  func durable(_ entity: String = "ANY ($2)") -> String {
    """
    FROM sluice.entity_values
    WHERE tenant_id = $1 AND entity_id = \(entity) AND \(attribute)
      AND observed_at >= $4 AND observed_at < $5 AND ingested_at >= $6
    """
  }

  /// What is staged; read in one statement with what is committed, so that what is promoted in
  /// between is seen exactly once.
  func staged(_ entity: String = "ANY ($2)") -> String {
    """
    FROM sluice.entity_values_ingest
    WHERE tenant_id = $1 AND entity_id = \(entity) AND \(attribute)
      AND observed_at >= $4 AND observed_at < $5
    """
  }

  /// No attribute means any.
  private var attribute: String {
    query.attributeIDs.isEmpty ? "cardinality($3) = 0" : "attribute_id = ANY ($3)"
  }

  /// $1 to $6 of both.
  var parameters: NumberedParameters {
    var parameters = NumberedParameters()
    _ = parameters.add(.int32(query.tenant))
    _ = parameters.add(.array(query.entityIDs))
    _ = parameters.add(.array(query.attributeIDs.compactMap { Int32(exactly: $0) }))
    for time in times { _ = parameters.add(time) }
    return parameters
  }

  /// Start and end of the range, and the earliest ingestion that can matter.
  var times: [PostgresParameter] {
    [
      StoredTime.parameter(query.startMicroseconds), StoredTime.parameter(query.endMicroseconds),
      StoredTime.parameter(ingestedFrom),
    ]
  }

  /// Where the range begins, not before anything can be stored.
  var start: Int64 { max(query.startMicroseconds, StoredTime.earliest) }

  // No value was ingested earlier than it was observed, but for the future limit and the clocks:
  // older partitions hold nothing of the range. Without a known limit nothing is pruned.
  var ingestedFrom: Int64 {
    guard let futureLimit else { return .min }
    let slack = futureLimit.addingReportingOverflow(HistoryRange.clockSkew)
    let bound = start.subtractingReportingOverflow(slack.partialValue)
    return slack.overflow || bound.overflow ? .min : bound.partialValue
  }
}
