// A Lua script that Redis keeps by the SHA-1 of its text.

/// One script; Redis itself says its digest when it is loaded.
struct RedisScript: Hashable, Sendable {
  /// For us.
  let name: String
  /// Lua 5.1, as EVAL takes it.
  let source: String
}
