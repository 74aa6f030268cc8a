// What many batches become together: one transaction with one COPY, and its SQL text.

/// The batches of one transaction.
///
/// Add batches in the order they came in; those of one producer continue each other. Then run
/// `durableText` with the rows of a direct `CopyEncoder`, or `stagedText` with those of a staged
/// one. When the transaction fails with `lostState`, take the losers out, build the group anew and
/// retry.
public struct GroupStatement: Sendable {
  /// SQLSTATE of commit_group and stage_group: producers lost their epoch or place.
  public static let lostState = "SLG01"
  /// Statements in `durableText`: BEGIN, COPY, commit_group, COMMIT, LSN.
  public static let durableStatementCount = 5
  /// Statements in `stagedText`: BEGIN, COPY, stage_group, COMMIT.
  public static let stagedStatementCount = 4

  /// One producer's part.
  public struct Member: Sendable, Equatable {
    /// Whose values.
    public let tenant: Int32
    /// Who sent them.
    public let producer: ProducerID
    /// The epoch of its session.
    public let epoch: UInt64
    /// First sequence number that is written.
    public let first: UInt64
    /// Last sequence number.
    public fileprivate(set) var last: UInt64
  }

  /// A producer that lost, as the database knows it.
  public struct Loser: Sendable, Equatable {
    /// Index in `members` (after a staging transaction: of the batch, in the order added).
    public var index: Int
    /// Its epoch there; 0 when the database does not know it.
    public var epoch: UInt64
    /// Its durable_seq there.
    public var durable: UInt64
  }

  private struct Part {
    var member: Int
    var range: SequenceRange
    var first: UInt64
  }

  private struct Rejected {
    var part: Int
    var sequence: UInt64
    var reason: RejectReason
  }

  private struct Key: Hashable {
    var tenant: Int32
    var producer: ProducerID
  }

  /// Producers in the order of their first batch.
  public private(set) var members: [Member] = []
  /// Hot values to be folded with the group; only the durable text carries them.
  public var hot = HotValues()

  private var parts: [Part] = []
  private var rejected: [Rejected] = []
  private var places: [Key: Int] = [:]
  private let documentBytesMax: Int

  /// An empty group; hot documents may grow to `documentBytesMax`.
  public init(documentBytesMax: Int = 1 << 20) { self.documentBytesMax = documentBytesMax }

  /// Batches in the group.
  public var batchCount: Int { parts.count }

  /// Forgets all; keeps the memory.
  public mutating func removeAll() {
    members.removeAll(keepingCapacity: true)
    parts.removeAll(keepingCapacity: true)
    rejected.removeAll(keepingCapacity: true)
    places.removeAll(keepingCapacity: true)
    hot.removeAll()
  }

  /// Adds a batch.
  ///
  /// - Parameters:
  ///   - tenant: whose values.
  ///   - producer: who sent them.
  ///   - epoch: of its session.
  ///   - range: the batch's own, with its checksum.
  ///   - skipping: values at its start that were written before.
  ///   - rejects: values that are not written.
  /// - Returns: false, and nothing is added, when the producer is in the group with another epoch
  ///   or place: the batch belongs into the next group.
  public mutating func add(
    tenant: Int32,
    producer: ProducerID,
    epoch: UInt64,
    range: SequenceRange,
    skipping: Int = 0,
    rejects: [RejectedValue] = []
  ) -> Bool {
    let first = range.first + UInt64(skipping)
    precondition(first <= range.last, "a batch writes something")
    let key = Key(tenant: tenant, producer: producer)
    let place: Int
    if let known = places[key] {
      // Two sessions of one epoch can bring batches that do not continue each other: the guard
      // decides.
      guard members[known].epoch == epoch, members[known].last + 1 == first else { return false }
      members[known].last = range.last
      place = known
    } else {
      place = members.count
      places[key] = place
      members.append(
        Member(
          tenant: tenant,
          producer: producer,
          epoch: epoch,
          first: first,
          last: range.last
        )
      )
    }
    for reject in rejects {
      rejected.append(
        Rejected(
          part: parts.count,
          sequence: range.first + UInt64(reject.index),
          reason: reject.reason
        )
      )
    }
    parts.append(Part(member: place, range: range, first: first))
    return true
  }

  /// The durable transaction: one simple query that asks for the COPY's data in its midst.
  ///
  /// Its last answer is the flushed LSN, the token of everything in the group.
  public var durableText: String {
    var sql = SQLWriter(capacity: 512 + members.count * 128 + hot.count * 64)
    sql.fixed("BEGIN;COPY sluice.entity_values(")
    sql.fixed(CopyEncoder.columns)
    sql.fixed(")FROM STDIN(FORMAT binary);")
    #if SLUICE_FAULT_SKIP_GUARD
    writeUnguardedCommit(&sql)
    #else
    sql.fixed("SELECT sluice.commit_group(")
    writeMembers(&sql)
    writeRejected(&sql, slot: { parts[$0].member })
    writeHot(&sql)
    sql.fixed(")")
    #endif
    sql.fixed(";COMMIT;SELECT pg_current_wal_flush_lsn()")
    return sql.text
  }

  #if SLUICE_FAULT_SKIP_GUARD
  /// WRONG ON PURPOSE, and in no build but that of `scripts/faults --mutants`: advances producers
  /// without asking for their epoch and place, which the fault matrix must notice.
  private func writeUnguardedCommit(_ sql: inout SQLWriter) {
    sql.fixed("WITH unguarded AS(UPDATE sluice.producer_state p")
    sql.fixed(" SET durable_seq=greatest(p.durable_seq,w.last_seq)FROM unnest(")
    sql.array(members.count) { $0.integer(Int64(members[$1].tenant)) }
    sql.fixed("::integer[],")
    sql.array(members.count) { $0.uuid(members[$1].producer) }
    sql.fixed("::uuid[],")
    sql.array(members.count) { $0.unsigned(members[$1].last) }
    sql.fixed("::bigint[])AS w(tenant_id,producer_id,last_seq)")
    sql.fixed("WHERE p.tenant_id=w.tenant_id AND p.producer_id=w.producer_id)SELECT 0")
  }
  #endif

  /// The staging transaction into a segment that `create_segment` named.
  public func stagedText(segment: String) -> String {
    var sql = SQLWriter(capacity: 512 + parts.count * 128)
    sql.fixed("BEGIN;COPY sluice.")
    sql.name(segment)
    sql.fixed("(")
    sql.fixed(CopyEncoder.stagedColumns)
    sql.fixed(")FROM STDIN(FORMAT binary);SELECT sluice.stage_group('")
    sql.name(segment)
    sql.fixed("',")
    sql.array(parts.count) { $0.integer(Int64(members[parts[$1].member].tenant)) }
    sql.fixed(",")
    sql.array(parts.count) { $0.uuid(members[parts[$1].member].producer) }
    sql.fixed(",")
    sql.array(parts.count) { $0.unsigned(members[parts[$1].member].epoch) }
    sql.fixed(",")
    sql.array(parts.count) { $0.unsigned(parts[$1].first) }
    sql.fixed(",")
    sql.array(parts.count) { $0.unsigned(parts[$1].range.last) }
    sql.fixed(",")
    sql.array(parts.count) { $0.unsigned(UInt64(parts[$1].range.checksum)) }
    writeRejected(&sql, slot: { $0 })
    sql.fixed(");COMMIT")
    return sql.text
  }

  /// Reads the DETAIL of `lostState`; nil when it is not one.
  public static func losers(_ detail: String) -> [Loser]? {
    var losers: [Loser] = []
    for entry in detail.split(separator: ",", omittingEmptySubsequences: false) {
      let fields = entry.split(separator: ":", omittingEmptySubsequences: false)
      guard fields.count == 3, let slot = Int(fields[0]), slot > 0, let epoch = UInt64(fields[1]),
        let durable = UInt64(fields[2])
      else { return nil }
      losers.append(Loser(index: slot - 1, epoch: epoch, durable: durable))
    }
    return losers
  }

  private func writeMembers(_ sql: inout SQLWriter) {
    sql.array(members.count) { $0.integer(Int64(members[$1].tenant)) }
    sql.fixed(",")
    sql.array(members.count) { $0.uuid(members[$1].producer) }
    sql.fixed(",")
    sql.array(members.count) { $0.unsigned(members[$1].epoch) }
    sql.fixed(",")
    sql.array(members.count) { $0.unsigned(members[$1].first) }
    sql.fixed(",")
    sql.array(members.count) { $0.unsigned(members[$1].last) }
    sql.fixed(",")
    writeRecent(&sql)
  }

  /// The last 8 batches of each member, as array literals within an array literal.
  private func writeRecent(_ sql: inout SQLWriter) {
    var recent = [[Int]](repeating: [], count: members.count)
    for (index, part) in parts.enumerated() {
      recent[part.member].append(index)
      if recent[part.member].count > ProducerHead.recentMax { recent[part.member].removeFirst() }
    }
    sql.array(members.count) { sql, member in
      sql.fixed("\"{")
      for (place, index) in recent[member].enumerated() {
        if place > 0 { sql.fixed(",") }
        sql.unsigned(parts[index].range.first)
        sql.fixed(",")
        sql.unsigned(parts[index].range.last)
        sql.fixed(",")
        sql.unsigned(UInt64(parts[index].range.checksum))
      }
      sql.fixed("}\"")
    }
  }

  private func writeRejected(_ sql: inout SQLWriter, slot: (Int) -> Int) {
    guard !rejected.isEmpty else { return sql.fixed(",NULL,NULL,NULL") }
    sql.fixed(",")
    sql.array(rejected.count) { $0.unsigned(UInt64(slot(rejected[$1].part) + 1)) }
    sql.fixed(",")
    sql.array(rejected.count) { $0.unsigned(rejected[$1].sequence) }
    sql.fixed(",")
    sql.array(rejected.count) { $0.integer(Int64(rejected[$1].reason.rawValue)) }
  }

  private func writeHot(_ sql: inout SQLWriter) {
    let entries = hot.entries
    if entries.isEmpty {
      sql.fixed(",NULL,NULL,NULL,NULL,NULL")
    } else {
      sql.fixed(",")
      sql.array(entries.count) { $0.integer(Int64(entries[$1].key.tenant)) }
      sql.fixed(",")
      sql.array(entries.count) { $0.integer(entries[$1].key.entity) }
      sql.fixed(",")
      sql.array(entries.count) { $0.unsigned(UInt64(entries[$1].key.attribute)) }
      sql.fixed(",")
      sql.array(entries.count) { $0.integer(entries[$1].observed) }
      sql.fixed(",")
      sql.array(entries.count) { sql, index in
        switch entries[index].content {
        case .number(let value): sql.number(value)
        case .integer(let value): sql.integer(value)
        case .flag(let value): sql.fixed(value ? "true" : "false")
        case .label(let range): sql.hexJSONString(hot.texts[range])
        case .document(let range): sql.hexText(hot.texts[range])
        }
      }
    }
    sql.fixed(",")
    sql.unsigned(UInt64(documentBytesMax))
  }
}
