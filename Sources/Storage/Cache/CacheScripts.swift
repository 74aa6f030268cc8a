// What runs inside Redis: each script is one indivisible step.
//
// Keys, all in one slot of a cluster by their hash tag:
//   state    hash, never expires: epoch, run, high, claim. Without `epoch`, or with the run id of
//            another Redis process, there is no cache: whoever notices has a new epoch begun.
//   members  sorted set, never expires: live caches by the time until which they are believed.
//   entry    hash with a time to live, its name led by the epoch: v value, l proven LSN, f floor,
//            o owner of the lease, d its deadline.
//
// Positions are 16 lower-case hex digits and compared as text, because Lua's numbers are doubles.
// Time is Redis' own. Scripts that write after TIME need Redis 5 or newer.

enum CacheScripts {
  /// Answers lookups: HIT, LEASE or WAIT for each; the lease pins the floor it was given under.
  ///
  /// An answer is one text, as a list for each costs both sides more than all the rest: H, position
  /// and value; L, why and floor; W and why. Why is A for nothing stored, O for something too old.
  ///
  /// KEYS: state. ARGV: run, prefix, lease ms, then key, required, owner for each lookup.
  static let get = RedisScript(
    name: "get",
    source: """
      local s = redis.call('HMGET', KEYS[1], 'epoch', 'run', 'high')
      if not s[1] or s[2] ~= ARGV[1] then return 'E' end
      local answers, now = {}, nil
      for i = 4, #ARGV, 3 do
        local key = ARGV[2] .. s[1] .. ':' .. ARGV[i]
        local e = redis.call('HMGET', key, 'l', 'v')
        if e[1] and e[1] >= ARGV[i + 1] then
          answers[#answers + 1] = 'H' .. e[1] .. e[2]
        else
          if not now then
            local t = redis.call('TIME')
            now = t[1] * 1000 + math.floor(t[2] / 1000)
          end
          local why = e[1] and 'O' or 'A'
          local held = redis.call('HMGET', key, 'o', 'd', 'f')
          if held[1] and tonumber(held[2]) > now then
            answers[#answers + 1] = 'W' .. why
          else
            local floor = held[3] or s[3]
            redis.call('HSET', key, 'f', floor, 'o', ARGV[i + 2], 'd', now + ARGV[3])
            if not e[1] then redis.call('PEXPIRE', key, ARGV[3] * 2) end
            answers[#answers + 1] = 'L' .. why .. floor
          end
        end
      end
      return answers
      """
  )

  /// Stores what was read under a lease, or gives the lease back.
  ///
  /// KEYS: state. ARGV: run, prefix, key, owner, then LSN, value, time to live, 1 when the floor
  /// counts (a replica's read); only the first four to give back.
  static let set = RedisScript(
    name: "set",
    source: """
      local s = redis.call('HMGET', KEYS[1], 'epoch', 'run', 'high')
      if not s[1] or s[2] ~= ARGV[1] then return 'E' end
      local key = ARGV[2] .. s[1] .. ':' .. ARGV[3]
      local e = redis.call('HMGET', key, 'l', 'f', 'o', 'd')
      local t = redis.call('TIME')
      local now = t[1] * 1000 + math.floor(t[2] / 1000)
      if e[3] ~= ARGV[4] or tonumber(e[4]) <= now then return 'L' end
      redis.call('HDEL', key, 'o', 'd')
      if not ARGV[5] then return 'G' end
      if ARGV[8] == '1' and ARGV[5] < (e[2] or s[3]) then return 'F' end
      if e[1] and ARGV[5] < e[1] then return 'O' end
      redis.call('HSET', key, 'v', ARGV[6], 'l', ARGV[5])
      redis.call('PEXPIRE', key, ARGV[7])
      return 'S'
      """
  )

  /// Raises the high-water mark and the floors to a token, drops older values and all leases taken
  /// before it.
  ///
  /// The high-water mark rises also while there is no epoch, so that the next one begins above it.
  /// A value proven at or past the token holds the write already, and so does whatever is read
  /// under a lease taken after it was stored.
  ///
  /// KEYS: state. ARGV: prefix, token, ms to keep a floor, keys.
  static let invalidate = RedisScript(
    name: "invalidate",
    source: """
      local s = redis.call('HMGET', KEYS[1], 'epoch', 'high')
      if not s[2] or s[2] < ARGV[2] then redis.call('HSET', KEYS[1], 'high', ARGV[2]) end
      if not s[1] then return 0 end
      local dropped = 0
      for i = 4, #ARGV do
        local key = ARGV[1] .. s[1] .. ':' .. ARGV[i]
        local e = redis.call('HMGET', key, 'l', 'f')
        if (e[1] or e[2]) and (not e[1] or e[1] < ARGV[2]) then
          if not e[2] or e[2] < ARGV[2] then redis.call('HSET', key, 'f', ARGV[2]) end
          redis.call('HDEL', key, 'v', 'l', 'o', 'd')
          redis.call('PEXPIRE', key, ARGV[3])
          dropped = dropped + 1
        end
      end
      return dropped
      """
  )

  /// A sign of life of one cache, and the way into the epoch.
  ///
  /// An epoch ends when Redis is another process than it began in, when a member was not heard of
  /// in time, or when the caller owes it because an invalidation of its was lost. A new one begins
  /// in two steps: the first to notice leaves a claim, and only somebody who comes back with that
  /// claim and a position of the primary that was read after having got it begins. All
  /// invalidations that Redis may have forgotten lie below that position, and it becomes the
  /// high-water mark.
  ///
  /// KEYS: state, members. ARGV: run, member, ms until it is missed, new claim, held claim or
  /// empty, position, 1 when the caller owes a new epoch.
  static let beat = RedisScript(
    name: "beat",
    source: """
      local s = redis.call('HMGET', KEYS[1], 'epoch', 'run', 'high', 'claim')
      local t = redis.call('TIME')
      local now = t[1] * 1000 + math.floor(t[2] / 1000)
      local ends = s[2] ~= ARGV[1] or ARGV[7] == '1'
      for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now)) do
        redis.call('ZREM', KEYS[2], member)
        if member ~= ARGV[2] then ends = true end
      end
      redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[2])
      if s[1] and not ends then return {'J', s[1]} end
      if ends or not s[4] then
        redis.call('HDEL', KEYS[1], 'epoch')
        redis.call('HSET', KEYS[1], 'run', ARGV[1], 'claim', ARGV[4])
        return {'W', ARGV[4]}
      end
      if s[4] ~= ARGV[5] then return {'W', s[4]} end
      redis.call('HSET', KEYS[1], 'epoch', ARGV[5])
      redis.call('HDEL', KEYS[1], 'claim')
      if not s[3] or s[3] < ARGV[6] then redis.call('HSET', KEYS[1], 'high', ARGV[6]) end
      return {'J', ARGV[5]}
      """
  )

  /// All of them.
  static let all = [get, set, invalidate, beat]
}
