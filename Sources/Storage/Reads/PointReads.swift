public import EventLoop

// Reads of single entities: those that come together share one query.

/// Groups point reads that want the same freshness.
///
/// A query starts a turn of the loop after its first reader, or when one that is under way has
/// ended; whoever comes meanwhile joins it. It starts after all its readers have come, so it sees
/// what each of them may expect. Readers are functions to call back: a task for each would cost
/// more than its share of the query. Confined to its loop's thread.
public final class PointReads {
  /// Reads answered.
  public private(set) var readCount: Int64 = 0
  /// Queries that answered them.
  public private(set) var queryCount: Int64 = 0

  private let reader: EntityReader
  /// Runs `runNext` in a task of its own.
  private let start: () -> Void
  private var names = NamesByID(now: .now())
  /// One for each kind of read that waits or is under way.
  private var queues: [Queue] = []
  /// Whose query `start` was asked for and does not run yet.
  private var starting: [Queue] = []

  /// Entities of one query: what PostgreSQL reads in well under a millisecond.
  static let groupMax = 128
  /// Queries of one queue under way: while one is executed, the others are on their way.
  static let runningMax = 2
  /// Reads of one queue that wait; one more is refused.
  static let waitingMax = 4_096

  /// Reads that one query can answer.
  private struct Class: Equatable {
    var tenant: Int32
    var requirement: ReadRequirement
  }

  private struct Entry {
    let key: EntityReader.Key
    let deadline: MonotonicTime
    let done: (CachedEntities.Answer) -> Void
  }

  private final class Queue {
    let kind: Class
    var entries: [Entry] = []
    /// Queries under way or about to start.
    var running = 0
    /// Readers of those under way.
    var reading = 0

    init(_ kind: Class) { self.kind = kind }

    /// What the next query reads, oldest first; who waits no longer is told.
    func takeGroup() -> [Entry] {
      let now = MonotonicTime.now()
      let late = entries.filter { $0.deadline <= now }
      if !late.isEmpty {
        entries.removeAll { $0.deadline <= now }
        for entry in late { entry.done(.failure(.postgres(.waitTimedOut))) }
      }
      let count = GroupSize.next(
        waiting: entries.count,
        underWay: reading,
        most: PointReads.groupMax
      )
      let group = Array(entries.prefix(count))
      entries.removeFirst(group.count)
      reading += group.count
      return group
    }
  }

  /// Point reads by this reader.
  ///
  /// - Parameters:
  ///   - reader: asks the databases.
  ///   - start: runs `runNext` in a task of its own, later.
  public init(_ reader: EntityReader, start: @escaping () -> Void) {
    self.reader = reader
    self.start = start
  }

  /// Asks for one entity without what is staged.
  ///
  /// - Parameters:
  ///   - key: its id or its name.
  ///   - tenant: whose.
  ///   - requirement: how fresh.
  ///   - deadline: until when.
  ///   - done: is called once, in a later turn of the loop, or at once when too many wait; the
  ///     answer has a proof also for an entity that does not exist. Errors are those of
  ///     `EntityReader.entity`.
  func ask(
    _ key: EntityReader.Key,
    tenant: Int32,
    _ requirement: ReadRequirement,
    deadline: MonotonicTime,
    _ done: @escaping (CachedEntities.Answer) -> Void
  ) {
    precondition(!requirement.includesStaged, "what is staged is read one by one")
    readCount += 1
    let queue = queue(tenant, requirement)
    guard queue.entries.count < PointReads.waitingMax else {
      return done(.failure(.postgres(.poolFull)))
    }
    queue.entries.append(Entry(key: key, deadline: deadline, done: done))
    // Those about to start take some of them.
    let taken = starting.count { $0 === queue } * GroupSize.least
    guard queue.running < PointReads.runningMax, queue.entries.count > taken else { return }
    queue.running += 1
    starting.append(queue)
    start()
  }

  private func queue(_ tenant: Int32, _ requirement: ReadRequirement) -> Queue {
    var kind = Class(tenant: tenant, requirement: requirement)
    // The primary holds every write that was acknowledged before.
    if requirement.level == .strong { kind.requirement.sessionToken = nil }
    if let queue = queues.first(where: { $0.kind == kind }) { return queue }
    let queue = Queue(kind)
    queues.append(queue)
    return queue
  }

  /// The same for a task that waits.
  ///
  /// - Throws: as `EntityReader.entity`, but for an entity that does not exist.
  func find(
    _ key: EntityReader.Key,
    tenant: Int32,
    _ requirement: ReadRequirement,
    deadline: MonotonicTime
  ) async throws(StorageError) -> CachedEntities.Found {
    let cell = WaitCell<CachedEntities.Answer>()
    return try await cell.wait {
      ask(key, tenant: tenant, requirement, deadline: deadline) { cell.resume($0) }
    }.get()
  }

  /// One entity and its newest values.
  ///
  /// - Throws: as `EntityReader.entity`.
  public func entity(
    _ key: EntityReader.Key,
    tenant: Int32,
    _ requirement: ReadRequirement,
    deadline: MonotonicTime
  ) async throws(StorageError) -> (entity: HotEntity, proof: ReadProof) {
    guard requirement.includesStaged else {
      let found = try await find(key, tenant: tenant, requirement, deadline: deadline)
      return try PointReads.existing(found)
    }
    readCount += 1
    queryCount += 1
    return try await reader.entity(key, tenant: tenant, requirement, deadline: deadline)
  }

  /// What was found, for those who want nothing else.
  ///
  /// - Throws: `.absentEntity`.
  static func existing(
    _ found: CachedEntities.Found
  ) throws(StorageError) -> (entity: HotEntity, proof: ReadProof) {
    guard let entity = found.entity else { throw .absentEntity(found.proof) }
    return (entity, found.proof)
  }

  // MARK: Queries

  /// Runs the query that was asked for first, and goes on while readers wait for another one.
  func runNext() async {
    guard !starting.isEmpty else { return }
    let queue = starting.removeFirst()
    while !queue.entries.isEmpty {
      let group = queue.takeGroup()
      guard !group.isEmpty else { break }
      await read(group, queue.kind)
      queue.reading -= group.count
    }
    queue.running -= 1
    if queue.running == 0 { queues.removeAll { $0 === queue } }
  }

  /// Reads a group, each key once, and calls everybody back.
  private func read(_ group: [Entry], _ kind: Class) async {
    var keys: [EntityReader.Key] = []
    var places: [EntityReader.Key: Int] = [:]
    var deadline = group[0].deadline
    for entry in group {
      deadline = max(deadline, entry.deadline)
      guard places[entry.key] == nil else { continue }
      places[entry.key] = keys.count
      keys.append(entry.key)
    }
    let answers = await answers(keys, kind, deadline)
    for entry in group { entry.done(answers[places[entry.key] ?? 0]) }
  }

  /// An answer for each key of a group.
  private func answers(
    _ keys: [EntityReader.Key],
    _ kind: Class,
    _ deadline: MonotonicTime
  ) async -> [CachedEntities.Answer] {
    do throws(StorageError) {
      let (found, proof) = try await small(keys, kind, deadline)
      var answers: [CachedEntities.Answer] = []
      answers.reserveCapacity(found.count)
      for (key, found) in zip(keys, found) {
        switch found {
        case .entity(let entity): answers.append(.success((entity, proof)))
        case .absent: answers.append(.success((nil, proof)))
        case .alone: answers.append(await alone(key, kind, deadline))
        }
      }
      return answers
    } catch {
      return Array(repeating: .failure(error), count: keys.count)
    }
  }

  /// Reads a group, without looking up the names that are known, and keeps those it brings.
  private func small(
    _ keys: [EntityReader.Key],
    _ kind: Class,
    _ deadline: MonotonicTime
  ) async throws(StorageError) -> (found: [PointReadStatement.Found], proof: ReadProof) {
    names.age(now: .now())
    while true {
      queryCount += 1
      let known = keys.map { names.name(of: $0, tenant: kind.tenant) }
      let (found, proof) = try await reader.smallEntities(
        named: keys,
        names: known,
        tenant: kind.tenant,
        kind.requirement,
        deadline: deadline
      )
      // After a failover an id may be somebody else's.
      guard names.isOf(proof.asOf.identity) || known.allSatisfy({ $0 == nil }) else { continue }
      for (known, found) in zip(known, found) {
        guard known == nil, case .entity(let entity) = found, entity.version > 0 else { continue }
        let id = EntityID(tenant: kind.tenant, id: entity.id)
        names.add(entity.externalKey, of: id, now: .now())
      }
      return (found, proof)
    }
  }

  /// Reads an entity by itself.
  private func alone(
    _ key: EntityReader.Key,
    _ kind: Class,
    _ deadline: MonotonicTime
  ) async -> CachedEntities.Answer {
    queryCount += 1
    // Without a projection its name is looked up the next time, too: only that tells it exists.
    if case .id(let id) = key { names.remove(EntityID(tenant: kind.tenant, id: id)) }
    do throws(StorageError) {
      let (entities, proof) = try await reader.entities(
        named: [key],
        bytesMax: 0,
        tenant: kind.tenant,
        kind.requirement,
        deadline: deadline
      )
      return .success((entities[0], proof))
    } catch {
      return .failure(error)
    }
  }
}
