import EventLoop

@testable import Storage

// A world of writers, replicas, readers and gateways around the real scripts in a real Redis.

/// One world; every step is one choice of the generator and at most one call of a script.
///
/// A value is the position of the commit that wrote it, so what it must hold is known. Reads take
/// several steps (lease, proof, snapshot, fill), invalidations and beats arrive at any time after
/// they were due, and Redis loses keys, all of them, or goes back to an old state.
struct CacheModel {
  private static let keyCount = 6
  private static let system: UInt64 = 7

  private struct History {
    let timeline: UInt32
    /// Of each key, the positions of its commits, rising.
    var commits: [[UInt64]]

    func newest(_ key: Int, upTo lsn: UInt64) -> UInt64 {
      commits[key].last { $0 <= lsn } ?? 0
    }
  }

  private struct Invalidation {
    var key: Int
    var commit: UInt64
    var token: FreshnessToken
    var gateway: Int
  }

  private struct Lease {
    var gateway: Int
    var key: Int
    var owner: UInt64
    var keys: CacheKeys
  }

  /// A lookup whose entry was read plainly.
  private struct Lookup {
    var gateway: Int
    var key: Int
    var peek: CachePeek
    var required: PostgresLSN
    var timeline: UInt32
    var entry: RedisReply
    /// Of the key, as it was when the entry was read.
    var arrived: UInt64
  }

  private enum Reader {
    case idle
    /// The epoch is looked at next.
    case peeked(Lookup)
    /// No hit: the script has to say more.
    case missed(Lookup)
    case leased(Lease)
    case proven(Lease, replica: Int?, asOf: FreshnessToken)
    case read(Lease, isReplica: Bool, asOf: FreshnessToken, version: UInt64)

    /// Of the gateway it asks; nil when it asks none.
    var gateway: Int? {
      switch self {
      case .idle: nil
      case .peeked(let lookup), .missed(let lookup): lookup.gateway
      case .leased(let lease), .proven(let lease, _, _), .read(let lease, _, _, _): lease.gateway
      }
    }
  }

  private enum Sample {
    case none
    case asked(MonotonicTime)
    case answered(MonotonicTime, FreshnessToken)
  }

  private struct Gateway {
    var name: String
    var epoch = CacheEpoch()
    var sample = Sample.none
  }

  private let redis: RedisConnection
  private let scripts: ModelScripts
  private var random: SeededGenerator
  private var histories: [History]
  private var head: UInt64 = 1_000
  private var replicas: [UInt64] = [1_000, 1_000]
  private var isStuck = [false, false]
  private var readers = [Reader](repeating: .idle, count: 5)
  private var gateways: [Gateway] = []
  private var invalidations: [Invalidation] = []
  /// Of each key, the newest commit whose invalidation has arrived.
  private var arrived = [UInt64](repeating: 0, count: keyCount)
  private var run = "run-0"
  private var nameCount = 0
  private var leaseCount: UInt64 = 0
  private var now: UInt64 = 0
  /// What Redis will go back to.
  private var snapshot: [(key: String, fields: RedisReply)] = []
  private(set) var findings = ModelFindings()

  init(_ redis: RedisConnection, _ scripts: ModelScripts, seed: UInt64) {
    self.redis = redis
    self.scripts = scripts
    random = SeededGenerator(state: seed)
    let commits = [[UInt64]](repeating: [], count: CacheModel.keyCount)
    histories = [History(timeline: 1, commits: commits)]
    for _ in 0..<3 {
      var gateway = Gateway(name: newName("gateway"))
      gateway.epoch.connected(run: run)
      gateways.append(gateway)
    }
  }

  // MARK: Steps

  mutating func run(steps: Int) async throws {
    _ = try await redis.ask("FLUSHALL")
    for _ in 0..<steps {
      now += 1
      try await step()
    }
  }

  private mutating func step() async throws {
    switch int(10_000) {
    case 0..<700: commit()
    case 700..<1_600: try await deliverInvalidation()
    case 1_600..<2_600: follow(int(replicas.count))
    case 2_600..<8_400: try await readerStep(int(readers.count))
    case 8_400..<9_700: try await gatewayStep(int(gateways.count))
    case 9_700..<9_820: try await evict()
    case 9_820..<9_940: try await expireLease()
    case 9_940..<9_944: loseInvalidation()
    case 9_944..<9_948: try await killGateway()
    case 9_948..<9_958: _ = try await redis.ask("FLUSHALL")
    case 9_958..<9_980: try await takeSnapshot()
    case 9_980..<9_986: try await restart()
    case 9_986..<9_989: promote()
    case 9_989..<10_000: isStuck[int(replicas.count)].toggle()
    default: break
    }
  }

  private mutating func int(_ count: Int) -> Int { Int.random(in: 0..<count, using: &random) }

  private mutating func newName(_ kind: String) -> String {
    nameCount += 1
    return "\(kind)-\(nameCount)"
  }

  private var time: MonotonicTime { MonotonicTime(nanoseconds: now) }
  private var timeline: UInt32 { histories[histories.count - 1].timeline }

  private func token(_ lsn: UInt64) -> FreshnessToken {
    FreshnessToken(
      systemIdentifier: CacheModel.system,
      timeline: timeline,
      lsn: PostgresLSN(value: lsn)
    )
  }

  private static func key(_ index: Int) -> CacheKey { CacheKey("key-\(index)") }

  // MARK: The databases

  private mutating func commit() {
    // Now and then nobody writes for a while, and what Redis has forgotten is not told it anew.
    guard (now / 300).isMultiple(of: 2) else { return }
    let key = int(CacheModel.keyCount)
    head += UInt64(1 + int(50))
    histories[histories.count - 1].commits[key].append(head)
    let commit = head
    // What is flushed behind it until the position is read.
    head += UInt64(int(10))
    invalidations.append(
      Invalidation(key: key, commit: commit, token: token(head), gateway: int(gateways.count))
    )
  }

  /// A replica replays some more, slower than the primary writes at times.
  private mutating func follow(_ replica: Int) {
    guard !isStuck[replica] else { return }
    replicas[replica] = min(head, replicas[replica] + UInt64(int(80)))
  }

  /// A replica takes over: what it had not seen never was, and positions are given out again.
  private mutating func promote() {
    let old = histories[histories.count - 1]
    let fork = replicas[int(replicas.count)]
    head = fork
    for replica in replicas.indices { replicas[replica] = min(replicas[replica], fork) }
    for key in arrived.indices { arrived[key] = old.newest(key, upTo: min(arrived[key], fork)) }
    histories.append(
      History(
        timeline: old.timeline + 1,
        commits: old.commits.map { $0.filter { $0 <= fork } }
      )
    )
    // Reads under way lose their connection.
    for reader in readers.indices {
      if case .proven = readers[reader] { readers[reader] = .idle }
    }
  }

  // MARK: Invalidations

  private mutating func deliverInvalidation() async throws {
    guard !invalidations.isEmpty else { return }
    let late = invalidations.remove(at: int(invalidations.count))
    let words = CacheProtocol.invalidate(
      [CacheModel.key(late.key)],
      token: late.token.lsn,
      keys: CacheKeys(late.token),
      keepMilliseconds: 60_000
    )
    _ = try await redis.run(scripts.invalidate, words)
    // One of an older timeline says nothing about this one.
    if late.token.timeline == timeline { arrived[late.key] = max(arrived[late.key], late.commit) }
  }

  private mutating func loseInvalidation() {
    guard !invalidations.isEmpty else { return }
    let lost = invalidations.remove(at: int(invalidations.count))
    gateways[lost.gateway].epoch.lostInvalidation()
  }

  // MARK: Gateways

  private mutating func gatewayStep(_ index: Int) async throws {
    switch gateways[index].sample {
    case .none: gateways[index].sample = .asked(time)
    case .asked(let at): gateways[index].sample = .answered(at, token(head))
    case .answered(let at, let position):
      gateways[index].sample = .none
      _ = gateways[index].epoch.observed(position, at: at)
      try await beat(index)
    }
  }

  private mutating func beat(_ index: Int) async throws {
    guard let beat = gateways[index].epoch.nextBeat() else { return }
    let words = CacheProtocol.beat(
      beat,
      member: gateways[index].name,
      newClaim: newName("epoch"),
      missedAfterMilliseconds: 600_000
    )
    let answer = try CacheProtocol.beatAnswer(try await redis.run(scripts.beat, words))
    let before = gateways[index].epoch.epoch
    gateways[index].epoch.answered(beat, answer, now: time)
    if let epoch = gateways[index].epoch.epoch, epoch != before { findings.epochs += 1 }
  }

  /// A gateway ends without a word; what it had not told Redis is never told.
  private mutating func killGateway() async throws {
    let index = int(gateways.count)
    let dead = gateways[index]
    gateways[index] = Gateway(name: newName("gateway"))
    gateways[index].epoch.connected(run: run)
    invalidations.removeAll { $0.gateway == index }
    for reader in readers.indices where readers[reader].gateway == index {
      readers[reader] = .idle
    }
    guard let position = dead.epoch.position else { return }
    // Its time is over at once, as the world has no clock that Redis knows.
    _ = try await redis.ask("ZADD \(CacheKeys(position).members) XX 0 \(dead.name)")
  }

  // MARK: Readers

  private mutating func readerStep(_ index: Int) async throws {
    switch readers[index] {
    case .idle: readers[index] = try await peek()
    case .peeked(let lookup): readers[index] = try await judge(lookup)
    case .missed(let lookup): readers[index] = try await ask(lookup)
    case .leased(let lease): readers[index] = prove(lease)
    case .proven(let lease, let replica, let asOf):
      let visible = replica.map { replicas[$0] } ?? head
      let version = histories[histories.count - 1].newest(lease.key, upTo: visible)
      readers[index] = .read(lease, isReplica: replica != nil, asOf: asOf, version: version)
    case .read(let lease, let isReplica, let asOf, let version):
      readers[index] = .idle
      try await fill(lease, isReplica, asOf, version)
    }
  }

  private mutating func peek() async throws -> Reader {
    let gateway = int(gateways.count)
    let state = gateways[gateway].epoch
    guard let peek = state.peek, let position = state.position else { return .idle }
    let key = int(CacheModel.keyCount)
    // As this gateway knows the primary: its last sample, or somewhat older.
    let required = PostgresLSN(value: position.lsn.value - UInt64(int(400)))
    return .peeked(
      Lookup(
        gateway: gateway,
        key: key,
        peek: peek,
        required: required,
        timeline: position.timeline,
        entry: try await redis.call(peek.request([question(key, required)]))[0],
        arrived: arrived[key]
      )
    )
  }

  private mutating func question(_ key: Int, _ required: PostgresLSN) -> CacheGetQuestion {
    leaseCount += 1
    return CacheGetQuestion(key: CacheModel.key(key), required: required, owner: leaseCount)
  }

  /// The second half of the pipeline, as others' calls may come between its requests.
  private mutating func judge(_ read: Lookup) async throws -> Reader {
    let request = read.peek.request([question(read.key, read.required)])
    var state = try await redis.call(request)[1]
    var required = read.required
    switch scripts.peekIgnores {
    case .nothing: break
    case .required: required = PostgresLSN(value: 0)
    case .run:
      guard case .array(let fields) = state else { break }
      state = .array([fields[0], .bytes(Array(read.peek.run.utf8))])
    case .epoch:
      state = .array([read.peek.epoch, read.peek.run].map { .bytes(Array($0.utf8)) })
    }
    switch try read.peek.answers([read.entry, state], required: [required]) {
    case .noEpoch:
      gateways[read.gateway].epoch.gone()
      return .idle
    case .each(let hits):
      guard case .hit(let lsn, let value) = hits[0] else { return .missed(read) }
      check(read, value, claimed: lsn, arrived: read.arrived)
      return .idle
    }
  }

  /// Asks the script for what was no hit.
  private mutating func ask(_ missed: Lookup) async throws -> Reader {
    let question = question(missed.key, missed.required)
    let words = CacheProtocol.get(
      [question],
      run: missed.peek.run,
      keys: missed.peek.keys,
      leaseMilliseconds: 600_000
    )
    let reply = try await redis.run(scripts.get, words)
    guard case .each(let answers) = try CacheProtocol.getAnswers(reply, count: 1),
      let answer = answers[0]
    else {
      gateways[missed.gateway].epoch.gone()
      return .idle
    }
    switch answer {
    case .hit(let lsn, let value):
      check(missed, value, claimed: lsn, arrived: arrived[missed.key])
      return .idle
    case .wait:
      findings.waits += 1
      return .idle
    case .lease:
      return .leased(
        Lease(
          gateway: missed.gateway,
          key: missed.key,
          owner: question.owner,
          keys: missed.peek.keys
        )
      )
    }
  }

  private mutating func check(
    _ lookup: Lookup,
    _ value: [UInt8],
    claimed: PostgresLSN,
    arrived: UInt64
  ) {
    findings.hits += 1
    let version = UInt64(String(decoding: value, as: UTF8.self), radix: 16) ?? 0
    guard let history = histories.first(where: { $0.timeline == lookup.timeline }) else { return }
    let mustHold = history.newest(lookup.key, upTo: claimed.value)
    if version < mustHold || claimed < lookup.required { findings.staleAnswers += 1 }
    if lookup.timeline == timeline, version < arrived { findings.staleHits += 1 }
  }

  private mutating func prove(_ lease: Lease) -> Reader {
    let choice = int(replicas.count + 1)
    if choice < replicas.count {
      return .proven(lease, replica: choice, asOf: token(replicas[choice]))
    }
    // The primary's proof is a lower bound, perhaps a sample that is some time old. It is one of
    // this timeline, which began at its first commit.
    let bound = head - min(UInt64(int(2) * int(60)), head)
    return .proven(lease, replica: nil, asOf: token(bound))
  }

  private mutating func fill(
    _ lease: Lease,
    _ isReplica: Bool,
    _ asOf: FreshnessToken,
    _ version: UInt64
  ) async throws {
    // `ReadCache.fill` refuses what belongs to another history.
    guard CacheKeys(asOf) == lease.keys else { return }
    // It names the Redis that its connection leads to now, as `CacheSession.store` does: one that
    // went back to an old state must not take a lease of then for its own.
    guard let run = gateways[lease.gateway].epoch.run else { return }
    let words = CacheProtocol.set(
      CacheModel.key(lease.key),
      owner: lease.owner,
      value: version == 0 ? [] : Array(String(version, radix: 16).utf8),
      lsn: asOf.lsn,
      isReplica: isReplica,
      run: run,
      keys: lease.keys,
      lifeMilliseconds: 600_000
    )
    let answer = try CacheProtocol.setAnswer(try await redis.run(scripts.set, words))
    guard answer == .stored else {
      findings.refusals[answer, default: 0] += 1
      if answer == .noEpoch { gateways[lease.gateway].epoch.gone() }
      return
    }
    findings.fills += 1
    if asOf.timeline == timeline, version < arrived[lease.key] { findings.staleSets += 1 }
  }

  // MARK: What happens to Redis

  private func entryKeys() async throws -> [String] {
    guard case .array(let keys) = try await redis.ask("KEYS *:e:*") else { return [] }
    return keys.compactMap(\.text).sorted()
  }

  private mutating func evict() async throws {
    let keys = try await entryKeys()
    guard !keys.isEmpty else { return }
    _ = try await redis.ask("DEL \(keys[int(keys.count)])")
  }

  private mutating func expireLease() async throws {
    let keys = try await entryKeys()
    guard !keys.isEmpty else { return }
    let key = keys[int(keys.count)]
    guard case .integer(1) = try await redis.ask("HEXISTS \(key) d") else { return }
    _ = try await redis.ask("HSET \(key) d 0")
  }

  private mutating func takeSnapshot() async throws {
    guard case .array(let keys) = try await redis.ask("KEYS *") else { return }
    snapshot = []
    for key in keys.compactMap(\.text) where !key.hasSuffix("members") {
      snapshot.append((key, try await redis.ask("HGETALL \(key)")))
    }
  }

  /// Redis starts again from what it had saved last, and says so by its run id.
  private mutating func restart() async throws {
    _ = try await redis.ask("FLUSHALL")
    for (key, fields) in snapshot {
      guard case .array(let fields) = fields, !fields.isEmpty else { continue }
      var command = RedisCommand("HSET", key)
      for case .bytes(let field) in fields { command.append(field) }
      _ = try await redis.call(command, deadline: soon())
    }
    run = newName("run")
    // Lookups under way lose their connection.
    for reader in readers.indices {
      switch readers[reader] {
      case .peeked, .missed: readers[reader] = .idle
      case .idle, .leased, .proven, .read: break
      }
    }
    for index in gateways.indices {
      gateways[index].epoch.disconnected()
      gateways[index].epoch.connected(run: run)
    }
  }
}
