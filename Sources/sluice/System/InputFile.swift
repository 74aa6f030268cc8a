internal import Glibc

// A file that is read from the front to the end, in pieces, so that its size does not matter.

/// An open file, or standard input.
struct InputFile: ~Copyable {
  /// What users know it by.
  let name: String
  /// Its length, when it is a regular file.
  let size: Int64?
  private let descriptor: CInt

  /// Opens a file; `-` is standard input.
  ///
  /// - Throws: why it cannot be read.
  init(_ path: String) throws(CommandFailure) {
    let isStandardInput = path == "-"
    let opened = unsafe isStandardInput ? dup(0) : open(path, O_RDONLY | O_CLOEXEC)
    let name = isStandardInput ? "standard input" : path
    guard opened >= 0 else {
      let code = errno
      throw CommandFailure(
        "cannot open \(name): \(SystemText.of(code))",
        code == ENOENT ? .notFound : .inputOutput
      )
    }
    var status = stat()
    _ = unsafe fstat(opened, &status)
    let kind = status.st_mode & S_IFMT
    guard kind != S_IFDIR else {
      close(opened)
      throw CommandFailure("\(name) is a folder; name the files in it", .inputOutput)
    }
    descriptor = opened
    self.name = name
    // The files of /proc are regular and say 0.
    size = kind == S_IFREG && status.st_size > 0 ? Int64(status.st_size) : nil
  }

  /// The length of a file, or nil when that cannot be known before it is read.
  ///
  /// Other than regular files are not opened for it: a pipe would wait for somebody who writes, who
  /// would find it closed then.
  ///
  /// - Throws: why it cannot be read.
  static func size(of path: String) throws(CommandFailure) -> Int64? {
    var status = stat()
    if path != "-", unsafe stat(path, &status) == 0 {
      let kind = status.st_mode & S_IFMT
      guard kind == S_IFREG || kind == S_IFDIR else { return nil }
    }
    return try InputFile(path).size
  }

  deinit {
    close(descriptor)
  }

  /// Fills a buffer from its start with what comes next.
  ///
  /// - Returns: how many bytes; 0 at the end.
  /// - Throws: why the file cannot be read on.
  func read(into buffer: inout [UInt8]) throws(CommandFailure) -> Int {
    while true {
      let count = unsafe buffer.withUnsafeMutableBytes {
        unsafe Glibc.read(descriptor, $0.baseAddress, $0.count)
      }
      if count >= 0 { return count }
      let code = errno
      guard code == EINTR else {
        throw CommandFailure("cannot read \(name): \(SystemText.of(code))", .inputOutput)
      }
    }
  }

  /// The whole of a small file as text.
  ///
  /// - Throws: why it cannot be read.
  static func text(of path: String) throws(CommandFailure) -> String {
    let file = try InputFile(path)
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    var bytes: [UInt8] = []
    while true {
      let count = try file.read(into: &buffer)
      guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
      bytes += buffer[..<count]
    }
  }
}
