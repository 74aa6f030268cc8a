// What goes into the cache and comes out of it.

/// The name of what is cached; short, and the same in all gateways.
public struct CacheKey: Hashable, Sendable {
  let bytes: [UInt8]

  /// A key of these bytes.
  public init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// A key of the bytes of a text.
  public init(_ text: String) { bytes = Array(text.utf8) }
}

/// A value and the position up to which it is proven.
public struct CacheEntry: Equatable, Sendable {
  /// nil for what does not exist.
  public var value: [UInt8]?
  /// Everything acknowledged up to here is in the value.
  public var asOf: FreshnessToken

  /// A value with its proof.
  ///
  /// The value is not empty, and nil for what does not exist.
  public init(value: [UInt8]?, asOf: FreshnessToken) {
    precondition(value?.isEmpty != true, "an empty value stands for one that does not exist")
    self.value = value
    self.asOf = asOf
  }

  /// Whether the proof reaches what a reader requires.
  func satisfies(_ required: FreshnessToken) -> Bool {
    CacheKeys(asOf) == CacheKeys(required) && asOf.lsn >= required.lsn
  }
}

/// Where a value to be kept was read.
public enum CacheSource: Sendable {
  /// The node that takes writes: the lease alone protects the fill.
  case primary
  /// A node that follows: it must have seen the last invalidation, too.
  case replica
}

/// What a lookup brought.
public enum CacheLookup {
  /// A value that is as fresh as required.
  case hit(CacheEntry)
  /// Read it yourself, then `fill` or `abandon` the ticket.
  case miss(CacheTicket)
}

/// The right to read one key for all of a worker, and perhaps to fill the cache with it.
///
/// Not Sendable. A ticket that is dropped counts as abandoned.
public final class CacheTicket {
  /// A lease that Redis gave.
  struct Lease {
    var owner: UInt64
    var floor: PostgresLSN
    var keys: CacheKeys
  }

  /// Why there was no value.
  public let miss: CacheMiss
  let key: CacheKey
  let lease: Lease?
  /// nil for who does not read for others.
  private(set) var flight: CacheFlight?
  private weak var cache: ReadCache?
  private var isOpen = true

  init(
    _ miss: CacheMiss,
    _ key: CacheKey,
    _ lease: Lease?,
    _ flight: CacheFlight?,
    _ cache: ReadCache
  ) {
    self.miss = miss
    self.key = key
    self.lease = lease
    self.flight = flight
    self.cache = cache
  }

  deinit { if isOpen { cache?.end(key, flight, lease) } }

  /// Whether what is read can be kept.
  public var isLease: Bool { lease != nil }
  /// From which position on what a replica reads can be kept; nil without a lease.
  public var floor: PostgresLSN? { lease?.floor }

  /// Makes sure that a ticket ends once.
  func close() {
    precondition(isOpen, "a ticket is used once")
    isOpen = false
  }
}
