internal import EventLoop
internal import Glibc

// The one door of the spool to the file system.

/// An open file, closed with its last owner; a sync on another thread is such an owner.
final class SpoolFile: Sendable {
  let path: String
  private let descriptor: Descriptor

  /// Opens a file; one that is new must not exist and is made.
  ///
  /// - Throws: `ClientError`.
  init(_ path: String, isNew: Bool = false) throws(ClientError) {
    let flags = O_RDWR | O_CLOEXEC | (isNew ? O_CREAT | O_EXCL : 0)
    let number = try SpoolFile.check("open", path) { unsafe Int(open(path, flags, 0o600)) }
    self.path = path
    descriptor = Descriptor(owning: CInt(number))
  }

  /// Opens a lock file, made if need be, and locks it; nil when another process has locked it.
  ///
  /// - Throws: `ClientError`.
  static func lock(_ path: String, waits: Bool = false) throws(ClientError) -> SpoolFile? {
    let number = try check("open", path) {
      unsafe Int(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600))
    }
    let file = SpoolFile(path, Descriptor(owning: CInt(number)))
    let operation = LOCK_EX | (waits ? 0 : LOCK_NB)
    let result = try check("flock", path, tolerating: EWOULDBLOCK) {
      Int(flock(file.descriptor.number, operation))
    }
    return result < 0 ? nil : file
  }

  private init(_ path: String, _ descriptor: consuming Descriptor) {
    self.path = path
    self.descriptor = descriptor
  }

  var byteCount: Int {
    get throws(ClientError) {
      var status = stat()
      try SpoolFile.check("fstat", path) { unsafe Int(fstat(descriptor.number, &status)) }
      return Int(status.st_size)
    }
  }

  /// Bytes from `offset`, fewer at the end of the file.
  ///
  /// - Throws: `ClientError`.
  func read(_ count: Int, at offset: Int) throws(ClientError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      let result = try SpoolFile.check("pread", path) {
        unsafe bytes.withUnsafeMutableBytes { buffer in
          let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
          return unsafe pread(descriptor.number, rest.baseAddress, rest.count, offset + done)
        }
      }
      guard result > 0 else { break }
      done += result
    }
    bytes.removeLast(count - done)
    return bytes
  }

  /// Writes all bytes at `offset`.
  ///
  /// - Throws: `ClientError`; some of the bytes may be written then.
  func write(_ bytes: [UInt8], at offset: Int) throws(ClientError) {
    var done = 0
    while done < bytes.count {
      done += try SpoolFile.check("pwrite", path) {
        unsafe bytes.withUnsafeBytes { buffer in
          let rest = unsafe UnsafeRawBufferPointer(rebasing: buffer[done...])
          return unsafe pwrite(descriptor.number, rest.baseAddress, rest.count, offset + done)
        }
      }
    }
  }

  /// Cuts the file.
  ///
  /// - Throws: `ClientError`.
  func truncate(to byteCount: Int) throws(ClientError) {
    try SpoolFile.check("ftruncate", path) { Int(ftruncate(descriptor.number, byteCount)) }
  }

  /// Brings content and length to the disk.
  ///
  /// - Throws: `ClientError`.
  func sync() throws(ClientError) {
    try SpoolFile.check("fdatasync", path) { Int(fdatasync(descriptor.number)) }
  }

  // MARK: Names

  /// Makes a folder and those above it, unless it is there.
  ///
  /// - Throws: `ClientError`.
  static func makeFolder(_ path: String) throws(ClientError) {
    var above = path.hasPrefix("/") ? "/" : "./"
    for part in path.split(separator: "/") {
      let made = above + part
      if !exists(made) {
        try check("mkdir", made, tolerating: EEXIST) { unsafe Int(mkdir(made, 0o700)) }
        // Its name must outlive a power cut as what is in it does.
        try syncFolder(above)
      }
      above = made + "/"
    }
  }

  /// Names in a folder, sorted, without those that begin with a dot.
  ///
  /// - Throws: `ClientError`.
  static func names(in folder: String) throws(ClientError) -> [String] {
    guard let stream = unsafe opendir(folder) else {
      throw .spool(folder, SystemError(call: "opendir", code: errno))
    }
    defer { _ = unsafe closedir(stream) }
    var names: [String] = []
    while let entry = unsafe readdir(stream) {
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        unsafe String(cString: UnsafeRawPointer(pointer).assumingMemoryBound(to: CChar.self))
      }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return names.sorted()
  }

  static func exists(_ path: String) -> Bool {
    unsafe access(path, F_OK) == 0
  }

  /// Removes a file; one that is gone already is no error.
  ///
  /// - Throws: `ClientError`.
  static func remove(_ path: String) throws(ClientError) {
    try check("unlink", path, tolerating: ENOENT) { unsafe Int(unlink(path)) }
  }

  /// Removes an empty folder.
  ///
  /// - Throws: `ClientError`.
  static func removeFolder(_ path: String) throws(ClientError) {
    try check("rmdir", path) { unsafe Int(rmdir(path)) }
  }

  /// Brings the names in a folder to the disk.
  ///
  /// - Throws: `ClientError`.
  static func syncFolder(_ path: String) throws(ClientError) {
    let number = try check("open", path) {
      unsafe Int(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC))
    }
    let folder = Descriptor(owning: CInt(number))
    try check("fsync", path) { Int(fsync(folder.number)) }
  }

  /// Replaces a file so that either the old or the new content is there, also after a power cut.
  ///
  /// - Throws: `ClientError`.
  static func replace(_ name: String, in folder: String, with bytes: [UInt8]) throws(ClientError) {
    let temporary = "\(folder)/.\(name).new"
    try remove(temporary)
    let file = try SpoolFile(temporary, isNew: true)
    try file.write(bytes, at: 0)
    try file.sync()
    try check("rename", folder) { unsafe Int(rename(temporary, "\(folder)/\(name)")) }
    try syncFolder(folder)
  }

  /// Stands for a boot that the system does not tell: it is the same as no other.
  static let unknownBoot = "unknown"

  /// Identifies the run of the system's kernel: another one means that what was not synced may be
  /// gone.
  static var bootID: String {
    do throws(ClientError) {
      let path = "/proc/sys/kernel/random/boot_id"
      let number = try check("open", path) { unsafe Int(open(path, O_RDONLY | O_CLOEXEC)) }
      let descriptor = Descriptor(owning: CInt(number))
      var bytes = [UInt8](repeating: 0, count: 36)
      let count = try check("read", path) {
        unsafe bytes.withUnsafeMutableBytes {
          unsafe Glibc.read(descriptor.number, $0.baseAddress, $0.count)
        }
      }
      return String(decoding: bytes[..<count], as: UTF8.self)
    } catch {
      return unknownBoot
    }
  }

  /// A call's result; negative only for the code that the caller tolerates.
  @discardableResult
  private static func check(
    _ call: String,
    _ path: String,
    tolerating tolerated: CInt = 0,
    _ body: () -> Int
  ) throws(ClientError) -> Int {
    while true {
      let result = body()
      guard result < 0 else { return result }
      let code = errno
      if code == tolerated { return result }
      guard code == EINTR else { throw .spool(path, SystemError(call: call, code: code)) }
    }
  }
}

extension SystemError {
  /// The disk, or the share of it that this user has, is full.
  var isOutOfSpace: Bool { code == ENOSPC || code == EDQUOT }
}
