import Testing
import Wire

@testable import Client

/// A folder below /tmp for one test.
final class SpoolPlace {
  let path: String

  init() throws {
    path = "/tmp/sluice-spool-test-\(SpoolIdentity.hex(RandomID.bytes()))"
    try SpoolFile.makeFolder(path)
  }

  deinit {
    // Nothing depends on a folder of a test that stays behind.
    _ = try? Self.clear(path)
  }

  private static func clear(_ folder: String) throws {
    for name in try SpoolFile.names(in: folder) where name.hasPrefix("spool-") {
      try clear("\(folder)/\(name)")
    }
    for name in [".claim"] { try SpoolFile.remove("\(folder)/\(name)") }
    let names = try SpoolFile.names(in: folder)
    for name in names + [".lock", ".identity.new"] { try SpoolFile.remove("\(folder)/\(name)") }
    try SpoolFile.removeFolder(folder)
  }

  var segments: [String] {
    get throws {
      try SpoolFile.names(in: path).filter { $0.hasPrefix("segment-") }.map { "\(path)/\($0)" }
    }
  }

  func content(_ file: String) throws -> [UInt8] {
    let file = try SpoolFile(file)
    return try file.read(try file.byteCount, at: 0)
  }

  func replace(_ path: String, with bytes: [UInt8]) throws {
    let file = try SpoolFile(path)
    try file.truncate(to: 0)
    try file.write(bytes, at: 0)
  }
}

@Suite("batches in segment files")
struct SpoolStoreTests {
  private let id = [UInt8](1...16)
  private let place: SpoolPlace

  init() throws {
    place = try SpoolPlace()
  }

  private func make(bytesMax: Int = 1 << 20, segment: Int = 1 << 18) throws -> SpoolStore {
    try SpoolStore(
      making: place.path,
      producerID: id,
      bytesMax: bytesMax,
      segmentBytesMax: segment
    )
  }

  private func reopen(
    bytesMax: Int = 1 << 20,
    segment: Int = 1 << 18,
    lostPages: Bool = false
  ) throws -> SpoolStore {
    try SpoolStore(
      opening: place.path,
      producerID: id,
      bytesMax: bytesMax,
      segmentBytesMax: segment,
      mayHaveLostPages: lostPages
    )
  }

  @discardableResult
  private func add(_ store: inout SpoolStore, _ count: Int) throws -> PendingBatch {
    let byte = UInt8(truncatingIfNeeded: store.last &+ 1)
    let columns = [UInt8](repeating: byte, count: count * 3)
    return try store.append(columns: columns, count: UInt32(count), isTaken: false).batch
  }

  private func rest(_ store: inout SpoolStore) throws -> [PendingBatch] {
    var all: [PendingBatch] = []
    while let batch = try store.next(fits: { _ in true }) { all.append(batch) }
    return all
  }

  private func failure(_ body: () throws -> Void) -> ClientError? {
    do {
      try body()
      return nil
    } catch {
      return error as? ClientError
    }
  }

  private func isDamage(_ error: ClientError?) -> Bool {
    guard case .status(let status) = error else { return false }
    return status.reason == "SPOOL_DAMAGED"
  }

  @Test("what was appended is read again after a restart: same bytes, same numbers")
  func reads() throws {
    var store = try make()
    let batches = try [3, 1, 40].map { try add(&store, $0) }
    #expect(batches.map(\.first) == [1, 4, 5])
    #expect(try rest(&store) == batches)
    #expect(try rest(&store).isEmpty)
    var again = try reopen()
    #expect(again.last == 44)
    #expect(again.cutBytes == 0)
    #expect(try rest(&again) == batches)
    #expect(try add(&again, 1).first == 45)
  }

  @Test("a batch that is taken when it is written is not read, but only in its turn")
  func taken() throws {
    var store = try make()
    let first = try store.append(columns: [1], count: 1, isTaken: true)
    #expect(first.isTaken)
    #expect(try store.append(columns: [2], count: 1, isTaken: false).isTaken == false)
    #expect(try store.append(columns: [3], count: 1, isTaken: true).isTaken == false)
    #expect(try rest(&store).map(\.first) == [2, 3])
    #expect(try store.append(columns: [4], count: 1, isTaken: true).isTaken)
    #expect(try rest(&store).isEmpty)
  }

  @Test("a last record that is cut at any byte goes, all before it stay")
  func tornTail() throws {
    var store = try make()
    let whole = try [5, 7].map { try add(&store, $0) }
    let path = try #require(place.segments.first)
    let kept = try place.content(path).count
    try add(&store, 6)
    let bytes = try place.content(path)
    for size in kept..<bytes.count {
      try place.replace(path, with: Array(bytes[..<size]))
      var again = try reopen()
      #expect(again.cutBytes == size - kept)
      #expect(again.last == 12)
      #expect(try rest(&again) == whole)
      // The next batch gets the numbers of the one that was never sent.
      #expect(try add(&again, 2).first == 13)
      var third = try reopen()
      #expect(try rest(&third).map(\.first) == [1, 6, 13])
    }
  }

  @Test("a last record with any byte changed is cut, and that is counted")
  func flippedTail() throws {
    var store = try make()
    try add(&store, 5)
    let path = try #require(place.segments.first)
    let kept = try place.content(path).count
    try add(&store, 2)
    let bytes = try place.content(path)
    for index in kept..<bytes.count {
      var changed = bytes
      changed[index] ^= 0x10
      try place.replace(path, with: changed)
      let again = try reopen()
      #expect(again.cutBytes == bytes.count - kept, "byte \(index)")
      #expect(again.last == 5)
    }
  }

  @Test("a changed byte before the last record is told, never skipped")
  func damagedMiddle() throws {
    var store = try make()
    try [5, 2, 3].forEach { try add(&store, $0) }
    let path = try #require(place.segments.first)
    let bytes = try place.content(path)
    let lastRecord = bytes.count - 24 - 9
    for index in 0..<lastRecord {
      var changed = bytes
      changed[index] ^= 0x10
      try place.replace(path, with: changed)
      #expect(isDamage(failure { _ = try reopen() }), "byte \(index)")
      #expect(try place.content(path) == changed, "evidence stays")
    }
  }

  @Test("after a restart of the system what was not synced may be gone in any order")
  func lostPages() throws {
    var store = try make()
    try [5, 2, 3].forEach { try add(&store, $0) }
    let path = try #require(place.segments.first)
    var bytes = try place.content(path)
    let second = 44 + 24 + 15
    for index in second..<second + 24 { bytes[index] = 0 }
    try place.replace(path, with: bytes)
    let again = try reopen(lostPages: true)
    #expect(again.last == 5)
    #expect(again.cutBytes == bytes.count - second)
  }

  @Test("an older segment must be whole, also after a restart of the system")
  func olderSegments() throws {
    var store = try make(segment: 1 << 10)
    for _ in 0..<20 { try add(&store, 40) }
    let segments = try place.segments
    #expect(segments.count > 2)
    let bytes = try place.content(segments[1])
    try place.replace(segments[1], with: Array(bytes.dropLast()))
    for lostPages in [false, true] {
      #expect(isDamage(failure { _ = try reopen(segment: 1 << 10, lostPages: lostPages) }))
    }
    try SpoolFile.remove(segments[1])
    #expect(isDamage(failure { _ = try reopen(segment: 1 << 10) }), "a segment is missing")
  }

  @Test("a segment that was being made when the process died is no damage")
  func unfinishedSegment() throws {
    var store = try make()
    try add(&store, 5)
    for size in [0, 1, 43] {
      let file = try SpoolFile("\(place.path)/segment-00000000000000000006", isNew: true)
      try file.write([UInt8](repeating: 0, count: size), at: 0)
      let again = try reopen()
      #expect(again.last == 5)
    }
  }

  @Test("segments go when all in them is durable, and the numbers stay")
  func deletes() throws {
    var store = try make(segment: 1 << 10)
    for _ in 0..<20 { try add(&store, 40) }
    let before = try place.segments.count
    try store.release(through: 40 * 10)
    #expect(try place.segments.count < before)
    var again = try reopen(segment: 1 << 10)
    let first = try #require(try again.next(fits: { _ in true }))
    #expect(first.first <= 401, "what is not durable is kept")
    try store.release(through: 800)
    #expect(try place.segments.count == 1)
    #expect(store.isEmpty)
    let third = try reopen(segment: 1 << 10)
    #expect(third.last == 800, "the numbers go on")
  }

  @Test("a full spool refuses, changes nothing, and takes again what fits after a release")
  func full() throws {
    var store = try make(bytesMax: 4 << 10, segment: 1 << 10)
    var error: ClientError?
    while error == nil { error = failure { try add(&store, 40) } }
    #expect(error?.isSpoolFull == true)
    let last = store.last
    let bytes = store.bytes
    #expect(bytes <= 4 << 10)
    #expect(failure { try add(&store, 40) }?.isSpoolFull == true)
    #expect(store.last == last && store.bytes == bytes)
    #expect(try place.segments.map { try place.content($0).count }.reduce(0, +) == bytes)
    try store.release(through: last)
    #expect(try add(&store, 40).first == last + 1)
    #expect(failure { try add(&store, 3_000) }?.isSpoolFull == true, "never more than all")
  }

  @Test("numbers that only the gateway knows are left out, for ever")
  func advances() throws {
    var store = try make()
    try add(&store, 5)
    try store.advance(past: 9)
    #expect(store.last == 9)
    #expect(try add(&store, 1).first == 10)
    var again = try reopen()
    #expect(again.last == 10)
    #expect(try rest(&again).map(\.first) == [10])
  }

  @Test("another producer's segment is refused")
  func foreign() throws {
    _ = try make()
    let error = failure {
      _ = try SpoolStore(
        opening: place.path,
        producerID: [UInt8](repeating: 9, count: 16),
        bytesMax: 1 << 20,
        segmentBytesMax: 1 << 10
      )
    }
    #expect(isDamage(error))
  }

  @Test("crashes, releases and a full spool at random lose and repeat nothing")
  func walk() throws {
    for round in 0..<30 {
      let folder = try SpoolPlace()
      func open(_ isNew: Bool) throws -> SpoolStore {
        if isNew {
          return try SpoolStore(
            making: folder.path,
            producerID: id,
            bytesMax: 6 << 10,
            segmentBytesMax: 1 << 10
          )
        }
        return try SpoolStore(
          opening: folder.path,
          producerID: id,
          bytesMax: 6 << 10,
          segmentBytesMax: 1 << 10
        )
      }
      var store = try open(true)
      // The model: what was accepted, up to where it is durable, what was read in this life.
      var kept: [PendingBatch] = []
      var last: UInt64 = 0
      var durable: UInt64 = 0
      var read: UInt64 = 0
      for step in 0..<150 {
        let place = "round \(round), step \(step)"
        switch Int.random(in: 0..<10) {
        case 0..<5:
          let count = Int.random(in: 1...60)
          let takes = Bool.random()
          do throws(ClientError) {
            let columns = (0..<count * 3).map { _ in UInt8.random(in: 0...255) }
            let (batch, isTaken) = try store.append(
              columns: columns,
              count: UInt32(count),
              isTaken: takes
            )
            #expect(batch.first == last + 1, "\(place)")
            if isTaken {
              #expect(takes && kept.allSatisfy { $0.last <= max(read, durable) }, "\(place)")
              read = batch.last
            }
            last = batch.last
            kept.append(batch)
          } catch {
            #expect(error.isSpoolFull, "\(place): \(error)")
          }
        case 5, 6:
          while let batch = try store.next(fits: { _ in Int.random(in: 0..<4) > 0 }) {
            #expect(batch == kept.first { $0.last > max(read, durable) }, "\(place)")
            read = batch.last
          }
        case 7, 8:
          durable = UInt64.random(in: durable...last)
          try store.release(through: durable)
          kept.removeAll { $0.last <= durable }
        default:
          try crash(in: try #require(try folder.segments.last))
          store = try open(false)
          #expect(store.last == last, "\(place)")
          // The gateway says at the opening of a session what is durable.
          try store.release(through: durable)
          read = 0
        }
        #expect(store.bytes <= 6 << 10, "\(place)")
      }
    }
  }

  /// A process that dies while it writes leaves a part of a record.
  private func crash(in path: String) throws {
    let file = try SpoolFile(path)
    let torn = PendingBatch(first: 1 << 40, count: 9, checksum: 1, columns: [1, 2, 3, 4])
    let bytes = SpoolRecord(torn).encoded(with: torn.columns)
    let part = Array(bytes.prefix(Int.random(in: 0..<bytes.count)))
    try file.write(part, at: try file.byteCount)
  }
}
