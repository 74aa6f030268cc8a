// What a command's end says to the shell, after sysexits.h.

/// The exit codes of all commands.
enum ExitStatus: Int32, Sendable {
  /// Done, and the answer is no, as of test and grep.
  case no = 1
  /// The arguments are wrong.
  case usage = 64
  /// Some of the input was not written, or the gateway refused a request because of what it says.
  case data = 65
  /// A file, an entity or an attribute does not exist.
  case notFound = 66
  /// The gateway, the database or the address cannot be had now.
  case unavailable = 69
  /// A fault of Sluice, or a system without threads, memory or descriptors.
  case `internal` = 70
  /// A file cannot be read or written.
  case inputOutput = 74
  /// The gateway does not allow it.
  case notAllowed = 77
  /// The configuration is wrong.
  case configuration = 78
}
