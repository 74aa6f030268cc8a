// Names the units in which a file may count its times.

/// The unit of a time that is written as a number since the Unix epoch.
public enum TimeUnit: String, CaseIterable, Sendable {
  /// Seconds, written `s`.
  case seconds = "s"
  /// Milliseconds, written `ms`.
  case milliseconds = "ms"
  /// Microseconds, written `us`.
  case microseconds = "us"
  /// Nanoseconds, written `ns`; what is below a microsecond is cut off.
  case nanoseconds = "ns"

  /// Reads `s`, `ms`, `us` (also `u` and `µs`) or `ns` (also `n`), as line protocol clients write
  /// them.
  public init?(name: String) {
    switch name {
    case "s": self = .seconds
    case "ms": self = .milliseconds
    case "us", "u", "µs", "μs": self = .microseconds
    case "ns", "n": self = .nanoseconds
    default: return nil
    }
  }

  /// Nanoseconds in one unit.
  var nanoseconds: Int64 {
    switch self {
    case .seconds: 1_000_000_000
    case .milliseconds: 1_000_000
    case .microseconds: 1_000
    case .nanoseconds: 1
    }
  }
}
