public import EventLoop

// Watches a producer's link: whether it is alive, and why nothing is confirmed when nothing is.

/// Why a producer has to wait.
public enum ProducerWait: Equatable, Sendable {
  /// There is no session: no gateway can be reached, or the one that can has refused.
  case linkDown(ClientError, since: MonotonicTime)
  /// The gateway answers, but confirms nothing: its database is slow, or away.
  case gatewaySlow(since: MonotonicTime)

  /// Since when.
  public var since: MonotonicTime {
    switch self {
    case .linkDown(_, let since), .gatewaySlow(let since): since
    }
  }
}

/// A pure state machine: what was heard and confirmed in, what to do about the link out.
struct LinkMonitor: Sendable {
  /// Something unconfirmed and silence for so long: ask whether the link is alive.
  static let silenceMax = Duration.seconds(5)
  /// No answer to that for so long: the link is down.
  static let pongMax = Duration.seconds(5)
  /// Confirmations that are not older than this are no wait.
  static let confirmMax = Duration.seconds(2)

  /// What the session has to do now.
  enum Step: Equatable {
    case nothing
    case ping
    case drop
  }

  private var lastHeard: MonotonicTime
  private var pingSent: MonotonicTime?
  private var lastConfirmed: MonotonicTime
  private var downSince: MonotonicTime?
  private var reason: ClientError?
  /// Whether there was a session yet.
  private var wasOpen = false

  init(now: MonotonicTime) {
    lastHeard = now
    lastConfirmed = now
  }

  /// Something came from the gateway.
  mutating func heard(_ now: MonotonicTime) {
    lastHeard = now
    pingSent = nil
  }

  /// A session is open.
  mutating func opened(_ now: MonotonicTime) {
    heard(now)
    wasOpen = true
    downSince = nil
    reason = nil
    lastConfirmed = now
  }

  /// There is no session, for this reason.
  mutating func down(_ error: ClientError, _ now: MonotonicTime) {
    downSince = downSince ?? now
    reason = error
  }

  /// Something was confirmed, or nothing waits for it.
  mutating func confirmed(_ now: MonotonicTime) {
    lastConfirmed = now
  }

  /// Tells a slow gateway from a dead link: whoever is alive answers a Ping, however slow its
  /// database is.
  mutating func check(_ now: MonotonicTime) -> Step {
    if let pingSent { return now - pingSent > LinkMonitor.pongMax ? .drop : .nothing }
    guard now - lastHeard > LinkMonitor.silenceMax else { return .nothing }
    pingSent = now
    return .ping
  }

  /// Why whoever waits for a confirmation has to wait; nil when all goes well.
  func wait(_ now: MonotonicTime) -> ProducerWait? {
    if let downSince, let reason { return .linkDown(reason, since: downSince) }
    guard now - lastConfirmed > LinkMonitor.confirmMax else { return nil }
    // Whoever has taken the connection and said nothing may be no gateway at all.
    guard wasOpen else { return .linkDown(.timedOut, since: lastConfirmed) }
    return .gatewaySlow(since: lastConfirmed)
  }
}
