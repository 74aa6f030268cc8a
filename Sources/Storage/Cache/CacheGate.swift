public import EventLoop

// The circuit breaker in front of Redis, and the seam it stands in.

/// Decides whether Redis may be asked, and is told how it went.
///
/// A refused call counts as Redis being away. Confined to the loop's thread like the cache. Signs
/// of life of the cache itself do not pass it.
public protocol CacheGate: AnyObject {
  /// Names a call that may be made and is reported once, some time after; nil when it may not.
  func admit(now: MonotonicTime) -> UInt64?
  /// How an admitted call ended: failed means not answered in time, or a lost connection.
  func report(_ call: UInt64, succeeded: Bool, now: MonotonicTime)
}

/// A gate that lets everything through.
public final class OpenCacheGate: CacheGate {
  /// The gate of a cache without a breaker.
  public init() {}

  /// Always.
  public func admit(now: MonotonicTime) -> UInt64? { 0 }

  /// Does nothing.
  public func report(_ call: UInt64, succeeded: Bool, now: MonotonicTime) {}
}

/// The gate with a circuit breaker; after a pause the first lookup is the probe.
public final class CacheBreaker: CacheGate {
  private var breaker: CircuitBreaker
  private var permits: [UInt64: CircuitBreaker.Permit] = [:]
  private var callCount: UInt64 = 0
  private let log: (String) -> Void

  /// A breaker that is closed.
  ///
  /// - Parameters:
  ///   - seed: of the jitter of its pauses.
  ///   - log: takes a sentence for each change of state.
  public init(
    seed: UInt64 = .random(in: .min ... .max),
    log: @escaping (String) -> Void
  ) {
    breaker = CircuitBreaker(seed: seed)
    self.log = log
  }

  /// What it lets through.
  public var state: BreakerState { breaker.state }

  /// Everything, or nothing, or a few calls after a probe.
  public func admit(now: MonotonicTime) -> UInt64? {
    defer { tell() }
    var permit = breaker.permit(.read, now: now)
    // Refused with no call under way, half open: there was no probe yet.
    if permit == nil, permits.isEmpty { permit = breaker.permit(.probe, now: now) }
    guard let permit else { return nil }
    callCount += 1
    permits[callCount] = permit
    return callCount
  }

  /// Tells the breaker.
  public func report(_ call: UInt64, succeeded: Bool, now: MonotonicTime) {
    guard let permit = permits.removeValue(forKey: call) else { return }
    breaker.end(permit, succeeded ? .success : .failure("Redis did not answer"), now: now)
    tell()
  }

  private func tell() {
    for transition in breaker.takeTransitions() { log("the cache's breaker: \(transition)") }
  }
}
