import EventLoop
import Testing

@testable import Storage

/// Lanes of upserts over a database of its own.
struct UpsertWorld {
  let readers: Readers
  let lanes: [UpsertLane]
  var lane: UpsertLane { lanes[0] }

  /// Runs `body` with lanes whose writers do not run yet, and entities 1 to 20.
  static func run(
    lanes count: Int = 1,
    feed: WarehouseFeed? = nil,
    _ body: @escaping @Sendable (UpsertWorld) async throws -> Void
  ) async throws {
    try await Readers.run(feed: feed) { readers in
      try await readers.makeAttributes()
      _ = try await readers.catalog.resolveEntities(
        tenant: 1,
        keys: (1...20).map { UpsertWorld.key($0) },
        existingOnly: false,
        deadline: soon()
      )
      let database = readers.database
      let lanes = (0..<count).map { _ in UpsertLane(database.dsn, loop: database.loop) }
      let world = UpsertWorld(readers: readers, lanes: lanes)
      var failure: (any Error)?
      do { try await body(world) } catch { failure = error }
      for lane in lanes { await lane.shutDown() }
      if let failure { throw failure }
    }
  }

  /// Starts the writers of all lanes.
  func start() {
    for lane in lanes {
      nonisolated(unsafe) let lane = lane
      for _ in 0..<UpsertLane.writerCount {
        readers.database.loop.spawn { await unsafe lane.run() }
      }
    }
  }

  /// Writes upserts all at once, each by a task of its own; the answers come in their order.
  func write(
    _ upserts: [Upsert],
    starting: Bool = true
  ) async -> [Result<UpsertOutcome, StorageError>] {
    let loop = readers.database.loop
    nonisolated(unsafe) let world = self
    let lanes = lanes.count
    // A writer that is woken runs behind the tasks that are there already: they are one group.
    if starting { start() }
    return await withTaskGroup(of: (Int, Result<UpsertOutcome, StorageError>).self) { group in
      for (index, upsert) in upserts.enumerated() {
        group.addTask(executorPreference: loop) {
          do throws(StorageError) {
            let lane = unsafe world.lanes[index % lanes]
            return (index, .success(try await lane.write(upsert, deadline: soon(.seconds(60)))))
          } catch {
            return (index, .failure(error))
          }
        }
      }
      var answers: [Int: Result<UpsertOutcome, StorageError>] = [:]
      for await (index, answer) in group { answers[index] = answer }
      return upserts.indices.map { answers[$0] ?? .failure(.unreadable("no answer")) }
    }
  }

  /// One upsert of the number attribute, which is hot.
  static func number(_ value: Double, of entity: Int64 = 1, at time: Int64? = nil) -> Upsert {
    Upsert(
      tenant: 1,
      entityID: entity,
      values: [UpsertValue(attributeID: 1, value: .number(value))],
      observedAtMicroseconds: time,
      isHot: true
    )
  }

  /// The key of an entity: ids are given in the order of keys.
  static func key(_ id: Int64) -> String { id < 10 ? "e0\(id)" : "e\(id)" }

  /// Starts the writers as soon as so many upserts wait.
  func start(whenWaiting count: Int) {
    if lane.waitingCount >= count { return start() }
    let loop = readers.database.loop
    _ = loop.schedule(at: loop.now + .milliseconds(1)) { start(whenWaiting: count) }
  }

  /// What the projection holds of an entity.
  func entity(_ id: Int64) async throws -> HotEntity {
    try await readers.entities.entity(
      .id(id),
      tenant: 1,
      ReadRequirement(.strong),
      deadline: soon()
    ).entity
  }
}
