public import EventLoop

// Chooses where a read is answered, and proves how fresh the answer is.

/// Somewhere reads are answered.
///
/// A read is a list of statements; a source runs them behind its proof in one pipeline. Today there
/// is the primary alone: replicas, cache and warehouse become further cases here, and their order
/// of preference a list in `ReadRouter.sources`.
enum ReadSource {
  case primary(PrimarySource)
}

/// Picks a source for each read by its level.
///
/// Confined to its loop's thread.
public final class ReadRouter {
  private let primary: PrimarySource

  /// A router that knows the primary only.
  public init(primary: PostgresPool, loop: EventLoop) {
    self.primary = PrimarySource(primary, loop)
  }

  /// Runs the statements of one read, all on the same node.
  ///
  /// - Throws: `.postgres`, `.notPrimary`, `.unprovableSnapshot`, `.noAnalyticsSource`, the token
  ///   errors.
  public func read(
    _ statements: [PostgresStatement],
    _ requirement: ReadRequirement,
    deadline: MonotonicTime
  ) async throws(StorageError) -> ReadAnswer {
    var last: StorageError = .noAnalyticsSource
    for source in sources(requirement) {
      switch source {
      case .primary(let primary):
        do throws(StorageError) {
          return try await primary.read(statements, requirement, deadline: deadline)
        } catch {
          last = error
        }
      }
    }
    throw last
  }

  /// The sources that may answer, best first.
  private func sources(_ requirement: ReadRequirement) -> [ReadSource] {
    switch requirement.level {
    case .strong, .atLeast, .eventual: [.primary(primary)]
    // Never the primary, whatever is allowed: a report must not slow the writers down.
    case .analytics: []
    }
  }
}
