public import EventLoop

// Reads of single entities: those that come together share one query.

/// Groups point reads that want the same freshness.
///
/// A query starts a turn of the loop after its first reader, or when there is a free place among
/// the few that may be under way; whoever comes meanwhile joins it. It starts after all its readers
/// have come, so it sees what each of them may expect. Readers are functions to call back: a task
/// for each would cost more than its share of the query. Confined to its loop's thread.
public final class PointReads {
  /// What one read brought: nil for an entity that does not exist.
  typealias Answer = Result<(entity: HotEntity?, proof: ReadProof), StorageError>

  /// Reads answered.
  public private(set) var readCount: Int64 = 0
  /// Queries that answered them.
  public private(set) var queryCount: Int64 = 0

  private let reader: EntityReader
  /// Runs `runNext` in a task of its own.
  private let start: () -> Void
  /// Groups that may be joined, the oldest first.
  private var open: [Group] = []
  /// How many of them nobody runs yet: the last ones.
  private var unstarted = 0
  private var running: [Class] = []
  private var waiting: [(class: Class, cell: WaitCell<Bool>)] = []

  /// Entities of one query: what PostgreSQL reads in well under a millisecond.
  static let groupMax = 128
  /// Queries of one class under way: while one is executed, the next one is on its way.
  static let runningMax = 2

  /// Reads that one query can answer.
  private struct Class: Equatable {
    var tenant: Int32
    var requirement: ReadRequirement
  }

  private final class Group {
    let kind: Class
    private(set) var keys: [EntityReader.Key] = []
    private(set) var deadline: MonotonicTime
    private var places: [EntityReader.Key: Int] = [:]
    private var members: [(place: Int, done: (Answer) -> Void)] = []

    init(_ kind: Class, _ deadline: MonotonicTime) {
      self.kind = kind
      self.deadline = deadline
    }

    func add(_ key: EntityReader.Key, _ deadline: MonotonicTime, _ done: @escaping (Answer) -> Void)
    {
      self.deadline = max(self.deadline, deadline)
      var place = keys.count
      if let known = places[key] {
        place = known
      } else {
        places[key] = place
        keys.append(key)
      }
      members.append((place, done))
    }

    func end(_ answers: [Answer]) {
      for member in members { member.done(answers[member.place]) }
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
  ///   - done: is called once, in a later turn of the loop; the answer has a proof also for an
  ///     entity that does not exist. Errors are those of `EntityReader.entity`.
  func ask(
    _ key: EntityReader.Key,
    tenant: Int32,
    _ requirement: ReadRequirement,
    deadline: MonotonicTime,
    _ done: @escaping (Answer) -> Void
  ) {
    precondition(!requirement.includesStaged, "what is staged is read one by one")
    readCount += 1
    var kind = Class(tenant: tenant, requirement: requirement)
    // The primary holds every write that was acknowledged before.
    if requirement.level == .strong { kind.requirement.sessionToken = nil }
    let joined = open.first { $0.kind == kind && $0.keys.count < PointReads.groupMax }
    let group = joined ?? Group(kind, deadline)
    group.add(key, deadline, done)
    guard joined == nil else { return }
    open.append(group)
    unstarted += 1
    start()
  }

  /// The same for a task that waits.
  ///
  /// - Throws: as `EntityReader.entity`, but for an entity that does not exist.
  func find(
    _ key: EntityReader.Key,
    tenant: Int32,
    _ requirement: ReadRequirement,
    deadline: MonotonicTime
  ) async throws(StorageError) -> (entity: HotEntity?, proof: ReadProof) {
    let cell = WaitCell<Answer>()
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
      let (entity, proof) = try await find(key, tenant: tenant, requirement, deadline: deadline)
      guard let entity else { throw .entityNotFound(index: 0) }
      return (entity, proof)
    }
    readCount += 1
    queryCount += 1
    return try await reader.entity(key, tenant: tenant, requirement, deadline: deadline)
  }

  // MARK: Queries

  /// Reads the oldest group that nobody runs yet, and gives everybody the answer.
  func runNext() async {
    guard unstarted > 0 else { return }
    let group = open[open.count - unstarted]
    unstarted -= 1
    while running.count(where: { $0 == group.kind }) >= PointReads.runningMax {
      let cell = WaitCell<Bool>()
      _ = await cell.wait { waiting.append((group.kind, cell)) }
    }
    open.removeAll { $0 === group }
    running.append(group.kind)
    let answers = await answers(group)
    if let place = running.firstIndex(of: group.kind) { running.remove(at: place) }
    if let next = waiting.firstIndex(where: { $0.class == group.kind }) {
      waiting.remove(at: next).cell.resume(true)
    }
    group.end(answers)
  }

  /// An answer for each key of a group.
  private func answers(_ group: Group) async -> [Answer] {
    queryCount += 1
    do throws(StorageError) {
      let (found, proof) = try await reader.smallEntities(
        named: group.keys,
        tenant: group.kind.tenant,
        group.kind.requirement,
        deadline: group.deadline
      )
      var answers: [Answer] = []
      answers.reserveCapacity(found.count)
      for (key, found) in zip(group.keys, found) {
        switch found {
        case .entity(let entity): answers.append(.success((entity, proof)))
        case .absent: answers.append(.success((nil, proof)))
        case .large: answers.append(await large(key, group))
        }
      }
      return answers
    } catch {
      return Array(repeating: .failure(error), count: group.keys.count)
    }
  }

  /// Reads an entity by itself, since its documents are large.
  private func large(_ key: EntityReader.Key, _ group: Group) async -> Answer {
    queryCount += 1
    do throws(StorageError) {
      let (entities, proof) = try await reader.entities(
        named: [key],
        bytesMax: 0,
        tenant: group.kind.tenant,
        group.kind.requirement,
        deadline: group.deadline
      )
      return .success((entities[0], proof))
    } catch {
      return .failure(error)
    }
  }
}
