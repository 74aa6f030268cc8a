internal import DequeModule
internal import EventLoop

// Whose turn it is to be granted something: tenants in turn, and each one's sessions in order.

/// Sessions that wait for a larger grant.
///
/// A tenant with a thousand waiting sessions gets as much as one with a single one.
struct GrantQueue {
  /// One session's place.
  struct Turn: Equatable {
    let session: SessionID
    let tenant: Int32
    let since: MonotonicTime
  }

  /// Tenants with waiting sessions, in the order of their turns.
  private var tenants = Deque<Int32>()
  private var waiting: [Int32: Deque<Turn>] = [:]
  private var members: Set<SessionID> = []

  /// Adds a session behind the others of its tenant; nothing when it waits already.
  mutating func append(_ session: SessionID, tenant: Int32, now: MonotonicTime) {
    guard members.insert(session).inserted else { return }
    if waiting[tenant] == nil { tenants.append(tenant) }
    waiting[tenant, default: []].append(Turn(session: session, tenant: tenant, since: now))
  }

  /// The session whose turn it is; it leaves the queue.
  mutating func popFirst() -> Turn? {
    guard let tenant = tenants.popFirst(), let turn = waiting[tenant]?.popFirst() else {
      return nil
    }
    if waiting[tenant]?.isEmpty == true { waiting[tenant] = nil } else { tenants.append(tenant) }
    members.remove(turn.session)
    return turn
  }

  /// Puts the session back that came out last: it keeps its turn.
  mutating func putBack(_ turn: Turn) {
    members.insert(turn.session)
    if waiting[turn.tenant] != nil { tenants.removeAll { $0 == turn.tenant } }
    tenants.prepend(turn.tenant)
    waiting[turn.tenant, default: []].prepend(turn)
  }

  /// Since when somebody has been waiting; nil when nobody is.
  var oldest: MonotonicTime? { waiting.values.compactMap { $0.first?.since }.min() }
}
