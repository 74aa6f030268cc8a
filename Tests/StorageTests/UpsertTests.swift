import EventLoop
import Testing

@testable import Storage

@Suite("upserts", .needsDatabases)
struct UpsertTests {
  static let past: Int64 = 1_700_000_000_000_000

  @Test("every value comes back from the projection and from history as it was written")
  func values() async throws {
    try await UpsertWorld.run { world in
      let upserts = ReadsTests.values.enumerated().map { index, value in
        Upsert(
          tenant: 1,
          entityID: 1,
          values: [UpsertValue(attributeID: UInt32(value.type.rawValue), value: value)],
          observedAtMicroseconds: UpsertTests.past + Int64(index)
        )
      }
      world.start()
      for (upsert, value) in zip(upserts, ReadsTests.values) {
        let outcome = try await world.lane.write(upsert, deadline: soon())
        let newest = try await world.entity(1).values.first {
          $0.attributeID == upsert.values[0].attributeID
        }
        #expect(isSame(try #require(newest).value, value))
        #expect(outcome.observedAtMicroseconds == [newest?.observedAtMicroseconds])
        let entity = try await world.entity(1)
        #expect(entity.version == outcome.version)
      }
      let query = HistoryQuery(
        tenant: 1,
        entityIDs: [1],
        attributeIDs: Array(1...5),
        startMicroseconds: .min,
        endMicroseconds: .max
      )
      let (seen, _) = try await world.readers.all(query, limit: 1000)
      #expect(seen.count == ReadsTests.values.count)
      #expect(zip(seen, ReadsTests.values).allSatisfy { isSame($0.value, $1) })
    }
  }

  @Test("what is old, before the year 1970 and 2000, keeps its time to the microsecond")
  func times() async throws {
    try await UpsertWorld.run { world in
      world.start()
      let times: [Int64] = [-62_135_596_799_999_999, -7, 0, 1, 946_684_799_999_999]
      for time in times {
        let upsert = UpsertWorld.number(1, at: time)
        _ = try await world.lane.write(upsert, deadline: soon())
      }
      let stored = try await world.readers.database.value(
        """
        SELECT array_agg((extract(epoch FROM observed_at) * 1000000)::int8 ORDER BY observed_at)
        FROM sluice.entity_values
        """
      )
      #expect(stored == "{\(times.map(String.init).joined(separator: ","))}")
    }
  }

  @Test("projection and history are written by one transaction, and the token holds both")
  func oneTransaction() async throws {
    try await UpsertWorld.run { world in
      world.start()
      let outcome = try await world.lane.write(UpsertWorld.number(5), deadline: soon())
      let same = try await world.readers.database.value(
        """
        SELECT v.xmin = j.xmin AND pg_current_wal_flush_lsn() >= $1
        FROM sluice.entity_values v JOIN sluice.entity_jsonb j USING (tenant_id, entity_id)
        """,
        [.lsn(outcome.token.lsn)]
      )
      #expect(same == "t")
      let (_, proof) = try await world.readers.entities.entity(
        .id(1),
        tenant: 1,
        ReadRequirement(.atLeast(outcome.token)),
        deadline: soon()
      )
      #expect(proof.asOf.identity == outcome.token.identity)
    }
  }

  @Test(
    "the newest time wins in whatever order upserts come",
    arguments: [[1, 2, 3], [3, 2, 1], [2, 3, 1], [3, 1, 2], [1, 3, 2], [2, 1, 3]]
  )
  func newestWins(order: [Int64]) async throws {
    try await UpsertWorld.run { world in
      // One group, and each by itself.
      let upserts = order.map { UpsertWorld.number(Double($0), at: UpsertTests.past + $0) }
      _ = await world.write(upserts)
      for place in order {
        let upsert = UpsertWorld.number(Double(place), of: 2, at: UpsertTests.past + place)
        _ = try await world.lane.write(upsert, deadline: soon())
      }
      for entity: Int64 in [1, 2] {
        let newest = try #require(try await world.entity(entity).values.first)
        #expect(newest.value == .number(3))
        #expect(newest.observedAtMicroseconds == UpsertTests.past + 3)
      }
      let rows = try await world.readers.database.value("SELECT count(*) FROM sluice.entity_values")
      #expect(rows == "6")
    }
  }

  @Test("without a time a value is the newest, also when what is stored lies in the future")
  func untimed() async throws {
    try await UpsertWorld.run { world in
      let future = WallClock.nowUnixMicroseconds() + 3_000_000_000
      // All in one group: timed ones between untimed ones.
      let outcomes = await world.write([
        UpsertWorld.number(1), UpsertWorld.number(2, at: future), UpsertWorld.number(3),
        UpsertWorld.number(4), UpsertWorld.number(5, at: future + 1),
      ])
      let times = try outcomes.map { try $0.get().observedAtMicroseconds[0] }
      #expect(times[0] < future)
      #expect(times[1] == future && times[4] == future + 1)
      #expect(times[2] > future && times[3] > times[2] && times[3] > times[4])
      #expect(try await world.entity(1).values.first?.value == .number(4))
      let next = try await world.lane.write(UpsertWorld.number(6), deadline: soon())
      #expect(next.observedAtMicroseconds == [times[3] + 1])
      #expect(try await world.entity(1).values.first?.value == .number(6))
      // An older one goes to history only, and the version stays.
      let old = try await world.lane.write(UpsertWorld.number(7, at: 1), deadline: soon())
      #expect(old.version == next.version)
      #expect(try await world.entity(1).values.first?.value == .number(6))
    }
  }

  @Test("upserts that wait together share a transaction")
  func grouping() async throws {
    try await UpsertWorld.run { world in
      let upserts = (0..<200).map { UpsertWorld.number(Double($0), of: Int64($0 % 20) + 1) }
      let outcomes = await world.write(upserts)
      #expect(outcomes.allSatisfy { (try? $0.get()) != nil })
      #expect(world.lane.statistics.upserts == 200)
      // Half of them, and beside it the other half.
      #expect(world.lane.statistics.groups == 2)
      let rows = try await world.readers.database.value(
        "SELECT count(*) || ' ' || count(DISTINCT xmin::text) FROM sluice.entity_values"
      )
      #expect(rows == "200 2")
    }
  }

  @Test("a bad upsert in a group fails alone")
  func bisection() async throws {
    try await UpsertWorld.run { world in
      var upserts = (0..<40).map { UpsertWorld.number(Double($0), of: Int64($0 % 20) + 1) }
      // Past every check, as if ours and PostgreSQL's were not of one mind.
      upserts[17].values = [UpsertValue(attributeID: 5, value: .document("no JSON"))]
      upserts[30].values.append(UpsertValue(attributeID: 5, value: .document("{")))
      let outcomes = await world.write(upserts)
      for (index, outcome) in outcomes.enumerated() {
        if index == 17 || index == 30 {
          #expect(outcome == .failure(.valueRefused))
        } else {
          #expect((try? outcome.get()) != nil, "upsert \(index): \(outcome)")
        }
      }
      let rows = try await world.readers.database.value("SELECT count(*) FROM sluice.entity_values")
      #expect(rows == "38")
    }
  }

  @Test("an entity that would need too much room is refused, and nothing of it is written")
  func full() async throws {
    try await UpsertWorld.run { world in
      world.start()
      let huge = Upsert(
        tenant: 1,
        entityID: 1,
        values: [
          UpsertValue(attributeID: 4, value: .label(String(repeating: "x", count: 1_100_000)))
        ]
      )
      let outcomes = await world.write([huge, UpsertWorld.number(1, of: 2)], starting: false)
      #expect(outcomes[0] == .failure(.projectionFull))
      #expect(try outcomes[1].get().version == 1)
      let rows = try await world.readers.database.value("SELECT count(*) FROM sluice.entity_values")
      #expect(rows == "1")
      #expect(try await world.entity(1).values.isEmpty)
    }
  }

  @Test("a repeat with its time changes nothing and leaves no second row")
  func repeats() async throws {
    try await UpsertWorld.run { world in
      world.start()
      let upsert = UpsertWorld.number(.nan, at: UpsertTests.past)
      let first = try await world.lane.write(upsert, deadline: soon())
      let second = try await world.lane.write(upsert, deadline: soon())
      #expect(first.version == second.version && first.version == 1)
      let count = "SELECT count(*) FROM sluice.entity_values"
      #expect(try await world.readers.database.value(count) == "1")
      // The same time with another value: the later one wins, and both are history.
      let other = UpsertWorld.number(2, at: UpsertTests.past)
      #expect(try await world.lane.write(other, deadline: soon()).version == 2)
      #expect(try await world.readers.database.value(count) == "2")
    }
  }

  @Test("a value left out takes the attribute away, and older values stay away")
  func tombstone() async throws {
    try await UpsertWorld.run { world in
      world.start()
      let past = UpsertTests.past
      _ = try await world.lane.write(UpsertWorld.number(1, at: past), deadline: soon())
      var dead = UpsertWorld.number(0, at: past + 10)
      dead.values = [UpsertValue(attributeID: 1, value: nil)]
      #expect(try await world.lane.write(dead, deadline: soon()).version == 2)
      #expect(try await world.entity(1).values.isEmpty)
      _ = try await world.lane.write(UpsertWorld.number(2, at: past + 5), deadline: soon())
      #expect(try await world.entity(1).values.isEmpty)
      _ = try await world.lane.write(UpsertWorld.number(3, at: past + 11), deadline: soon())
      #expect(try await world.entity(1).values.first?.value == .number(3))
      let rows = try await world.readers.database.value("SELECT count(*) FROM sluice.entity_values")
      #expect(rows == "3")
    }
  }

  @Test("what was taken away stays away when what is staged is read, too, unless that is newer")
  func tombstoneAndStaged() async throws {
    try await UpsertWorld.run { world in
      world.start()
      let past = UpsertTests.past
      _ = try await world.lane.write(UpsertWorld.number(1, at: past), deadline: soon())
      var dead = UpsertWorld.number(0, at: past + 10)
      dead.values = [UpsertValue(attributeID: 1, value: nil)]
      _ = try await world.lane.write(dead, deadline: soon())
      let producer = "00000000-0000-0000-0000-00000000000a"
      let segment = "segment_" + producer.filter { $0 != "-" } + "_0"
      try await world.readers.database.script(
        """
        SELECT sluice.open_producer(1, '\(producer)', '\(producer)', 0::bigint);
        SELECT sluice.create_segment('\(producer)', 0);
        """
      )
      // Equal times go to the later commit, which what is staged will have.
      let expected: [(offset: Int64, values: [StoredValue])] = [
        (5, []), (9, []), (10, [.number(10)]), (11, [.number(11)]),
      ]
      for (offset, values) in expected {
        try await world.readers.database.script(
          """
          INSERT INTO sluice.\(segment)
            (entity_id, observed_at, seq, producer_id, tenant_id, attribute_id, number)
            VALUES (1, to_timestamp(0) + \(past + offset) * interval '1 microsecond', \(offset),
              '\(producer)', 1, 1, \(offset))
          """
        )
        let (entity, _) = try await world.readers.entities.entity(
          .id(1),
          tenant: 1,
          ReadRequirement(.strong, includesStaged: true),
          deadline: soon()
        )
        #expect(entity.values.map(\.value) == values)
      }
    }
  }

  @Test("a value of an attribute that is not hot goes to history only")
  func cold() async throws {
    try await UpsertWorld.run { world in
      try await world.readers.database.script("UPDATE sluice.attributes SET is_hot = false")
      world.start()
      var upsert = UpsertWorld.number(1)
      upsert.isHot = false
      let outcome = try await world.lane.write(upsert, deadline: soon())
      #expect(outcome.version == 0)
      let counts = try await world.readers.database.value(
        """
        SELECT (SELECT count(*) FROM sluice.entity_values) || ' '
          || (SELECT count(*) FROM sluice.entity_jsonb)
        """
      )
      #expect(counts == "1 0")
    }
  }

  @Test(
    "upserts of the same entities over several writers and lanes lose nothing",
    arguments: [true, false]
  )
  func contention(isHot: Bool) async throws {
    try await UpsertWorld.run(lanes: 3) { world in
      world.start()
      let upserts = (0..<300).map { index in
        Upsert(
          tenant: 1,
          entityID: Int64(index % 3) + 1,
          values: [
            UpsertValue(attributeID: 1, value: .number(Double(index))),
            UpsertValue(attributeID: 2, value: .integer(Int64(index))),
          ],
          isHot: isHot
        )
      }
      let outcomes = await world.write(upserts, starting: false)
      for entity: Int64 in 1...3 {
        let own = outcomes.indices.filter { upserts[$0].entityID == entity }
        let times = try own.map { try outcomes[$0].get().observedAtMicroseconds[0] }
        #expect(Set(times).count == times.count, "each is the newest when it is written")
        let last = try #require(zip(times, own).max { $0.0 < $1.0 }?.1)
        #expect(try await world.entity(entity).values.first?.value == .number(Double(last)))
      }
      let rows = try await world.readers.database.value("SELECT count(*) FROM sluice.entity_values")
      #expect(rows == "600")
    }
  }

  @Test("when too many wait the next one is refused; those whose time has passed are told")
  func limits() async throws {
    try await UpsertWorld.run { world in
      let waiting = UpsertLimits.waitingMax
      nonisolated(unsafe) let lane = world.lane
      world.start(whenWaiting: waiting)
      let loop = world.readers.database.loop
      let answers = await withTaskGroup(of: StorageError?.self) { group in
        for index in 0...waiting {
          // The first one's time has passed when the writer comes.
          let deadline = index == 0 ? MonotonicTime.now() : soon(.seconds(60))
          group.addTask(executorPreference: loop) {
            await storageFailure { () throws(StorageError) in
              try await unsafe lane.write(UpsertWorld.number(1), deadline: deadline)
            }
          }
        }
        return await group.reduce(into: []) { $0.append($1) }
      }
      #expect(answers.count { $0 == .tooManyUpserts } == 1)
      #expect(answers.count { $0 == .postgres(.waitTimedOut) } == 1)
      #expect(answers.count { $0 == nil } == waiting - 1)
      #expect(world.lane.statistics.upserts == Int64(waiting) - 1)
      #expect(world.lane.isIdle)
    }
  }

  @Test("at its deadline one under way is of unknown outcome, and one that waits is never written")
  func deadlines() async throws {
    try await UpsertWorld.run { world in
      world.start()
      let blocker = try await world.readers.database.connect()
      defer { blocker.close() }
      _ = try await blocker.script(
        "BEGIN; LOCK TABLE sluice.entity_jsonb IN ACCESS EXCLUSIVE MODE",
        deadline: soon()
      )
      let loop = world.readers.database.loop
      nonisolated(unsafe) let lane = world.lane
      // Each writer takes one, and the third one waits.
      let answers = await withTaskGroup(of: (Int, StorageError?, Duration).self) { group in
        for index in 0...UpsertLane.writerCount {
          group.addTask(executorPreference: loop) {
            await loop.sleep(for: .milliseconds(100 * index))
            let start = MonotonicTime.now()
            var upsert = UpsertWorld.number(Double(index), of: Int64(index) + 1)
            // New entities, which the cheap way would leave over.
            upsert.isHot = false
            let failure = await storageFailure { [upsert] () throws(StorageError) in
              try await unsafe lane.write(upsert, deadline: start + .milliseconds(600))
            }
            return (index, failure, MonotonicTime.now() - start)
          }
        }
        return await group.reduce(into: []) { $0.append($1) }
      }
      for (index, failure, lasted) in answers {
        let isUnderWay = index < UpsertLane.writerCount
        #expect(failure == (isUnderWay ? .outcomeUnknown : .postgres(.waitTimedOut)))
        #expect(lasted < .seconds(5), "told at the deadline, not when the database answers")
      }
      _ = try await blocker.script("COMMIT", deadline: soon())
      while unsafe !lane.isIdle { await loop.sleep(for: .milliseconds(10)) }
      let written = try await world.readers.database.value(
        "SELECT string_agg(entity_id::text, ',' ORDER BY entity_id) FROM sluice.entity_values"
      )
      #expect(written == "1,2")
    }
  }

  @Test("values are checked as those of a batch")
  func check() {
    var index = CatalogIndex()
    index.addEntity(1)
    index.setAttribute(1, type: .number, isHot: true)
    index.setAttribute(4, type: .label, isHot: false)
    index.setAttribute(5, type: .document, isHot: false)
    let limits = ValueLimits(futureMicroseconds: 100, labelBytes: 5)
    func finding(_ values: [(UInt32, StoredValue?)], at time: Int64? = nil) -> UpsertCheck.Finding?
    {
      UpsertCheck.finding(
        Upsert(
          tenant: 1,
          entityID: 1,
          values: values.map { UpsertValue(attributeID: $0.0, value: $0.1) },
          observedAtMicroseconds: time
        ),
        index,
        limits,
        nowUnixMicroseconds: 1_000
      )
    }
    #expect(
      finding([(1, .number(1)), (4, .label("short")), (5, .document("{}")), (4, nil)]) == nil
    )
    #expect(finding([(1, .number(1))], at: 1_100) == nil)
    #expect(finding([(1, nil), (4, nil), (5, nil)], at: 1_100) == nil)
    let wrong: [(UpsertCheck.Finding?, Int, RejectReason)] = [
      (finding([(5, .document("{}")), (4, .label("longer"))]), 1, .tooLong),
      (finding([(4, .label("")), (5, .document("{")), (1, .number(1))]), 1, .notJSON),
      (finding([(1, .integer(1))]), 0, .wrongType),
      (finding([(1, .number(1)), (9, nil)]), 1, .unknownAttribute),
      (finding([(9, .flag(true))]), 0, .unknownAttribute),
      (finding([(1, .number(1))], at: 1_101), 0, .timeInFuture),
      (finding([(1, .number(1))], at: .min), 0, .timeOutOfRange),
      // What only takes attributes away has a time, too, which keeps later values out.
      (finding([(1, nil)], at: 1_101), 0, .timeInFuture),
      (finding([(4, nil), (9, .number(1))], at: .max), 1, .unknownAttribute),
      (finding([(5, nil), (4, nil)], at: .max), 1, .timeInFuture),
      (finding([(4, nil)], at: .min), 0, .timeOutOfRange),
    ]
    for (found, place, reason) in wrong {
      #expect(found == UpsertCheck.Finding(index: place, reason: reason))
    }
  }
}
