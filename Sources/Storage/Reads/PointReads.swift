public import EventLoop

// Reads of single entities: those that come together share one query.

/// Groups point reads that want the same freshness.
///
/// The first one waits until the tasks of its turn of the loop have run, and then for a free place
/// among the few queries that may be under way; whoever comes meanwhile joins it. A query starts
/// after all its readers have come, so it sees what each of them may expect. Confined to its loop's
/// thread.
public final class PointReads {
  /// Reads answered.
  public private(set) var readCount: Int64 = 0
  /// Queries that answered them.
  public private(set) var queryCount: Int64 = 0

  private let reader: EntityReader
  private var open: [Group] = []
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

  private typealias Answer = Result<(entity: HotEntity?, proof: ReadProof), StorageError>

  private final class Group {
    let kind: Class
    var keys: [EntityReader.Key] = []
    var places: [EntityReader.Key: Int] = [:]
    var deadline: MonotonicTime
    var members: [(place: Int, cell: WaitCell<Answer>)] = []

    init(_ kind: Class, _ deadline: MonotonicTime) {
      self.kind = kind
      self.deadline = deadline
    }

    func place(of key: EntityReader.Key) -> Int {
      if let place = places[key] { return place }
      places[key] = keys.count
      keys.append(key)
      return keys.count - 1
    }
  }

  /// Point reads by this reader.
  public init(_ reader: EntityReader) { self.reader = reader }

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

  /// The same without what is staged, and with a proof also for an entity that does not exist.
  func find(
    _ key: EntityReader.Key,
    tenant: Int32,
    _ requirement: ReadRequirement,
    deadline: MonotonicTime
  ) async throws(StorageError) -> (entity: HotEntity?, proof: ReadProof) {
    precondition(!requirement.includesStaged, "what is staged is read one by one")
    readCount += 1
    var kind = Class(tenant: tenant, requirement: requirement)
    // The primary holds every write that was acknowledged before.
    if requirement.level == .strong { kind.requirement.sessionToken = nil }
    if let group = open.first(where: {
      $0.kind == kind && $0.keys.count < PointReads.groupMax
    }) {
      return try await join(group, key, deadline)
    }
    return try await lead(Group(kind, deadline), key)
  }

  private func join(
    _ group: Group,
    _ key: EntityReader.Key,
    _ deadline: MonotonicTime
  ) async throws(StorageError) -> (entity: HotEntity?, proof: ReadProof) {
    let cell = WaitCell<Answer>()
    group.deadline = max(group.deadline, deadline)
    return try await cell.wait { group.members.append((group.place(of: key), cell)) }.get()
  }

  /// Gathers a group, reads it and gives everybody the answer.
  private func lead(
    _ group: Group,
    _ key: EntityReader.Key
  ) async throws(StorageError) -> (entity: HotEntity?, proof: ReadProof) {
    let own = group.place(of: key)
    open.append(group)
    await Task.yield()
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
    for member in group.members { member.cell.resume(answers[member.place]) }
    return try answers[own].get()
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
