// The words of each script, and what its answers mean.

/// Where the keys of one history of one cluster lie.
///
/// Positions of different timelines are never compared: each has keys of its own.
struct CacheKeys: Equatable, Sendable {
  let state: String
  let members: String
  /// Before epoch and key.
  let entries: String

  init(systemIdentifier: UInt64, timeline: UInt32) {
    let base = "{sluice}:\(systemIdentifier):\(timeline):"
    state = base + "state"
    members = base + "members"
    entries = base + "e:"
  }

  init(_ token: FreshnessToken) {
    self.init(systemIdentifier: token.systemIdentifier, timeline: token.timeline)
  }
}

extension PostgresLSN {
  /// 16 lower-case hex digits, whose order as text is that of the positions.
  var cacheText: String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.utf8.count) + digits
  }

  /// Reads what `cacheText` wrote; nil when it is anything else.
  init?(cacheText text: String) {
    guard text.utf8.count == 16, text.allSatisfy(\.isHexDigit), let value = UInt64(text, radix: 16)
    else { return nil }
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
  /// Who gets the lease.
  var owner: String
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
      words.append(question.required.cacheText)
      words.append(question.owner)
    }
    return words
  }

  /// The answers in the order of the questions; nil for an epoch that is gone.
  ///
  /// - Throws: `.protocolViolation`.
  static func getAnswers(
    _ reply: RedisReply,
    count: Int
  ) throws(RedisError) -> [CacheGetAnswer]? {
    if reply.text == "E" { return nil }
    guard case .array(let elements) = reply, elements.count == count else {
      throw .protocolViolation
    }
    var answers: [CacheGetAnswer] = []
    answers.reserveCapacity(count)
    for element in elements { answers.append(try getAnswer(element)) }
    return answers
  }

  private static func getAnswer(_ reply: RedisReply) throws(RedisError) -> CacheGetAnswer {
    guard case .array(let parts) = reply, parts.count >= 2, let text = parts[1].text else {
      throw .protocolViolation
    }
    switch (parts[0].text, parts.count) {
    case ("H", 3):
      guard case .bytes(let value) = parts[2], let lsn = PostgresLSN(cacheText: text) else { break }
      return .hit(lsn: lsn, value: value)
    case ("L", 3):
      guard let floor = parts[2].text.flatMap(PostgresLSN.init(cacheText:)) else { break }
      return .lease(floor: floor, isTooOld: text == "O")
    case ("W", 2): return .wait(isTooOld: text == "O")
    default: break
    }
    throw .protocolViolation
  }

  /// Stores a value under a lease; an empty one stands for what does not exist.
  static func set(
    _ key: CacheKey,
    owner: String,
    value: [UInt8],
    lsn: PostgresLSN,
    isReplica: Bool,
    run: String,
    keys: CacheKeys,
    lifeMilliseconds: Int64
  ) -> RedisCommand {
    var words = giveBack(key, owner: owner, run: run, keys: keys)
    words.append(lsn.cacheText)
    words.append(value)
    words.append(lifeMilliseconds)
    words.append(isReplica ? "1" : "0")
    return words
  }

  static func giveBack(
    _ key: CacheKey,
    owner: String,
    run: String,
    keys: CacheKeys
  ) -> RedisCommand {
    var words = RedisCommand("1", keys.state, run, keys.entries)
    words.append(key.bytes)
    words.append(owner)
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
    var words = RedisCommand("1", keys.state, keys.entries, token.cacheText)
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
    words.append(beat.position.lsn.cacheText)
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
