public import EventLoop

// The seam for a circuit breaker in front of Redis.

/// Decides whether Redis may be asked, and is told how it went.
///
/// A circuit breaker stands here: a refused call counts as Redis being away. Confined to the loop's
/// thread like the cache. Signs of life of the cache itself do not pass it.
public protocol CacheGate: AnyObject {
  /// Whether a call may be made; each admitted one is reported once, some time after.
  func admit(now: MonotonicTime) -> Bool
  /// How an admitted call ended: failed means not answered in time, or a lost connection.
  func report(succeeded: Bool, now: MonotonicTime)
}

/// A gate that lets everything through.
public final class OpenCacheGate: CacheGate {
  /// The gate of a cache without a breaker.
  public init() {}

  /// Always.
  public func admit(now: MonotonicTime) -> Bool { true }

  /// Does nothing.
  public func report(succeeded: Bool, now: MonotonicTime) {}
}
