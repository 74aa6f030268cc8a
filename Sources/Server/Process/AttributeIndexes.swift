internal import EventLoop
internal import Storage
internal import Synchronization

// Indexes on the newest values of attributes, as the command line makes, lists and drops them.

/// An index on the newest values of an attribute.
public struct AttributeIndex: Sendable {
  /// The attribute; nil when there is none of that id any more.
  public var attribute: String?
  /// Whether its newest values are kept now.
  public var isHot: Bool
  /// The index's own name, in the schema `sluice`.
  public var name: String
  /// "btree" or "hash".
  public var kind: String
  /// Size on disk.
  public var bytes: Int64
  /// "valid", "building" or "invalid".
  public var state: String
  /// How often the server that was asked has used it.
  public var scans: Int64

  init(_ status: HotIndexStatus) {
    attribute = status.attribute
    isHot = status.isHot
    name = status.name
    kind = status.method
    bytes = status.bytes
    state = status.state.rawValue
    scans = status.scans
  }
}

/// How far the build of an index has come.
public struct IndexProgress: Sendable {
  /// What PostgreSQL does now.
  public var phase: String
  /// Units done in this phase.
  public var done: Int64
  /// Units of this phase; 0 when it does not count.
  public var total: Int64
  /// What is counted.
  public var unit: String
}

/// What making an index came to.
public enum IndexCreation: Sendable {
  /// It was there already.
  case wasThere(AttributeIndex)
  /// It was built; `hasReplaced` when an invalid one of a failed build was dropped before.
  case built(AttributeIndex, hasReplaced: Bool)
}

extension Gateway {
  /// The indexes there are, by attribute.
  ///
  /// - Parameter dsn: connection string of the primary, or of a replica, which counts its own
  ///   scans.
  /// - Returns: valid and invalid ones.
  /// - Throws: `GatewayError`.
  public static func indexes(_ dsn: String) throws(GatewayError) -> [AttributeIndex] {
    let dsn = try Gateway.dsn(dsn, .primaryDSN)
    return try withIndexes(dsn) { indexes, _, _ throws(HotIndexError) in
      try await indexes.list().map { AttributeIndex($0) }
    }
  }

  /// Builds the index of an attribute while gateways go on writing, unless it is there.
  ///
  /// - Parameters:
  ///   - dsn: connection string of the primary, of the user who owns the schema.
  ///   - attribute: its name; it must be hot.
  ///   - progress: told again and again how far the build is.
  /// - Returns: the index.
  /// - Throws: `GatewayError`.
  public static func createIndex(
    _ dsn: String,
    attribute: String,
    progress: @escaping @Sendable (IndexProgress) -> Void
  ) throws(GatewayError) -> IndexCreation {
    let dsn = try Gateway.dsn(dsn, .primaryDSN)
    return try withIndexes(dsn) { indexes, connection, loop throws(HotIndexError) in
      let watch = BuildWatch(builder: connection.backendID, progress)
      loop.spawn { await watch.run(dsn, loop) }
      let outcome: Result<HotIndexes.Creation, HotIndexError>
      do throws(HotIndexError) {
        outcome = .success(try await indexes.create(attribute))
      } catch {
        outcome = .failure(error)
      }
      await watch.end(loop)
      let creation = try outcome.get()
      guard let made = try await indexes.list(attribute: attribute).first else {
        throw .notIndexed(attribute)
      }
      let index = AttributeIndex(made)
      return switch creation {
      case .wasThere: .wasThere(index)
      case .built(let hasReplaced): .built(index, hasReplaced: hasReplaced)
      }
    }
  }

  /// Drops the index of an attribute, valid or not, while gateways go on writing.
  ///
  /// - Parameters:
  ///   - dsn: as for `createIndex`.
  ///   - attribute: its name.
  /// - Returns: the index as it was.
  /// - Throws: `GatewayError`.
  public static func dropIndex(
    _ dsn: String,
    attribute: String
  ) throws(GatewayError) -> AttributeIndex {
    let dsn = try Gateway.dsn(dsn, .primaryDSN)
    return try withIndexes(dsn) { indexes, _, _ throws(HotIndexError) in
      AttributeIndex(try await indexes.drop(attribute))
    }
  }

  private static func withIndexes<Value: Sendable>(
    _ dsn: PostgresDSN,
    _ body:
      @escaping @Sendable (
        HotIndexes, PostgresConnection, EventLoop
      ) async throws(HotIndexError) -> Value
  ) throws(GatewayError) -> Value {
    try onLoop { loop in
      do throws(GatewayError) {
        let connection = try await connect(dsn, .primaryDSN, loop, role: HotIndexes.role)
        defer { connection.close() }
        let indexes = HotIndexes(
          connection,
          // As in `WorkerContext.authenticate`.
          tenant: Caller.defaultTenantID,
          // A build waits for the oldest transaction, however long that lasts.
          deadline: loop.now + .seconds(7 * 86_400)
        )
        do throws(HotIndexError) {
          return .success(try await body(indexes, connection, loop))
        } catch {
          throw .index(error)
        }
      } catch {
        return .failure(error)
      }
    }
  }
}

/// Looks at a build from another connection.
///
/// Without one nobody sees the progress; the build goes on.
private final class BuildWatch: Sendable {
  private static let pause = Duration.milliseconds(200)

  private let builder: Int32
  private let progress: @Sendable (IndexProgress) -> Void
  private let isWanted = Mutex(true)
  private let isOver = Mutex(false)

  init(builder: Int32, _ progress: @escaping @Sendable (IndexProgress) -> Void) {
    self.builder = builder
    self.progress = progress
  }

  func run(_ dsn: PostgresDSN, _ loop: EventLoop) async {
    do throws(PostgresError) {
      let connection = try await PostgresConnection.connect(
        to: dsn,
        role: .direct("control"),
        on: loop,
        deadline: loop.now + .seconds(10)
      )
      defer { connection.close() }
      while isWanted.withLock({ $0 }) {
        if let seen = try await HotIndexes.progress(of: builder, on: connection) {
          progress(IndexProgress(seen))
        }
        await loop.sleep(for: BuildWatch.pause)
      }
    } catch {
      // As said above.
    }
    isOver.withLock { $0 = true }
  }

  /// Waits until nobody looks any more.
  func end(_ loop: EventLoop) async {
    isWanted.withLock { $0 = false }
    while !isOver.withLock({ $0 }) { await loop.sleep(for: .milliseconds(10)) }
  }
}

extension IndexProgress {
  fileprivate init(_ progress: HotIndexProgress) {
    self.init(
      phase: progress.phase,
      done: progress.done,
      total: progress.total,
      unit: progress.unit
    )
  }
}
