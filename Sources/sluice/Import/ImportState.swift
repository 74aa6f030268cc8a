internal import EventLoop
internal import Formats
internal import Glibc
internal import Wire

// What an interrupted import needs to go on: its numbers, its time, and what it has sent.

/// The batches that an import has made, kept in a file beside its producer's id.
///
/// The same input makes the same batches with the same numbers, so the gateway's position says how
/// far an earlier run came, and the checksums here say that the input is still the same.
final class ImportState {
  /// The time of lines without one: that of the first run.
  let now: Timestamp
  private let path: String
  private let descriptor: Descriptor
  /// Checksums of the batches of earlier runs, with the number of their last value.
  private var earlier: [Batch] = []
  private var made = 0
  private(set) var sequence: UInt64 = 0

  private struct Batch: Equatable {
    var last: UInt64
    var checksum: UInt32
  }

  /// Bytes of an entry, in little-endian numbers.
  ///
  /// The last number in 8, the checksum of the columns in 4, the checksum of these 12 in 4. The
  /// first entry has the time as its number.
  private static let entryBytes = 16

  /// Opens the file of an earlier run or makes one.
  ///
  /// - Parameters:
  ///   - path: the state's file; the batches are beside it. The lock on it is held already.
  ///   - now: the time, if this is the first run.
  /// - Throws: why it cannot be used.
  init(beside path: String, now: Timestamp) throws(CommandFailure) {
    self.path = "\(path).batches"
    let opened = unsafe open(self.path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard opened >= 0 else {
      throw CommandFailure("cannot open \(self.path): \(SystemText.of(errno))", .inputOutput)
    }
    descriptor = Descriptor(owning: opened)
    let file = try InputFile(self.path)
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    var bytes: [UInt8] = []
    while case let count = try file.read(into: &buffer), count > 0 { bytes += buffer[..<count] }
    // What an interrupted write left at the end is no entry; its batch was not sent.
    var entries: [Batch] = []
    var rest = bytes[...]
    while let entry = Self.entry(rest) {
      entries.append(entry)
      rest = rest.dropFirst(Self.entryBytes)
    }
    guard ftruncate(opened, entries.count * Self.entryBytes) == 0,
      lseek(opened, 0, SEEK_END) >= 0
    else { throw CommandFailure("cannot use \(self.path): \(SystemText.of(errno))", .inputOutput) }
    if let first = entries.first {
      self.now = Timestamp(microseconds: Int64(bitPattern: first.last))
      earlier = Array(entries.dropFirst())
    } else {
      self.now = now
      try write(Batch(last: UInt64(bitPattern: now.microseconds), checksum: 0))
      // The time of lines without one must be the same after a power cut; lost batches are made
      // again.
      guard fsync(opened) == 0 else {
        throw CommandFailure("cannot sync \(self.path): \(SystemText.of(errno))", .inputOutput)
      }
      try StateFolder.sync(above: self.path)
    }
  }

  /// What to do with a batch.
  enum Decision: Equatable {
    /// The gateway has it.
    case skip
    case send(last: UInt64)
  }

  /// Numbers the next batch of the input.
  ///
  /// - Parameters:
  ///   - columns: as they go over the wire.
  ///   - count: of its values.
  ///   - durable: the gateway's position when this run began.
  /// - Returns: whether the gateway has it.
  /// - Throws: that this is not the batch that an earlier run made here.
  func next(
    _ columns: [UInt8],
    count: Int,
    durable: UInt64
  ) throws(CommandFailure) -> Decision {
    // Bytes of bytes: nothing is reinterpreted.
    let checksum = unsafe crc32c(columns.span.bytes)
    let first = sequence + 1
    sequence += UInt64(count)
    let batch = Batch(last: sequence, checksum: checksum)
    if made < earlier.count {
      guard earlier[made] == batch else { throw changed("values \(first) to \(sequence) differ") }
    } else {
      guard durable < first || !earlier.isEmpty else {
        throw CommandFailure(
          "the gateway has \(durable) values of this import, but \(path) does not know them;"
            + " begin again with another --state, or bring that file back",
          .data
        )
      }
      try write(batch)
    }
    made += 1
    guard durable < sequence else { return .skip }
    // Batches are durable as a whole.
    guard durable < first else { throw changed("the gateway's position lies within a batch") }
    return .send(last: sequence)
  }

  /// The input is over.
  ///
  /// - Throws: that an earlier run found more in it.
  func finish(durable: UInt64) throws(CommandFailure) {
    guard made >= earlier.count, sequence >= durable else {
      throw changed("it has \(sequence) values, and there were more")
    }
  }

  private func changed(_ what: String) -> CommandFailure {
    CommandFailure(
      "the input or the options are not those that this state was made with: \(what). Nothing of"
        + " the changed part was written; import the rest by itself, with another --state",
      .data
    )
  }

  private static func entry(_ bytes: ArraySlice<UInt8>) -> Batch? {
    guard bytes.count >= entryBytes else { return nil }
    func number(_ offset: Int, _ count: Int) -> UInt64 {
      bytes.dropFirst(offset).prefix(count).reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
    let batch = Batch(last: number(0, 8), checksum: UInt32(number(8, 4)))
    return Array(bytes.prefix(entryBytes)) == encoded(batch) ? batch : nil
  }

  private static func encoded(_ batch: Batch) -> [UInt8] {
    func little(_ value: UInt64, _ count: Int) -> [UInt8] {
      (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }
    let bytes = little(batch.last, 8) + little(UInt64(batch.checksum), 4)
    return bytes + little(UInt64(unsafe crc32c(bytes.span.bytes)), 4)
  }

  /// Before the batch is sent: whatever the gateway has, this file knows.
  private func write(_ batch: Batch) throws(CommandFailure) {
    let bytes = Self.encoded(batch)
    let count = unsafe bytes.withUnsafeBytes {
      unsafe Glibc.write(descriptor.number, $0.baseAddress, $0.count)
    }
    guard count == bytes.count else {
      throw CommandFailure("cannot write \(path): \(SystemText.of(errno))", .inputOutput)
    }
  }
}
