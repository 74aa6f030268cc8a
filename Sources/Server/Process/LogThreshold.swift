public import Logging
internal import Synchronization

// The least severe level that is logged, which can change while the gateway serves.

/// Shared by the handlers of all loggers, which are copied freely.
public final class LogThreshold: Sendable {
  private let index: Atomic<Int>

  /// A threshold at a level.
  public init(_ level: Logger.Level) { index = Atomic(LogThreshold.index(of: level)) }

  /// The least severe level that is logged.
  public var level: Logger.Level {
    get { Logger.Level.allCases[index.load(ordering: .relaxed)] }
    set { index.store(LogThreshold.index(of: newValue), ordering: .relaxed) }
  }

  private static func index(of level: Logger.Level) -> Int {
    Logger.Level.allCases.firstIndex(of: level) ?? 0
  }
}
