// One transaction for the upserts of a group: written, committed, and where the log is after it.

/// The pipeline of a group; constant texts, values as arrays only.
struct UpsertStatement {
  /// Which of the database's functions writes a group.
  enum Way: String {
    /// At half the cost, but not whatever is older than what is stored, or new.
    case newest = "upsert_newest"
    /// Everything.
    case any = "upsert_entities"

    /// The cheapest way that may take all of a group: values of hot attributes that are there, each
    /// attribute of an entity once.
    init(_ upserts: [Upsert]) {
      var seen: Set<HotValues.Key> = []
      let isPlain = upserts.allSatisfy { upsert in
        upsert.isHot
          && upsert.values.allSatisfy { value in
            let key = HotValues.Key(
              tenant: upsert.tenant,
              entity: upsert.entityID,
              attribute: value.attributeID
            )
            return value.value != nil && seen.insert(key).inserted
          }
      }
      self = isPlain ? .newest : .any
    }
  }

  /// SQLSTATE: a document would need too much room.
  static let fullState: SQLState = "SLG03"
  /// What the newest values of one entity may need.
  static let documentBytesMax: Int32 = 1 << 20

  private let way: Way
  private let parameters: [PostgresParameter]
  private let valueCounts: [Int]

  init(_ upserts: [Upsert], _ way: Way) {
    self.way = way
    let count = upserts.reduce(0) { $0 + $1.values.count }
    var slots = PostgresArray(of: .int32, capacity: count)
    var tenants = PostgresArray(of: .int32, capacity: count)
    var entities = PostgresArray(of: .int64, capacity: count)
    var attributes = PostgresArray(of: .int32, capacity: count)
    var times = PostgresArray(of: .int64, capacity: count)
    var values = UpsertValueArrays(capacity: count)
    for (slot, upsert) in upserts.enumerated() {
      for value in upsert.values {
        slots.append(Int32(slot))
        tenants.append(upsert.tenant)
        entities.append(upsert.entityID)
        attributes.append(Int32(value.attributeID))
        if let time = upsert.observedAtMicroseconds {
          times.append(time)
        } else {
          times.appendNull()
        }
        values.append(value.value)
      }
    }
    parameters =
      [slots, tenants, entities, attributes, times].map { .array($0) } + values.parameters
      + [.int32(UpsertStatement.documentBytesMax)]
    valueCounts = upserts.map(\.values.count)
  }

  /// BEGIN, the upserts, COMMIT, the position; with the identity of the cluster if it is not known.
  func pipeline(asksIdentity: Bool) -> [PostgresStatement] {
    [
      // Whatever the default of the database is: a later snapshot must see what the locks waited
      // for.
      PostgresStatement("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"),
      PostgresStatement(
        """
        SELECT slot, observed, version FROM sluice.\(way.rawValue)($1, $2, $3, $4, $5, $6, $7, $8,
          $9, $10, $11)
        """,
        parameters,
        isPrepared: true
      ),
      PostgresStatement("COMMIT"), UpsertStatement.position,
    ] + (asksIdentity ? [ServerProof.identity] : [])
  }

  /// The flush position after a synchronous commit, with the timeline and the run of the server.
  private static let position = PostgresStatement(
    """
    SELECT f.lsn, ('x' || left(pg_walfile_name(f.lsn), 8))::bit(32)::int,
      (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::int8
    FROM (SELECT pg_current_wal_flush_lsn() AS lsn) AS f
    """,
    isPrepared: true
  )

  /// Version and times of each upsert, in their order; nil for those that this way does not take.
  func outcomes(
    _ result: PostgresResult,
    token: FreshnessToken
  ) throws(PostgresError) -> [UpsertOutcome?] {
    var outcomes = [UpsertOutcome?](repeating: nil, count: valueCounts.count)
    for row in 0..<result.rowCount {
      guard let slot = try result.int64(row: row, column: 0), outcomes.indices.contains(Int(slot)),
        let observed = try result.int64(row: row, column: 1),
        let version = try result.int64(row: row, column: 2)
      else { throw .protocolViolation("\(way.rawValue) answered with something else") }
      let first = UpsertOutcome(version: 0, observedAtMicroseconds: [], token: token)
      var outcome = outcomes[Int(slot)].take() ?? first
      outcome.observedAtMicroseconds.append(observed)
      outcome.version = max(outcome.version, version)
      outcomes[Int(slot)] = outcome
    }
    for (outcome, count) in zip(outcomes, valueCounts) {
      let found = outcome?.observedAtMicroseconds.count ?? (way == .newest ? count : 0)
      guard found == count else {
        throw .protocolViolation("\(way.rawValue) answered with another number of values")
      }
    }
    return outcomes
  }
}

/// Values of any type in one array for each type.
private struct UpsertValueArrays {
  private var numbers: PostgresArray
  private var integers: PostgresArray
  private var flags: PostgresArray
  private var labels: PostgresArray
  private var documents: PostgresArray

  init(capacity: Int) {
    numbers = PostgresArray(of: .double, capacity: capacity)
    integers = PostgresArray(of: .int64, capacity: capacity)
    flags = PostgresArray(of: .bool, capacity: capacity)
    labels = PostgresArray(of: .text, capacity: capacity)
    documents = PostgresArray(of: .text, capacity: capacity)
  }

  var parameters: [PostgresParameter] {
    [numbers, integers, flags, labels, documents].map { .array($0) }
  }

  mutating func append(_ value: StoredValue?) {
    if case .number(let number) = value { numbers.append(number) } else { numbers.appendNull() }
    if case .integer(let integer) = value {
      integers.append(integer)
    } else {
      integers.appendNull()
    }
    if case .flag(let flag) = value { flags.append(flag) } else { flags.appendNull() }
    if case .label(let text) = value { labels.append(text) } else { labels.appendNull() }
    if case .document(let text) = value { documents.append(text) } else { documents.appendNull() }
  }
}
