import Glibc

// Starts programs and waits for them by the system's own calls: Foundation's Process misses the end
// of a child now and then when several are started at once, and then waits for ever.

/// A child with its three streams in files.
enum Spawn {
  /// Starts a program.
  ///
  /// - Parameters:
  ///   - path: the program; without a slash it is searched for in PATH.
  ///   - arguments: without the program's own name.
  ///   - environment: all of it.
  ///   - input: file that is read as standard input.
  ///   - output: file that is made or emptied for standard output.
  ///   - errors: the same for standard error.
  /// - Returns: the child's pid; wait for it.
  /// - Throws: when there is no such program.
  static func start(
    _ path: String,
    _ arguments: [String],
    environment: [String: String],
    input: String,
    output: String,
    errors: String
  ) throws -> pid_t {
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    let made = O_WRONLY | O_CREAT | O_TRUNC
    unsafe posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0)
    unsafe posix_spawn_file_actions_addopen(&actions, 1, output, made, 0o600)
    unsafe posix_spawn_file_actions_addopen(&actions, 2, errors, made, 0o600)
    // Threads of a pool block signals; a child must not inherit that.
    var attributes = posix_spawnattr_t()
    var nothing = sigset_t()
    unsafe sigemptyset(&nothing)
    unsafe posix_spawnattr_init(&attributes)
    defer { unsafe posix_spawnattr_destroy(&attributes) }
    unsafe posix_spawnattr_setsigmask(&attributes, &nothing)
    unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    let words = CStrings([path] + arguments)
    let settings = CStrings(environment.map { "\($0)=\($1)" })
    var pid: pid_t = 0
    let code = unsafe posix_spawnp(
      &pid,
      path,
      &actions,
      &attributes,
      words.pointers,
      settings.pointers
    )
    guard code == 0 else { throw HarnessError("\(path) cannot be started: error \(code)") }
    return pid
  }

  /// Waits, on the calling thread, until a child has ended.
  ///
  /// - Returns: its exit code, or the negative signal that ended it.
  static func wait(_ pid: pid_t) -> Int32 {
    var status: Int32 = 0
    while unsafe waitpid(pid, &status, 0) < 0 {
      precondition(errno == EINTR, "a child of ours that nobody else waits for")
    }
    let signal = status & 0x7f
    return signal == 0 ? (status >> 8) & 0xff : -signal
  }
}

/// A NULL-terminated array of C strings that frees them.
@safe
private final class CStrings {
  let pointers: [UnsafeMutablePointer<CChar>?]

  init(_ strings: [String]) {
    unsafe pointers = unsafe strings.map { unsafe strdup($0) } + [nil]
  }

  deinit {
    unsafe pointers.forEach { unsafe free($0) }
  }
}
