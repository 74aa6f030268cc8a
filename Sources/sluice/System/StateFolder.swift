internal import EventLoop
internal import Glibc

// The folder of a file that must not be forgotten: made when it is missing, synced when it has a
// new name.

/// Folders of state files.
enum StateFolder {
  /// Makes the folders that a path needs; whether they are there, opening the file will tell.
  static func make(above file: String) {
    var path = file.hasPrefix("/") ? "/" : ""
    for part in file.split(separator: "/").dropLast() {
      path += part
      // The names of folders are as lasting as those of the files in them.
      if unsafe mkdir(path, 0o700) == 0 { try? sync(above: path) }
      path += "/"
    }
  }

  /// Brings the name of a new file to the disk: a synced file without a name is gone after a power
  /// cut.
  ///
  /// - Throws: why that is not possible.
  static func sync(above file: String) throws(CommandFailure) {
    let parts = file.split(separator: "/", omittingEmptySubsequences: false).dropLast()
    let folder = parts.isEmpty ? "." : parts == [""] ? "/" : parts.joined(separator: "/")
    let opened = unsafe open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard opened >= 0 else {
      throw CommandFailure("cannot open \(folder): \(SystemText.of(errno))", .inputOutput)
    }
    let descriptor = Descriptor(owning: opened)
    guard fsync(descriptor.number) == 0 else {
      throw CommandFailure("cannot sync \(folder): \(SystemText.of(errno))", .inputOutput)
    }
  }
}
