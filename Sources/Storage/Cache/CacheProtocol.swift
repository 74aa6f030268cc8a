// The words of each script, and what its answers mean.

/// Where the keys of one history of one cluster lie.
///
/// Positions of different timelines are never compared: each has keys of its own.
struct CacheKeys: Equatable, Sendable {
  private let log: LogIdentity

  init(_ token: FreshnessToken) { log = token.identity }

  var state: String { base + "state" }
  var members: String { base + "members" }
  /// Before epoch and key.
  var entries: String { base + "e:" }

  private var base: String { "{sluice}:\(log.systemIdentifier):\(log.timeline):" }
}

extension PostgresLSN {
  /// Reads what `RedisCommand.append(hex:)` wrote, whose order as text is that of the positions;
  /// nil when it is anything else.
  init?(cacheText text: ArraySlice<UInt8>) {
    guard text.count == 16 else { return nil }
    var value: UInt64 = 0
    for digit in text {
      switch digit {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt64(digit - 48)
      case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt64(digit - 87)
      default: return nil
      }
    }
    self.init(value: value)
  }
}

/// What `CacheScripts.get` says about one key.
enum CacheGetAnswer: Equatable, Sendable {
  /// A value whose proof is at or past what was required; empty for a row that does not exist.
  case hit(lsn: PostgresLSN, value: [UInt8])
  /// The caller may fill; a replica's read counts from `floor` on.
  case lease(floor: PostgresLSN, isTooOld: Bool)
  /// Somebody else is reading.
  case wait(isTooOld: Bool)
}

/// What a call of lookups brought.
enum CacheAnswers: Equatable, Sendable {
  /// There is no epoch, or another one than ours.
  case noEpoch
  /// A place for each lookup, in their order; nil where a plain read leaves it to the script.
  case each([CacheGetAnswer?])
}

/// How `CacheScripts.set` ended.
enum CacheSetAnswer: String, Sendable {
  case stored = "S"
  /// The lease was given back without a value.
  case givenBack = "G"
  /// An invalidation, an eviction or time took the lease away.
  case leaseLost = "L"
  /// The replica had not seen the last invalidation.
  case belowFloor = "F"
  /// What is stored was proven at a later position.
  case olderThanStored = "O"
  /// There is no epoch.
  case noEpoch = "E"
}

/// What `CacheScripts.beat` says.
enum CacheBeatAnswer: Equatable, Sendable {
  /// The epoch stands.
  case joined(epoch: String)
  /// Come back with this claim and a position read after now.
  case claim(String)
}

/// One lookup of a call of `CacheScripts.get`.
struct CacheGetQuestion {
  var key: CacheKey
  var required: PostgresLSN
  /// Who gets the lease; never the same again.
  var owner: UInt64
}

/// Requests and answers of the scripts.
enum CacheProtocol {
  static func get(
    _ questions: [CacheGetQuestion],
    run: String,
    keys: CacheKeys,
    leaseMilliseconds: Int64
  ) -> RedisCommand {
    var words = RedisCommand("1", keys.state, run, keys.entries)
    words.append(leaseMilliseconds)
    for question in questions {
      words.append(question.key.bytes)
      words.append(hex: question.required.value)
      words.append(hex: question.owner)
    }
    return words
  }

  /// What the script says; it leaves no lookup open.
  ///
  /// - Throws: `.protocolViolation`.
  static func getAnswers(_ reply: RedisReply, count: Int) throws(RedisError) -> CacheAnswers {
    if reply.text == "E" { return .noEpoch }
    guard case .array(let elements) = reply, elements.count == count else {
      throw .protocolViolation
    }
    var answers: [CacheGetAnswer?] = []
    answers.reserveCapacity(count)
    for element in elements { answers.append(try getAnswer(element)) }
    return .each(answers)
  }

  private static func getAnswer(_ reply: RedisReply) throws(RedisError) -> CacheGetAnswer {
    guard case .bytes(let bytes) = reply, bytes.count >= 2 else { throw .protocolViolation }
    let isTooOld = bytes[1] == UInt8(ascii: "O")
    switch bytes[0] {
    case UInt8(ascii: "H"):
      guard let lsn = PostgresLSN(cacheText: bytes[1...].prefix(16)) else { break }
      return .hit(lsn: lsn, value: Array(bytes[17...]))
    case UInt8(ascii: "L"):
      guard let floor = PostgresLSN(cacheText: bytes[2...]) else { break }
      return .lease(floor: floor, isTooOld: isTooOld)
    case UInt8(ascii: "W") where bytes.count == 2: return .wait(isTooOld: isTooOld)
    default: break
    }
    throw .protocolViolation
  }

  /// Stores a value under a lease; an empty one stands for what does not exist.
  static func set(
    _ key: CacheKey,
    owner: UInt64,
    value: [UInt8],
    lsn: PostgresLSN,
    isReplica: Bool,
    run: String,
    keys: CacheKeys,
    lifeMilliseconds: Int64
  ) -> RedisCommand {
    var words = giveBack(key, owner: owner, run: run, keys: keys)
    words.append(hex: lsn.value)
    words.append(value)
    words.append(lifeMilliseconds)
    words.append(isReplica ? "1" : "0")
    return words
  }

  static func giveBack(
    _ key: CacheKey,
    owner: UInt64,
    run: String,
    keys: CacheKeys
  ) -> RedisCommand {
    var words = RedisCommand("1", keys.state, run, keys.entries)
    words.append(key.bytes)
    words.append(hex: owner)
    return words
  }

  /// How storing or giving back ended.
  ///
  /// - Throws: `.protocolViolation`.
  static func setAnswer(_ reply: RedisReply) throws(RedisError) -> CacheSetAnswer {
    guard let answer = reply.text.flatMap(CacheSetAnswer.init(rawValue:)) else {
      throw .protocolViolation
    }
    return answer
  }

  static func invalidate(
    _ cached: some Sequence<CacheKey>,
    token: PostgresLSN,
    keys: CacheKeys,
    keepMilliseconds: Int64
  ) -> RedisCommand {
    var words = RedisCommand("1", keys.state, keys.entries)
    words.append(hex: token.value)
    words.append(keepMilliseconds)
    for key in cached { words.append(key.bytes) }
    return words
  }

  static func beat(
    _ beat: CacheEpoch.Beat,
    member: String,
    newClaim: String,
    missedAfterMilliseconds: Int64
  ) -> RedisCommand {
    let keys = CacheKeys(beat.position)
    var words = RedisCommand("2", keys.state, keys.members, beat.run, member)
    words.append(missedAfterMilliseconds)
    words.append(newClaim)
    words.append(beat.heldClaim ?? "")
    words.append(hex: beat.position.lsn.value)
    words.append(beat.owes ? "1" : "0")
    return words
  }

  /// What came of a sign of life.
  ///
  /// - Throws: `.protocolViolation`.
  static func beatAnswer(_ reply: RedisReply) throws(RedisError) -> CacheBeatAnswer {
    guard case .array(let parts) = reply, parts.count == 2, let text = parts[1].text else {
      throw .protocolViolation
    }
    switch parts[0].text {
    case "J": return .joined(epoch: text)
    case "W": return .claim(text)
    default: throw .protocolViolation
    }
  }
}
