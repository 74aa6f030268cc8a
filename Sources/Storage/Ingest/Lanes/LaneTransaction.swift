internal import EventLoop

// One attempt to write: which batches, which SQL, which rows, and what became of each.

/// The open batches of some groups as one transaction.
struct LaneTransaction {
  private let groups: [LaneGroup]
  private let statement: GroupStatement
  /// Batches of the transaction by group and index, in the order of the statement.
  private let places: [(group: Int, index: Int)]
  /// For each member of the statement, its batches as positions in `places`.
  private let memberPlaces: [[Int]]

  /// What a committed transaction brought.
  struct Outcome {
    /// Everything in it is visible to a read AT_LEAST this position.
    var position: PostgresLSN
    /// Documents of the hot projection that changed.
    var folded: Int64
  }

  /// Takes the batches that are not over; one that cannot stand beside another waits for the next
  /// attempt.
  init(_ groups: [LaneGroup], batchesMax: Int = .max) {
    self.groups = groups
    var statement = GroupStatement(documentBytesMax: LaneLimits.documentBytes)
    var places: [(group: Int, index: Int)] = []
    var members: [ProducerKey: Int] = [:]
    var memberPlaces: [[Int]] = []
    // Once a producer's batch has to wait, its later ones wait with it.
    var waiting: Set<ProducerKey> = []
    for (groupIndex, group) in groups.enumerated() {
      for index in group.open {
        let batch = group.batches[index]
        guard places.count < batchesMax, !waiting.contains(batch.key) else { continue }
        let isAdded = statement.add(
          tenant: batch.key.tenant,
          producer: batch.key.producer,
          epoch: batch.key.epoch,
          range: batch.range,
          skipping: batch.skipping,
          rejects: LaneTransaction.merged(batch.rejects, batch.refused)
        )
        guard isAdded else {
          waiting.insert(batch.key)
          continue
        }
        if let hot = batch.hot { statement.hot.merge(hot) }
        if let member = members[batch.key] {
          memberPlaces[member].append(places.count)
        } else {
          members[batch.key] = memberPlaces.count
          memberPlaces.append([places.count])
        }
        places.append((groupIndex, index))
      }
    }
    self.statement = statement
    self.places = places
    self.memberPlaces = memberPlaces
  }

  var isEmpty: Bool { places.isEmpty }
  /// Entities whose newest values it may change.
  var hotEntities: Set<EntityID> {
    Set(statement.hot.entries.map { EntityID(tenant: $0.key.tenant, id: $0.key.entity) })
  }
  var count: Int { places.count }

  // MARK: Running

  /// Runs the durable transaction.
  ///
  /// - Throws: `PostgresError`; nothing is written then, unless its outcome is unknown.
  func run(
    on connection: PostgresConnection,
    deadline: MonotonicTime
  ) async throws(PostgresError) -> Outcome {
    let results = try await connection.copyIn(statement.durableText, deadline: deadline) {
      (copy) throws(PostgresError) in
      try await put(into: copy)
    }
    guard results.count == GroupStatement.durableStatementCount,
      results[3].commandTag == "COMMIT"
    else { throw .protocolViolation("the transaction was not committed") }
    // Tried again: the guard finds the rows, and they are acknowledged once replicas have them.
    try connection.requireReplication()
    guard let position = try results[4].lsn(row: 0, column: 0),
      let folded = try results[2].int64(row: 0, column: 0)
    else { throw .protocolViolation("a committed transaction without its position") }
    return Outcome(position: position, folded: folded)
  }

  /// Runs the staging transaction into a segment.
  ///
  /// - Throws: as `run`.
  func stage(
    into segment: String,
    on connection: PostgresConnection,
    deadline: MonotonicTime
  ) async throws(PostgresError) {
    let results = try await connection.copyIn(
      statement.stagedText(segment: segment),
      deadline: deadline
    ) { (copy) throws(PostgresError) in
      try await put(into: copy, staged: true)
    }
    guard results.count == GroupStatement.stagedStatementCount,
      results[3].commandTag == "COMMIT"
    else { throw .protocolViolation("the staging transaction was not committed") }
  }

  private func put(into copy: PostgresCopy, staged: Bool = false) async throws(PostgresError) {
    let header = CopyEncoder.header
    try await copy.put(unsafe header.span.bytes)
    for (groupIndex, group) in groups.enumerated() {
      let indexes = places.filter { $0.group == groupIndex }.map(\.index)
      guard !indexes.isEmpty else { continue }
      try await group.put(group.pieces(of: indexes, staged: staged), staged: staged, into: copy)
    }
    let trailer = CopyEncoder.trailer
    try await copy.put(unsafe trailer.span.bytes)
  }

  // MARK: Endings

  /// Ends batches that came behind the one with which their owner lost its place.
  ///
  /// Nobody was told that they are written, and whoever goes on sends them again.
  static func endAbandoned(_ groups: [LaneGroup]) {
    for group in groups {
      for index in group.open where group.batches[index].owner.hasLostPlace {
        group.end(index, .displaced)
      }
    }
  }

  /// Tells every owner that its batch is durable.
  func end(at token: FreshnessToken) {
    for place in places {
      let refused = groups[place.group].batches[place.index].refused
      end(place, .durable(token, refused: refused))
    }
  }

  /// Tells every owner that its batch is staged.
  func staged() {
    for place in places {
      let batch = groups[place.group].batches[place.index]
      batch.owner.batchStaged(batch)
    }
  }

  /// Tells every owner that its batch will not be staged.
  func notStaged() {
    for place in places {
      let batch = groups[place.group].batches[place.index]
      batch.owner.batchNotStaged(batch)
    }
  }

  /// Ends what the guard refused, batch by batch; what still has its place stays for the next
  /// attempt.
  ///
  /// - Parameters:
  ///   - losers: whom the guard named.
  ///   - token: of what is committed.
  ///   - mayBeCommitted: whether an earlier attempt may have been committed. If none was, somebody
  ///     else has used these numbers in the same session, perhaps for other values: the producer
  ///     opens again, and its batches are compared with what is there.
  func settle(
    _ losers: [GroupStatement.Loser],
    at token: FreshnessToken,
    mayBeCommitted: Bool
  ) {
    for loser in losers where loser.index < memberPlaces.count {
      var durable = loser.durable
      for placeIndex in memberPlaces[loser.index] {
        let place = places[placeIndex]
        let batch = groups[place.group].batches[place.index]
        if mayBeCommitted, loser.epoch == batch.key.epoch, batch.range.last <= durable {
          end(place, .durable(token, refused: batch.refused))
        } else if loser.epoch != batch.key.epoch {
          end(place, LaneTransaction.ending(loser, of: batch))
        } else if batch.first == durable + 1, !batch.owner.hasLostPlace {
          durable = batch.range.last
        } else {
          end(place, .displaced)
        }
      }
    }
  }

  /// The same for a staging transaction, whose losers are named by batch.
  func settleStaged(_ losers: [GroupStatement.Loser]) {
    for loser in losers where loser.index < places.count {
      let place = places[loser.index]
      end(place, LaneTransaction.ending(loser, of: groups[place.group].batches[place.index]))
    }
  }

  /// What becomes of a batch whose epoch is not the one of the database.
  ///
  /// A later one is a newer session. An earlier one, or none, is a failover that lost the opening:
  /// the producer opens again, and is told what else was lost.
  private static func ending(_ loser: GroupStatement.Loser, of batch: LaneBatch) -> BatchEnding {
    loser.epoch > batch.key.epoch
      ? .fenced(epoch: loser.epoch) : .displaced
  }

  private func end(_ place: (group: Int, index: Int), _ ending: BatchEnding) {
    groups[place.group].end(place.index, ending)
  }

  // MARK: Bisection

  /// Finds the values that PostgreSQL does not take, and leaves them out from now on.
  ///
  /// - Returns: how many there are.
  /// - Throws: `PostgresError` other than about data: try again later.
  func bisect(
    on connection: PostgresConnection,
    deadline: () -> MonotonicTime
  ) async throws(PostgresError) -> Int {
    var refused = 0
    for place in places {
      let group = groups[place.group]
      let batch = group.batches[place.index]
      let search = RowBisection(rows: group.bytes(of: place.index))
      let bad = try await search.run(on: connection, deadline: deadline)
      if bad.isEmpty {
        // Its rows are good: if a transaction of this batch alone fails, its hot values are to
        // blame.
        if places.count == 1 { group.dropHot(place.index) }
        continue
      }
      let written = LaneTransaction.writtenIndexes(of: batch, rowCount: search.rowCount)
      group.refuse(
        place.index,
        bad.map { RejectedValue(index: written[$0], reason: .refusedByDatabase) },
        keeping: search.keeping(without: bad, from: batch.rows.lowerBound)
      )
      refused += bad.count
    }
    return refused
  }

  /// Index in the batch of each of its rows.
  private static func writtenIndexes(of batch: LaneBatch, rowCount: Int) -> [UInt32] {
    var indexes: [UInt32] = []
    var rejects = batch.rejects.makeIterator()
    var nextReject = rejects.next()
    var index = UInt32(batch.skipping)
    while indexes.count < rowCount {
      while let reject = nextReject, reject.index < index { nextReject = rejects.next() }
      if nextReject?.index != index { indexes.append(index) }
      index += 1
    }
    return indexes
  }

  private static func merged(
    _ first: [RejectedValue],
    _ second: [RejectedValue]
  ) -> [RejectedValue] {
    second.isEmpty ? first : (first + second).sorted { $0.index < $1.index }
  }
}
