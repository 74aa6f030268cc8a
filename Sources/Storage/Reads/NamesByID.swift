internal import EventLoop

// The names of entities whose newest values are read again and again.

/// Names of entities by their ids, as far as a worker's point reads have met them.
///
/// A name belongs to its id for as long as there is the database, so a read of an id that was met
/// before need not have its name looked up: a third of what PostgreSQL does for it. What is in here
/// proves nothing; that an entity exists its projection says. Forgotten after one to two minutes,
/// when a name that an operator has changed by hand shows, and with the history it was read in.
struct NamesByID {
  /// Of each of two generations, so at most 2 × (4 MiB + 32,768 × some 80 bytes).
  static let countMax = 32_768
  static let bytesMax = 4 << 20
  static let life = Duration.seconds(60)

  private var recent: [EntityID: String] = [:]
  private var recentBytes = 0
  private var recentSince: MonotonicTime
  /// Goes when `recent` is full or old, and takes its place.
  private var older: [EntityID: String] = [:]
  /// What they were read in; nil before the first.
  private var identity: LogIdentity?

  init(now: MonotonicTime) { recentSince = now }

  /// The name of an entity, if it was met.
  func name(of id: EntityID) -> String? { recent[id] ?? older[id] }

  /// The name that belongs to a key that is an id, if it was met.
  func name(of key: EntityReader.Key, tenant: Int32) -> String? {
    guard case .id(let id) = key else { return nil }
    return name(of: EntityID(tenant: tenant, id: id))
  }

  /// Forgets what is too old.
  mutating func age(now: MonotonicTime) {
    if now - recentSince >= NamesByID.life { rotate(now) }
  }

  /// Keeps a name that was read; one that is kept already stays as old as it is.
  mutating func add(_ name: String, of id: EntityID, now: MonotonicTime) {
    guard self.name(of: id) == nil else { return }
    if recent.count >= NamesByID.countMax || recentBytes >= NamesByID.bytesMax { rotate(now) }
    recent[id] = name
    recentBytes += name.utf8.count
  }

  mutating func remove(_ id: EntityID) {
    recent[id] = nil
    older[id] = nil
  }

  /// Whether names are of this history; from now on they are, as others are forgotten.
  mutating func isOf(_ identity: LogIdentity) -> Bool {
    guard self.identity != identity else { return true }
    self.identity = identity
    recent = [:]
    older = [:]
    recentBytes = 0
    return false
  }

  private mutating func rotate(_ now: MonotonicTime) {
    older = recent
    recent = [:]
    recentBytes = 0
    recentSince = now
  }
}
