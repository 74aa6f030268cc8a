internal import Client
internal import Glibc
internal import Wire

// Who a producer is, kept over restarts in a file that only one process uses at a time.

/// The id of a producer, and the lock on the file it is kept in.
final class ProducerIdentity: Sendable {
  /// 16 bytes.
  let id: [UInt8]
  /// Holds the lock as long as it is open.
  private let descriptor: CInt?

  /// Takes the id that was given, else that of the file, else a new one, which goes into the file.
  ///
  /// - Parameters:
  ///   - hex: 32 hexadecimal digits, checked before.
  ///   - file: a path; missing folders are made.
  /// - Throws: why the file cannot be used, or that another process uses it.
  init(hex: String?, file: String?) throws(CommandFailure) {
    guard let file else {
      id = hex.flatMap(Hexadecimal.bytes) ?? RandomID.bytes()
      descriptor = nil
      return
    }
    StateFolder.make(above: file)
    let opened = unsafe open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard opened >= 0 else {
      throw CommandFailure("cannot open \(file): \(SystemText.of(errno))", .inputOutput)
    }
    guard flock(opened, LOCK_EX | LOCK_NB) == 0 else {
      close(opened)
      throw CommandFailure(
        "\(file) is used by another process; stop that, or name another file",
        .inputOutput
      )
    }
    let text = try InputFile.text(of: file)
    if text.isEmpty {
      let made = RandomID.bytes()
      try Self.write("producer \(Hexadecimal.text(made))\n", to: opened, file)
      id = made
    } else {
      let words = text.split(whereSeparator: \.isWhitespace)
      guard words.count >= 2, words[0] == "producer",
        let bytes = Hexadecimal.bytes(String(words[1])), bytes.count == 16
      else {
        throw CommandFailure(
          "\(file) is not the state of a producer; name another file",
          .inputOutput
        )
      }
      id = bytes
    }
    // At every start: an earlier one may have ended before it came to that.
    try StateFolder.sync(above: file)
    descriptor = opened
  }

  deinit {
    if let descriptor { close(descriptor) }
  }

  private static func write(
    _ text: String,
    to descriptor: CInt,
    _ name: String
  ) throws(CommandFailure) {
    let bytes = Array(text.utf8)
    let count = unsafe bytes.withUnsafeBytes {
      unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
    }
    // An id that is not on the disk could be forgotten, and its values written again as another's.
    guard count == bytes.count, fsync(descriptor) == 0 else {
      throw CommandFailure("cannot write \(name): \(SystemText.of(errno))", .inputOutput)
    }
  }
}
