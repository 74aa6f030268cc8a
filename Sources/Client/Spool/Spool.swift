internal import EventLoop
internal import Synchronization

// What a producer keeps on the disk until it is durable, and who may use it.

/// How a spool is kept.
public struct SpoolOptions: Sendable {
  /// When appended batches are brought to the disk.
  ///
  /// Nothing that is appended is lost when the process dies, whatever is chosen: the system has it.
  /// It matters only when the system itself stops, at a power cut.
  public enum Sync: Equatable, Sendable {
    /// Before a batch is sent: a value is on the disk when `send` returns.
    case always
    /// At most so long after a batch was appended, off the client's thread. A power cut can lose
    /// the values of that time, unless the gateway has them already; a source that must know asks
    /// `Producer.waitUntilDurable`.
    case interval(Duration)
  }

  /// The folder that holds the spools, one below for each producer.
  public var folder: String
  /// Whose values these are: a spool is taken over by the next process with the same name.
  public var name: String
  /// Size of the spool at most; then `send` throws.
  public var bytesMax: Int
  /// Size of its files.
  public var segmentBytesMax: Int
  /// When it is brought to the disk.
  public var sync: Sync

  /// Options for a spool.
  public init(
    folder: String,
    name: String,
    bytesMax: Int = 1 << 30,
    segmentBytesMax: Int = 8 << 20,
    sync: Sync = .interval(.milliseconds(100))
  ) {
    self.folder = folder
    self.name = name
    self.bytesMax = bytesMax
    // Space is given back file by file.
    self.segmentBytesMax = min(segmentBytesMax, max(bytesMax / 4, 1 << 10))
    self.sync = sync
  }
}

/// Batches of one producer on the disk, owned by this process until it ends.
///
/// Hand it to a producer by `ProducerOptions.spool`; one producer uses it at a time.
public final class Spool: Sendable {
  /// The producer's id, made once with the spool.
  public let producerID: [UInt8]
  /// The folder of this spool.
  public let folder: String
  /// Bytes that were cut from its end when it was opened: a batch whose writing was interrupted, or
  /// what a power cut took.
  public let cutBytes: Int
  let sync: SpoolOptions.Sync
  /// The highest sequence number when it was opened.
  let openedLast: UInt64
  private let name: String
  private let boot: String
  private let database: Mutex<[UInt8]>
  /// Held until the spool is closed.
  private let lock: Mutex<SpoolFile?>
  private let store: Mutex<SpoolStore>
  private let trouble = Mutex<ClientError?>(nil)
  /// Syncs, so that the client's loop does not wait for the disk.
  private let syncLoop: EventLoop

  init(
    _ store: SpoolStore,
    name: String,
    boot: String,
    databaseID: [UInt8],
    sync: SpoolOptions.Sync,
    lock: SpoolFile
  ) throws(ClientError) {
    producerID = store.producerID
    folder = store.folder
    cutBytes = store.cutBytes
    openedLast = store.last
    self.name = name
    self.boot = boot
    database = Mutex(databaseID)
    self.sync = sync
    self.lock = Mutex(lock)
    do throws(SystemError) {
      syncLoop = try EventLoop()
      try LoopThread(running: syncLoop, name: "sluice-spool").detach()
    } catch {
      throw .spool(store.folder, error)
    }
    self.store = Mutex(store)
  }

  deinit {
    syncLoop.stop()
  }

  /// Highest sequence number that was given to a value.
  public var produced: UInt64 { store.withLock { $0.last } }
  /// Size of its files.
  public var bytes: Int { store.withLock { $0.bytes } }
  /// Whether values wait in it that are not known to be durable.
  public var isEmpty: Bool { store.withLock { $0.isEmpty } }

  /// Brings everything to the disk, notes that nothing is missing, so that the next start goes on
  /// with the same numbers whatever happens to the system meanwhile, and leaves the spool to
  /// others.
  ///
  /// Call it when the producer has ended; the object must not be used any more.
  ///
  /// - Throws: `ClientError`.
  public func close() throws(ClientError) {
    try withStore { store throws(ClientError) in try store.newestFile.sync() }
    try writeIdentity(boot: SpoolIdentity.closed)
    lock.withLock { $0 = nil }
  }

  /// Deletes the spool with everything in it; the object must not be used any more.
  ///
  /// - Throws: `ClientError`.
  public func remove() throws(ClientError) {
    try SpoolFile.remove("\(folder)/identity")
    try SpoolFolder.clear(folder)
  }

  /// Writes down whose spool this is, and that it is in use.
  func writeIdentity() throws(ClientError) { try writeIdentity(boot: boot) }

  private func writeIdentity(boot: String) throws(ClientError) {
    let identity = SpoolIdentity(
      producerID: producerID,
      name: name,
      boot: boot,
      databaseID: databaseID
    )
    try identity.write(in: folder)
  }

  // MARK: For the session

  /// The database that its positions are of; empty until one is known.
  var databaseID: [UInt8] { database.withLock { $0 } }

  /// Remembers the database, so that its positions are never compared to those of another one.
  func belongs(to databaseID: [UInt8]) throws(ClientError) {
    database.withLock { $0 = databaseID }
    try writeIdentity()
  }

  func append(
    columns: [UInt8],
    count: UInt32,
    isTaken: Bool
  ) throws(ClientError) -> (batch: PendingBatch, isTaken: Bool) {
    if let trouble = trouble.withLock({ $0 }) { throw trouble }
    return try withStore { store throws(ClientError) in
      let result = try store.append(columns: columns, count: count, isTaken: isTaken)
      if sync == .always { try store.newestFile.sync() }
      return result
    }
  }

  /// A new session begins, and wants everything that is not durable.
  func rewind() { store.withLock { $0.rewind() } }

  func next(fits: (Int) -> Bool) throws(ClientError) -> PendingBatch? {
    try withStore { store throws(ClientError) in try store.next(fits: fits) }
  }

  func release(through sequence: UInt64) throws(ClientError) {
    try withStore { store throws(ClientError) in try store.release(through: sequence) }
  }

  func advance(past sequence: UInt64) throws(ClientError) {
    try withStore { store throws(ClientError) in try store.advance(past: sequence) }
  }

  /// Starts to bring what was appended to the disk; should that fail, the next append says so.
  func startSync() {
    let file = store.withLock { $0.newestFile }
    syncLoop.spawn { [weak self] in
      do throws(ClientError) {
        try file.sync()
      } catch {
        self?.trouble.withLock { $0 = error }
      }
    }
  }

  private func withStore<Value: Sendable>(
    _ body: (inout SpoolStore) throws(ClientError) -> Value
  ) throws(ClientError) -> Value {
    let result = store.withLock { store -> Result<Value, ClientError> in
      do throws(ClientError) {
        return .success(try body(&store))
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }
}
