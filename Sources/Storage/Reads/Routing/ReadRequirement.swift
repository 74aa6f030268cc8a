// What a reader asks for, and the proof it gets back.

/// How fresh an answer must be (Proto/sluice/v1/read.proto).
public enum ReadLevel: Equatable, Sendable {
  /// Every write acknowledged before the read arrived.
  case strong
  /// Everything up to the token.
  case atLeast(FreshnessToken)
  /// At most so old.
  case eventual(maxStaleness: Duration)
  /// At most so old, from the warehouse, never from the primary.
  case analytics(maxStaleness: Duration)
}

/// A level and what goes with it.
public struct ReadRequirement: Equatable, Sendable {
  /// How fresh.
  public var level: ReadLevel
  /// Rather an older answer than none.
  public var allowsDegraded: Bool
  /// Also values that are staged and not durable yet; runs on the primary.
  public var includesStaged: Bool
  /// What must be in the answer whatever its level: earlier answers and acks of the same reader.
  public var floors: [FreshnessToken]
  /// The answer's token will be a floor of later reads, which must show nothing older.
  public var isMonotonic: Bool
  /// The last token that the reader's connection was given for a write.
  public var sessionToken: FreshnessToken?

  /// A requirement of these parts.
  public init(
    _ level: ReadLevel,
    allowsDegraded: Bool = false,
    includesStaged: Bool = false,
    floors: [FreshnessToken] = [],
    isMonotonic: Bool = false,
    sessionToken: FreshnessToken? = nil
  ) {
    self.level = level
    self.allowsDegraded = allowsDegraded
    self.includesStaged = includesStaged
    self.floors = floors
    self.isMonotonic = isMonotonic
    self.sessionToken = sessionToken
  }

  /// Whether only the warehouse may answer.
  var isOfWarehouse: Bool { if case .analytics = level { true } else { false } }

  /// All tokens that the reader named.
  var tokens: [(name: NamedToken, token: FreshnessToken)] {
    var tokens = floors.enumerated().map { (name: NamedToken.floor($0), token: $1) }
    if case .atLeast(let token) = level { tokens.append((name: .ofLevel, token: token)) }
    return tokens
  }
}

/// Which of the tokens that a reader named.
public enum NamedToken: Equatable, Sendable {
  /// The one of AT_LEAST.
  case ofLevel
  /// A floor, by its place.
  case floor(Int)
}

extension FreshnessToken {
  /// Makes sure that its position can be compared with those of a log.
  ///
  /// - Throws: `.tokenOfOtherCluster`, `.tokenOfOtherTimeline`, with its name.
  func check(isOf log: LogIdentity, _ name: NamedToken) throws(StorageError) {
    guard systemIdentifier == log.systemIdentifier else { throw .tokenOfOtherCluster(name) }
    guard timeline == log.timeline else { throw .tokenOfOtherTimeline(name) }
  }
}

/// What kind of node answered.
public enum ReadOrigin: Sendable, Equatable {
  /// The one that takes writes.
  case primary
  /// A streaming replica.
  case replica
  /// The warehouse.
  case warehouse
  /// The cache, holding what one of the others answered.
  case cache
}

/// What the cache had to do with an answer.
public enum ReadCacheUse: Sendable, Equatable {
  /// It had the answer.
  case hit
  /// It was asked in vain.
  case miss
  /// It was not asked.
  case bypass
}

/// How fresh an answer is, proven.
public struct ReadProof: Equatable, Sendable {
  /// What kind of node answered.
  public var origin: ReadOrigin
  /// Its name.
  public var node: String
  /// Everything acknowledged up to here is in the answer, or likely to be where it is estimated.
  public var asOf: FreshnessToken
  /// Upper bound of the answer's age when it was read.
  public var staleness: Duration
  /// The level asked for was not met.
  public var isDegraded: Bool
  /// How long the read waited for a source to catch up.
  public var waited: Duration
  /// What the cache had to do with it.
  public var cache = ReadCacheUse.bypass
}

/// The answers to the statements of one read, with their proof.
public struct ReadAnswer {
  /// One result for each statement.
  public var results: [PostgresResult]
  /// How fresh they are.
  public var proof: ReadProof
}
