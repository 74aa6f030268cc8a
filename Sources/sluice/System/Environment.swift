internal import EventLoop
internal import Formats
internal import Glibc

// What the system says about this process and this host.

/// The process's surroundings.
enum Environment {
  /// The variables that the process was started with.
  ///
  /// Read from the kernel: the C library's `environ` may be changed while it is read.
  static var variables: [String: String] {
    guard let text = content("/proc/self/environ") else { return [:] }
    var variables: [String: String] = [:]
    for entry in text.split(separator: "\0") {
      guard let equals = entry.firstIndex(of: "=") else { continue }
      variables[String(entry[..<equals])] = String(entry[entry.index(after: equals)...])
    }
    return variables
  }

  /// The name of this host.
  static var hostName: String {
    let name = content("/proc/sys/kernel/hostname")?.filter { !$0.isWhitespace } ?? ""
    return name.isEmpty ? "localhost" : name
  }

  /// Processors that this process may run on.
  static var processorCount: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

  /// The time on the wall.
  static var now: Timestamp { Timestamp(microseconds: WallClock.nowUnixMicroseconds()) }

  /// The text of a file of /proc, nil when it cannot be read.
  static func content(_ path: String) -> String? {
    do throws(CommandFailure) {
      return try InputFile.text(of: path)
    } catch {
      return nil
    }
  }
}
