import EventLoop
import Glibc
import Testing

@testable import Storage

// The cache's scripts against a model of the world, in a real Redis; and mutants that must fail.

@Suite("Cache model", .needsRedis, .timeLimit(.minutes(60)))
struct CacheModelTests {
  /// More with SLUICE_CACHE_MODEL_STEPS.
  private static let steps =
    unsafe getenv("SLUICE_CACHE_MODEL_STEPS").flatMap { unsafe Int(String(cString: $0)) } ?? 20_000
  /// Another world with SLUICE_CACHE_MODEL_SEED.
  private static let seed =
    unsafe getenv("SLUICE_CACHE_MODEL_SEED").flatMap { unsafe UInt64(String(cString: $0)) }
    ?? UInt64.random(in: 0...UInt64.max)

  private static func findings(
    _ scripts: ModelScripts,
    steps: Int,
    seed: UInt64
  ) async throws -> ModelFindings {
    try await onLoop { loop in
      let server = try RedisTestServer()
      let redis = try await RedisConnection.ready(server, scripts: scripts.all, on: loop)
      defer { redis.close() }
      var model = CacheModel(redis, scripts, seed: seed)
      try await model.run(steps: steps)
      return model.findings
    }
  }

  @Test("no answer and no fill is ever stale")
  func scripts() async throws {
    let seed = CacheModelTests.seed
    let steps = CacheModelTests.steps
    let findings = try await CacheModelTests.findings(ModelScripts(), steps: steps, seed: seed)
    print("cache model: seed \(seed), \(steps) steps: \(findings)")
    #expect(findings.violations == 0, "seed \(seed): \(findings)")
    // It must have been worth it: everything that can happen has happened.
    #expect(findings.hits > steps / 50 && findings.fills > steps / 100, "seed \(seed): \(findings)")
    #expect(findings.epochs > 3 && findings.waits > 0, "seed \(seed): \(findings)")
    for refusal in [CacheSetAnswer.leaseLost, .belowFloor, .noEpoch] {
      #expect(findings.refusals[refusal, default: 0] > 0, "seed \(seed): no \(refusal)")
    }
  }

  /// A script with one line changed.
  private static func mutant(
    _ script: RedisScript,
    _ line: String,
    _ other: String
  ) throws -> RedisScript {
    try #require(script.source.contains(line), "the mutant has nothing to change")
    return RedisScript(
      name: script.name,
      source: script.source.replacing(line, with: other)
    )
  }

  private static let leaseCheck =
    "if e[3] ~= ARGV[4] or tonumber(e[4]) <= now then return 'L' end"
  private static let floorCheck =
    "if ARGV[8] == '1' and ARGV[5] < (e[2] or s[3]) then return 'F' end"

  @Test("a plain SET, without lease and floor, makes stale sets")
  func plainSet() async throws {
    var scripts = ModelScripts()
    scripts.set = try CacheModelTests.mutant(scripts.set, CacheModelTests.leaseCheck, "")
    scripts.set = try CacheModelTests.mutant(scripts.set, CacheModelTests.floorCheck, "")
    let steps = max(CacheModelTests.steps / 4, 10_000)
    let findings = try await CacheModelTests.findings(scripts, steps: steps, seed: 1)
    print("cache model, plain SET, \(steps) steps: \(findings)")
    #expect(findings.staleSets > steps / 200, "\(findings)")
  }

  @Test("the lease without the floor makes stale sets")
  func leaseOnly() async throws {
    var scripts = ModelScripts()
    scripts.set = try CacheModelTests.mutant(scripts.set, CacheModelTests.floorCheck, "")
    let findings = try await CacheModelTests.findings(scripts, steps: 10_000, seed: 2)
    print("cache model, lease only: \(findings)")
    #expect(findings.staleSets > 0, "\(findings)")
  }

  @Test("the floor without the lease makes stale sets")
  func floorOnly() async throws {
    var scripts = ModelScripts()
    scripts.set = try CacheModelTests.mutant(scripts.set, CacheModelTests.leaseCheck, "")
    let findings = try await CacheModelTests.findings(scripts, steps: 40_000, seed: 3)
    print("cache model, floor only: \(findings)")
    #expect(findings.staleSets > 0, "\(findings)")
  }

  @Test("an absent floor that means nothing makes stale sets")
  func noHighWaterMark() async throws {
    var scripts = ModelScripts()
    scripts.get = try CacheModelTests.mutant(
      scripts.get,
      "local floor = held[3] or s[3]",
      "local floor = held[3] or '0000000000000000'"
    )
    let findings = try await CacheModelTests.findings(scripts, steps: 20_000, seed: 4)
    print("cache model, no high-water mark: \(findings)")
    #expect(findings.staleSets > 0, "\(findings)")
  }

  @Test("an epoch that begins without the primary's position makes stale sets")
  func noPosition() async throws {
    var scripts = ModelScripts()
    scripts.beat = try CacheModelTests.mutant(
      scripts.beat,
      "if not s[3] or s[3] < ARGV[6] then redis.call('HSET', KEYS[1], 'high', ARGV[6]) end",
      "if not s[3] then redis.call('HSET', KEYS[1], 'high', '0000000000000000') end"
    )
    let findings = try await CacheModelTests.findings(scripts, steps: 20_000, seed: 5)
    print("cache model, no position: \(findings)")
    #expect(findings.staleSets > 0, "\(findings)")
  }

  @Test("a Redis that goes back to an old state without a new epoch gives stale answers")
  func noRunID() async throws {
    var scripts = ModelScripts()
    let other = "if not s[1] then return 'E' end"
    let line = "if not s[1] or s[2] ~= ARGV[1] then return 'E' end"
    scripts.get = try CacheModelTests.mutant(scripts.get, line, other)
    scripts.set = try CacheModelTests.mutant(scripts.set, line, other)
    scripts.beat = try CacheModelTests.mutant(
      scripts.beat,
      "local ends = s[2] ~= ARGV[1] or ARGV[7] == '1'",
      "local ends = ARGV[7] == '1'"
    )
    scripts.peekIgnores = .run
    let findings = try await CacheModelTests.findings(scripts, steps: 40_000, seed: 6)
    print("cache model, no run id: \(findings)")
    #expect(findings.staleHits > 0, "\(findings)")
  }

  @Test("a lookup that ignores the required position gives stale answers")
  func noRequired() async throws {
    var scripts = ModelScripts()
    scripts.get = try CacheModelTests.mutant(
      scripts.get,
      "if e[1] and e[1] >= ARGV[i + 1] then",
      "if e[1] then"
    )
    scripts.peekIgnores = .required
    let findings = try await CacheModelTests.findings(scripts, steps: 5_000, seed: 7)
    print("cache model, nothing required: \(findings)")
    #expect(findings.staleAnswers > 0, "\(findings)")
  }

  @Test("a plain read that does not look at the epoch misses invalidations that have arrived")
  func peekWithoutEpoch() async throws {
    var scripts = ModelScripts()
    scripts.peekIgnores = .epoch
    let findings = try await CacheModelTests.findings(scripts, steps: 40_000, seed: 8)
    print("cache model, plain reads without epoch: \(findings)")
    #expect(findings.staleHits > 0, "\(findings)")
  }
}
