internal import ArgumentParser
internal import Client
internal import EventLoop
internal import Formats
internal import Glibc
internal import Testing
internal import Wire

@testable internal import sluice

// The pieces of an import that need no gateway.

@Suite("Import")
struct ImportTests {
  @Test(
    "the format follows from the name, else from the first line",
    arguments: [
      ("a.csv", "x y=1", InputFormat.csv), ("a.LP", "a,b", .lineProtocol),
      ("a", "cpu,host=a idle=1 5\n", .lineProtocol), ("a", "# c\ncpu idle=1", .lineProtocol),
      ("a", "time,host,value\n", .csv), ("-", "time,\"a=b\"\n", .csv), ("-", "", .csv),
    ]
  )
  func format(name: String, start: String, expected: InputFormat) {
    #expect(ImportPlan.guess(name, Array(start.utf8)[...]) == expected)
  }

  @Test("the size of a pipe is not known, and it is not opened for it")
  func sizes() throws {
    let folder = "/tmp/sluice-sizes-\(RandomID.bytes().map { String($0) }.joined())"
    let isMade = unsafe mkdir(folder, 0o700) == 0 && mkfifo(folder + "/pipe", 0o600) == 0
    #expect(isMade)
    defer {
      _ = unsafe unlink(folder + "/pipe")
      _ = unsafe rmdir(folder)
    }
    // Opening it would wait for a writer.
    #expect(try InputFile.size(of: folder + "/pipe") == nil)
    #expect(throws: CommandFailure.self) { try InputFile.size(of: folder) }
    #expect(throws: CommandFailure.self) { try InputFile.size(of: folder + "/none") }
  }

  @Test("what is to come follows from what was parsed, and is not said before")
  func progress() {
    var progress = ImportProgress(isShown: false)
    progress.add(fileSize: 600)
    #expect(progress.total == nil)
    progress.note(bytes: 100, values: 0)
    #expect(progress.total == nil)
    progress.note(bytes: 200, values: 50)
    #expect(progress.total == 150)
    progress.note(bytes: 600, values: 160)
    #expect(progress.total == 160)
    progress.add(fileSize: nil)
    #expect(progress.total == nil)
  }

  @Test("a compressed input is refused with what to do")
  func compressed() throws {
    func message(_ arguments: [String]) throws -> String? {
      let plan = try ImportPlan(try ImportCommand.parse(arguments))
      let failure = #expect(throws: CommandFailure.self) {
        _ = try plan.importer(for: arguments[0], start: [0x1F, 0x8B, 8])
      }
      return failure?.message
    }
    #expect(
      try message(["a.csv.gz"])
        == "a.csv.gz is compressed; use: zcat a.csv.gz | sluice import - --format csv"
    )
    #expect(try message(["m.lp.gz"])?.hasSuffix("--format line-protocol") == true)
    #expect(try message(["-"])?.hasPrefix("standard input is compressed; use: zcat FILE") == true)
  }

  @Test("tabs part the fields of .tsv, unless something else is said")
  func tabs() throws {
    func count(_ arguments: [String], _ text: String) throws -> Int {
      let plan = try ImportPlan(try ImportCommand.parse(arguments + ["--entity", "e"]))
      let bytes = Array(text.utf8)
      var importer = try plan.importer(for: arguments[0], start: bytes[...])
      importer.feed(bytes[...])
      importer.finish()
      var count = 0
      while let record = try importer.next() { count += record.points.count }
      return count
    }
    #expect(try count(["a.TSV"], "time\tx\ty\n2014-02-14\t1\t2\n") == 2)
    #expect(try count(["a.tsv", "--delimiter", ";"], "time;x;y\n2014-02-14;1;2\n") == 2)
    #expect(try count(["a.csv"], "time,x\n2014-02-14,1\n") == 1)
  }

  @Test("lines are in the order of sequence numbers: type by type")
  func lines() {
    var packer = BatchPacker()
    let values: [PointValue] = [
      .label("a"), .number(1), .flag(true), .integer(2), .document("{}"), .number(3),
    ]
    for (index, value) in values.enumerated() {
      packer.append(
        value,
        entityID: 1,
        attributeID: 2,
        time: Timestamp(microseconds: 0),
        line: SourceLine(file: 0, line: index)
      )
    }
    let (columns, lines) = packer.take()
    #expect(columns.count == 6)
    #expect(lines.map(\.line) == [1, 5, 3, 2, 0, 4])
    #expect(packer.isEmpty)
  }

  @Test("a batch is closed by count and by size, but takes any first value")
  func limits() {
    var packer = BatchPacker()
    func add(_ value: PointValue) {
      packer.append(
        value,
        entityID: 1,
        attributeID: 2,
        time: Timestamp(microseconds: 0),
        line: SourceLine(file: 0, line: 1)
      )
    }
    #expect(packer.hasRoom(for: .label(String(repeating: "x", count: 1 << 20))))
    for _ in 0..<BatchPacker.valuesMax {
      #expect(packer.hasRoom(for: .number(1)))
      add(.number(1))
    }
    #expect(!packer.hasRoom(for: .number(1)))
    #expect(packer.columns.encodedByteCount <= BatchPacker.bytesMax)
    _ = packer.take()
    add(.label(String(repeating: "x", count: 30_000)))
    #expect(!packer.hasRoom(for: .label(String(repeating: "x", count: 4_000))))
  }

  @Test("percentiles are measured values")
  func latencies() {
    var log = LatencyLog()
    #expect(log.summary.count == 0 && log.summary.max == 0)
    for latency in stride(from: 100.0, through: 1, by: -1) { log.append(latency) }
    #expect(log.summary.median == 50)
    #expect(log.summary.percentile95 == 95)
    #expect(log.summary.max == 100)
    for _ in 0..<100_000 { log.append(2) }
    #expect(log.summary.max == 100 && log.summary.median == 2)
    #expect(log.summary.count == 65_536)
  }

  @Test("hexadecimal text goes both ways")
  func hexadecimal() {
    #expect(Hexadecimal.text([0, 10, 255]) == "000aff")
    #expect(Hexadecimal.bytes("000aFF") == [0, 10, 255])
    for text in ["", "0", "0g", "é0"] { #expect(Hexadecimal.bytes(text) == nil) }
  }

  @Test("rows of all types are merged into the order of time")
  func rows() {
    var columns = ColumnsBuilder()
    columns.appendNumber(1.5, entityID: 1, attributeID: 1, observedAtMicroseconds: 30)
    columns.appendInteger(.min, entityID: 1, attributeID: 2, observedAtMicroseconds: 10)
    columns.appendFlag(true, entityID: 1, attributeID: 3, observedAtMicroseconds: 20)
    columns.appendLabel("a", entityID: 1, attributeID: 4, observedAtMicroseconds: 20)
    let rows = HistoryRow.rows(of: columns, newestFirst: false)
    #expect(rows.map(\.value) == [.integer(.min), .flag(true), .label("a"), .number(1.5)])
    let reversed = HistoryRow.rows(of: columns, newestFirst: true)
    #expect(reversed.map(\.attributeID) == [1, 4, 3, 2])
  }
}
