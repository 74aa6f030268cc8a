internal import Glibc

// Learns the secret of a connection's cancel key, which libpq knows but has no function for.

/// Records libpq's protocol trace (PQtrace, since libpq 14) of the start of one connection in
/// memory.
///
/// The trace can hold what authentication exchanges, so it is wiped before it is freed and only the
/// line of BackendKeyData is ever read.
@safe
final class ProtocolTrace {
  /// What open_memstream keeps up to date; needs an address of its own.
  @safe
  private struct Memory {
    var text: UnsafeMutablePointer<CChar>?
    var count = 0
  }

  private let memory: UnsafeMutablePointer<Memory>
  private let stream: UnsafeMutablePointer<FILE>

  /// Begins to record; nil when there is no memory.
  ///
  /// `session` must end the trace before this is freed.
  init?(_ session: LibpqSession) {
    let memory = UnsafeMutablePointer<Memory>.allocate(capacity: 1)
    unsafe memory.initialize(to: Memory())
    guard let stream = unsafe open_memstream(&memory.pointee.text, &memory.pointee.count) else {
      unsafe memory.deallocate()
      return nil
    }
    unsafe self.memory = memory
    unsafe self.stream = stream
    unsafe session.trace(to: stream)
  }

  deinit {
    unsafe fclose(stream)
    if let text = unsafe memory.pointee.text {
      unsafe explicit_bzero(text, memory.pointee.count)
      unsafe free(text)
    }
    unsafe memory.deallocate()
  }

  /// The secret that came with the given backend id; nil when the trace does not show it.
  func secret(ofBackend backendID: Int32) -> Int32? {
    unsafe fflush(stream)
    guard let text = unsafe memory.pointee.text else { return nil }
    let bytes = unsafe UnsafeRawBufferPointer(start: text, count: memory.pointee.count)
    let lines = unsafe String(decoding: bytes, as: UTF8.self).split(separator: "\n")
    // One message a line: "B", length, name, fields, split by tabs and spaces.
    for line in lines.reversed() {
      let words = line.split { $0 == " " || $0 == "\t" }
      guard words.count == 5, words[2] == "BackendKeyData" else { continue }
      guard Int32(words[3]) == backendID else { return nil }
      return Int32(words[4])
    }
    return nil
  }
}
