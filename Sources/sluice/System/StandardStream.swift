internal import Formats
internal import Glibc

// Standard output and standard error, unbuffered, and what kind of place they lead to.

/// One of the two streams a command writes to.
enum StandardStream: CInt, Sendable {
  case output = 1
  case error = 2

  /// Writes all of a text.
  ///
  /// - Throws: what went wrong (disk full); a closed pipe ends the program by SIGPIPE, as it
  ///   should.
  func write(_ text: String) throws(CommandFailure) {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let count = unsafe bytes.withUnsafeBytes {
        unsafe Glibc.write(rawValue, $0.baseAddress, $0.count)
      }
      if count >= 0 {
        bytes = bytes.dropFirst(count)
      } else if errno != EINTR {
        throw CommandFailure("cannot write the output: \(SystemText.of(errno))", .inputOutput)
      }
    }
  }

  /// Writes a text for people, whose loss must not stop the work.
  func note(_ text: String) {
    do throws(CommandFailure) {
      try write(text)
    } catch {
      // Nobody is listening, and there is no other place to say so.
    }
  }

  /// Whether a person sees it.
  var isTerminal: Bool { isatty(rawValue) == 1 }

  /// Columns of the terminal; 80 when it does not say.
  var width: Int {
    var size = winsize()
    let code = unsafe ioctl(rawValue, UInt(TIOCGWINSZ), &size)
    return code == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
  }

  /// Whether the locale promises no more than ASCII.
  static var isAscii: Bool {
    let environment = Environment.variables
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].compactMap { environment[$0] }.first { !$0.isEmpty }
    return locale == "C" || locale == "POSIX" || environment["TERM"] == "dumb"
  }
}

/// The system's words for its error codes.
enum SystemText {
  /// "No such file or directory" for ENOENT.
  static func of(_ code: CInt) -> String {
    guard let text = unsafe strerror(code) else { return "error \(code)" }
    return unsafe String(cString: text)
  }
}

/// A line that is drawn again and again on standard error, when that is a terminal.
struct TransientLine {
  private let isShown: Bool
  private var isEmpty = true

  /// - Parameter isWanted: yes or no; nil when it shall depend on the terminal.
  init(isWanted: Bool? = nil) {
    isShown = isWanted ?? StandardStream.error.isTerminal
  }

  /// Columns that a line may have.
  var width: Int { max(20, StandardStream.error.width - 1) }

  /// Draws the line over the one before.
  mutating func show(_ text: String) {
    guard isShown else { return }
    isEmpty = false
    StandardStream.error.note("\r\u{1B}[K" + text)
  }

  /// Takes the line away.
  mutating func clear() {
    guard isShown, !isEmpty else { return }
    isEmpty = true
    StandardStream.error.note("\r\u{1B}[K")
  }

  /// Lets a last line stay.
  mutating func finish(_ text: String) {
    guard isShown else { return }
    isEmpty = true
    StandardStream.error.note("\r\u{1B}[K" + text + "\n")
  }
}
