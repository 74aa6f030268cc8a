public import EventLoop

// One worker's copy of the names: resolved on demand, refreshed when their version rises.

/// Names to ids, and what a batch needs to know of ids.
///
/// Confined to its loop's thread.
public final class Catalog {
  /// How often versions are compared.
  static let refreshInterval: Duration = .seconds(1)
  /// How long a question that many sessions share may take.
  static let questionTimeout: Duration = .seconds(5)

  private let pool: PostgresPool
  private let loop: EventLoop
  private var names = KnownNames()
  private var unknown = UnknownIDs()
  /// Sessions that wait for the question under way.
  private var waiters: [WaitCell<Result<UnknownIDs.Answer, StorageError>>] = []
  private var isAsking = false
  private var nextQuestionAt: MonotonicTime
  private var sleeper: WaitCell<Bool>?
  private var isShutDown = false

  /// The largest future limit any gateway ever had, in microseconds; nil until `refresh` has read
  /// it.
  public private(set) var futureLimitMicroseconds: Int64?
  /// Is told which entities were made; nil without a cache.
  var cached: CachedEntities?
  /// Answers for names that exist while the primary is silent; nil without replicas.
  var replicas: ReplicaNames?
  /// Questions for unknown ids asked so far.
  public private(set) var questionCount = 0

  /// A catalog that knows nothing yet.
  public init(pool: PostgresPool, loop: EventLoop) {
    self.pool = pool
    self.loop = loop
    nextQuestionAt = loop.now
  }

  // MARK: What is known

  /// Entities known now, of all tenants.
  public var entityCount: Int { names.entityCount }
  /// Attributes known now, of all tenants.
  public var attributeCount: Int { names.attributeCount }

  /// What is known of a tenant's ids, as a snapshot; does not wait.
  public func index(of tenant: Int32) -> CatalogIndex {
    if names.versions[tenant] == nil { names.touch(tenant, now: loop.now) }
    return names.index(of: tenant)
  }

  /// An attribute that is known; nil does not mean that it does not exist: `learn` it.
  public func attribute(_ id: UInt32, of tenant: Int32) -> CatalogAttribute? {
    names.attribute(id, of: tenant)
  }

  /// All that are known of a tenant, for who looks many of them up.
  func attributes(of tenant: Int32) -> [UInt32: CatalogAttribute] {
    names.attributes(of: tenant)
  }

  // MARK: Names to ids

  /// Ids of entities in the order of their keys; unknown ones are created unless `existingOnly`.
  ///
  /// Keys have 1 to 512 bytes each and no NUL, which the caller has checked. While nothing is heard
  /// of the primary a replica is asked for existing ones.
  ///
  /// - Throws: `.entityNotFound`, `.mayNotCreateNames`, `.postgres`.
  public func resolveEntities(
    tenant: Int32,
    keys: [String],
    existingOnly: Bool,
    deadline: MonotonicTime
  ) async throws(StorageError) -> [Int64] {
    if existingOnly, let replicas, replicas.areNeeded {
      let ids = try await replicas.entities(tenant, keys, deadline: deadline)
      names.add(entities: ids, to: tenant, now: loop.now)
      return ids
    }
    let statement = PostgresStatement(
      """
      SELECT entity_id, created FROM sluice.resolve_entities($1, $2, $3) ORDER BY "position"
      """,
      [.int32(tenant), .array(keys), .bool(existingOnly)]
    )
    let (found, made) = try await ask(statement, deadline) { result throws(PostgresError) in
      guard result.rowCount == keys.count else { throw .protocolViolation("an id for each key") }
      var ids: [Int64?] = []
      var made: [(entity: EntityID, name: String)] = []
      ids.reserveCapacity(keys.count)
      for row in 0..<result.rowCount {
        let id = try result.int64(row: row, column: 0)
        ids.append(id)
        guard let id, try result.bool(row: row, column: 1) == true else { continue }
        made.append((EntityID(tenant: tenant, id: id), keys[row]))
      }
      return (ids, made)
    }
    // Before anybody is told that they are there.
    if !made.isEmpty { await cached?.tell(made: made, pool, deadline: deadline) }
    names.add(entities: found.compactMap { $0 }, to: tenant, now: loop.now)
    var ids: [Int64] = []
    ids.reserveCapacity(found.count)
    for (index, id) in found.enumerated() {
      guard let id else { throw existingOnly ? .entityNotFound(index: index) : .mayNotCreateNames }
      ids.append(id)
    }
    return ids
  }

  /// Attributes in the order of the wishes; unknown ones are created with the type given.
  ///
  /// Names have 1 to 256 bytes, units at most 64, none has a NUL, which the caller has checked.
  /// While nothing is heard of the primary, wishes for existing ones are answered by what is known,
  /// and else by a replica.
  ///
  /// - Throws: `.attributeNotFound`, `.attributeTypeMismatch`, `.mayNotCreateNames`, `.postgres`;
  ///   the other wishes have been fulfilled all the same.
  public func resolveAttributes(
    tenant: Int32,
    _ wanted: [WantedAttribute],
    deadline: MonotonicTime
  ) async throws(StorageError) -> [CatalogAttribute] {
    if let replicas, replicas.areNeeded, wanted.allSatisfy({ $0.type == nil }) {
      let known = names.attributes(named: Set(wanted.map(\.name)), of: tenant)
      let found = wanted.compactMap { known[$0.name] }
      guard found.count < wanted.count else { return found }
      return try await replicas.attributes(tenant, wanted.map(\.name), deadline: deadline)
    }
    let resolution = AttributeResolution(tenant: tenant, wanted: wanted)
    let found = try await ask(resolution.statement, deadline) { result throws(PostgresError) in
      try resolution.read(result)
    }
    for case let attribute? in found.map(\.attribute) { remember(attribute, tenant) }
    return try resolution.attributes(found)
  }

  /// Attributes by name in byte order, at most `limit`: names that start with `prefix` and stand
  /// behind `name`, which is nil for the first page.
  ///
  /// - Throws: `.postgres`.
  public func attributes(
    of tenant: Int32,
    prefix: String,
    after name: String?,
    limit: Int,
    deadline: MonotonicTime
  ) async throws(StorageError) -> [CatalogAttribute] {
    let statement = PostgresStatement(
      """
      SELECT attribute_id, name, value_type, unit, is_hot FROM sluice.attributes
      WHERE tenant_id = $1 AND starts_with(name, $2) AND name >= $2 AND name > $3
      ORDER BY name LIMIT $4
      """,
      // No name is empty, so all names are behind the empty one.
      [.int32(tenant), .text(prefix), .text(name ?? ""), .int64(Int64(limit))]
    )
    return try await ask(statement, deadline) { result throws(PostgresError) in
      var attributes: [CatalogAttribute] = []
      for row in 0..<result.rowCount {
        attributes.append(try CatalogAttribute(result, row: row, column: 0))
      }
      return attributes
    }
  }

  /// Changes whether an attribute is folded from now on, and its unit.
  ///
  /// What was folded before leaves the projections when it is not hot any more, and again before it
  /// is: gateways that did not know yet may have folded some more.
  ///
  /// - Throws: `.attributeNotFound`, `.postgres`; it may have been changed all the same.
  public func updateAttribute(
    tenant: Int32,
    name: String,
    isHot: Bool,
    unit: String,
    deadline: MonotonicTime
  ) async throws(StorageError) -> CatalogAttribute {
    let change = AttributeChange(tenant: tenant, name: name, isHot: isHot, unit: unit)
    let changed = try await change.make { statement throws(StorageError) in
      try await ask(statement, deadline) { $0 }
    }
    guard let changed else { throw .attributeNotFound(index: 0) }
    remember(changed, tenant)
    return changed
  }

  // MARK: Unknown ids

  /// Makes ids known that exist, as far as they are not yet; look at `index(of:)` again afterwards.
  ///
  /// All sessions that wait share one question. A negative answer holds only for those who wanted
  /// to know before it was asked: anybody may have made the id since.
  ///
  /// - Throws: `.postgres` when the database could not be asked.
  public func learn(
    tenant: Int32,
    entityIDs: [Int64],
    attributeIDs: [UInt32],
    deadline: MonotonicTime
  ) async throws(StorageError) {
    names.touch(tenant, now: loop.now)
    let asked = questionCount
    var open = Set(names.missing(tenant, entityIDs, attributeIDs))
    while !open.isEmpty {
      guard loop.now < deadline else { throw .postgres(.waitTimedOut) }
      unknown.want(open)
      let answer: UnknownIDs.Answer
      if isAsking {
        let cell = WaitCell<Result<UnknownIDs.Answer, StorageError>>()
        waiters.append(cell)
        let outcome = await cell.wait()
        // Whoever asked was cancelled, and not this one: it asks again.
        if case .failure(.postgres(.cancelled)) = outcome { continue }
        answer = try outcome.get()
      } else {
        answer = try await answerWaiting()
      }
      if answer.number > asked { open.subtract(answer.ids) }
      open = open.filter { !names.isKnown($0) }
    }
  }

  /// Whether `learn` would have nothing to ask for.
  public func knows(tenant: Int32, entityIDs: [Int64], attributeIDs: [UInt32]) -> Bool {
    names.touch(tenant, now: loop.now)
    return names.missing(tenant, entityIDs, attributeIDs).isEmpty
  }

  /// Asks for all that is wanted and wakes everybody who waits for it.
  private func answerWaiting() async throws(StorageError) -> UnknownIDs.Answer {
    isAsking = true
    if loop.now < nextQuestionAt { await sleep(until: nextQuestionAt) }
    let outcome: Result<UnknownIDs.Answer, StorageError>
    questionCount += 1
    let answer = UnknownIDs.Answer(number: questionCount, ids: unknown.take())
    do throws(StorageError) {
      try await ask(answer.ids)
      outcome = .success(answer)
    } catch {
      outcome = .failure(error)
    }
    isAsking = false
    let woken = waiters
    waiters = []
    for waiter in woken { waiter.resume(outcome) }
    return try outcome.get()
  }

  private func ask(_ ids: Set<UnknownIDs.ID>) async throws(StorageError) {
    var (entityTenants, entities): ([Int32], [Int64]) = ([], [])
    var (attributeTenants, attributes): ([Int32], [Int32]) = ([], [])
    for id in ids {
      switch id {
      case .entity(let id, let tenant):
        entityTenants.append(tenant)
        entities.append(id)
      case .attribute(let id, let tenant):
        attributeTenants.append(tenant)
        attributes.append(Int32(id))
      }
    }
    let statement = PostgresStatement(
      Catalog.question,
      [.array(entityTenants), .array(entities), .array(attributeTenants), .array(attributes)]
    )
    var absent = ids
    let until = loop.now + Catalog.questionTimeout
    func read(
      _ result: PostgresResult
    ) throws(PostgresError) -> [(tenant: Int32, entity: Int64?, attribute: CatalogAttribute?)] {
      var found: [(tenant: Int32, entity: Int64?, attribute: CatalogAttribute?)] = []
      for row in 0..<result.rowCount {
        let tenant = Int32(truncatingIfNeeded: try result.int64(row: row, column: 0) ?? 0)
        let entity = try result.int64(row: row, column: 1)
        let attribute = entity == nil ? try CatalogAttribute(result, row: row, column: 2) : nil
        found.append((tenant, entity, attribute))
      }
      return found
    }
    let isOfReplica = replicas?.areNeeded == true
    let found =
      if isOfReplica, let replicas {
        try await replicas.ask(statement, deadline: until, read)
      } else {
        try await ask(statement, until, read)
      }
    for (tenant, entity, attribute) in found {
      if let entity {
        names.add(entities: CollectionOfOne(entity), to: tenant, now: loop.now)
        absent.remove(.entity(entity, tenant: tenant))
      } else if let attribute {
        remember(attribute, tenant)
        absent.remove(.attribute(attribute.id, tenant: tenant))
      }
    }
    guard !absent.isEmpty else { return }
    // What a replica does not have may be in the primary.
    guard !isOfReplica else { throw .postgres(ReplicaNames.primaryAway) }
    nextQuestionAt = loop.now + UnknownIDs.pause
  }

  private static let question = """
    SELECT u.tenant_id, u.id, NULL::int4, NULL::text, NULL::int2, NULL::text, NULL::bool
    FROM unnest($1::int4[], $2::int8[]) AS u(tenant_id, id)
    JOIN sluice.entities e ON e.tenant_id = u.tenant_id AND e.entity_id = u.id
    UNION ALL
    SELECT u.tenant_id, NULL, a.attribute_id, a.name, a.value_type, a.unit, a.is_hot
    FROM unnest($3::int4[], $4::int4[]) AS u(tenant_id, id)
    JOIN sluice.attributes a ON a.tenant_id = u.tenant_id AND a.attribute_id = u.id
    """

  // MARK: Refresh

  /// Compares versions about once a second until `shutDown`; a failure is tried again the next
  /// time.
  ///
  /// - Parameter tenants: whose attributes are read at the start, before anybody asks: with them
  ///   reads of other nodes need no primary.
  public func run(knowing tenants: [Int32] = []) async {
    for tenant in tenants { names.touch(tenant, now: loop.now) }
    while !isShutDown {
      do throws(StorageError) {
        try await refresh(deadline: loop.now + Catalog.questionTimeout)
      } catch {
        // Whoever reads or resolves is told what is wrong; nothing here depends on being up to
        // date.
      }
      guard !isShutDown else { return }
      let cell = WaitCell<Bool>()
      sleeper = cell
      let timer = loop.schedule(at: loop.now + Catalog.refreshInterval) { cell.resume(true) }
      _ = await cell.wait()
      sleeper = nil
      loop.cancel(timer)
    }
  }

  /// Ends `run`.
  public func shutDown() {
    isShutDown = true
    sleeper?.resume(false)
  }

  /// Reads the attributes of tenants whose version has changed.
  ///
  /// - Throws: `.postgres`.
  public func refresh(deadline: MonotonicTime) async throws(StorageError) {
    let known = names.versions
    let statement = PostgresStatement(
      """
      SELECT t.tenant_id, t.catalog_version,
        (SELECT s.value::int8 FROM sluice.settings s WHERE s.name = $2)
      FROM (VALUES (0)) AS once LEFT JOIN sluice.tenants t ON t.tenant_id = ANY ($1)
      """,
      [.array(Array(known.keys)), .text(PartitionKeeper.futureLimitSetting)]
    )
    let (limit, changed) = try await ask(statement, deadline) { result throws(PostgresError) in
      var changed: [Int32] = []
      for row in 0..<result.rowCount {
        guard let tenant = try result.int64(row: row, column: 0).map({ Int32($0) }) else {
          continue
        }
        if try result.int64(row: row, column: 1) != known[tenant] { changed.append(tenant) }
      }
      return (try result.int64(row: 0, column: 2), changed)
    }
    futureLimitMicroseconds = limit
    for tenant in changed { try await readAttributes(of: tenant, deadline) }
  }

  /// Version and attributes in one statement, so that they belong together.
  private func readAttributes(
    of tenant: Int32,
    _ deadline: MonotonicTime
  ) async throws(StorageError) {
    let statement = PostgresStatement(
      """
      SELECT t.catalog_version, a.attribute_id, a.name, a.value_type, a.unit, a.is_hot
      FROM sluice.tenants t LEFT JOIN sluice.attributes a ON a.tenant_id = t.tenant_id
      WHERE t.tenant_id = $1 ORDER BY a.attribute_id DESC LIMIT $2
      """,
      // Half of the room: one tenant does not push all others out.
      [.int32(tenant), .int64(Int64(KnownNames.attributesMax / 2))]
    )
    let (version, attributes) = try await ask(statement, deadline) {
      result throws(PostgresError) in
      var attributes: [CatalogAttribute] = []
      for row in 0..<result.rowCount where try result.int64(row: row, column: 1) != nil {
        attributes.append(try CatalogAttribute(result, row: row, column: 1))
      }
      let version = result.rowCount > 0 ? try result.int64(row: 0, column: 0) : nil
      return (version ?? 0, attributes)
    }
    for attribute in attributes { remember(attribute, tenant) }
    names.setVersion(version, of: tenant)
  }

  // MARK: Private

  private func remember(_ attribute: CatalogAttribute, _ tenant: Int32) {
    names.add(attribute, to: tenant, now: loop.now)
  }

  /// Runs one statement on a connection of the pool and reads its answer.
  private func ask<T>(
    _ statement: PostgresStatement,
    _ deadline: MonotonicTime,
    _ read: (PostgresResult) throws(PostgresError) -> T
  ) async throws(StorageError) -> T {
    do throws(PostgresError) {
      let result = try await pool.withConnection(deadline: deadline) {
        connection throws(PostgresError) in
        try await connection.query(statement, deadline: deadline)
      }
      return try read(result)
    } catch {
      throw .postgres(error)
    }
  }

  private func sleep(until time: MonotonicTime) async {
    let cell = WaitCell<Bool>()
    let timer = loop.schedule(at: time) { cell.resume(true) }
    _ = await cell.wait()
    loop.cancel(timer)
  }
}
