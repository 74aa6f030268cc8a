internal import Formats
internal import Wire

// What an import has done, for people and for programs.

/// The sum of an import.
struct ImportReport: Sendable {
  let files: [String]
  var bytesRead: Int64 = 0
  var recordCount = 0
  var readCount = 0
  var batchCount = 0
  /// Values that an earlier run has written.
  var earlierCount: UInt64 = 0
  var seconds = 0.0
  /// What could not be read.
  var skippedCount = 0
  var skipped: [InputProblem] = []
  /// What the gateway said at the end.
  var ledger: LedgerProgress?
  /// Why the import stopped before the end of its input.
  var failure: CommandFailure?

  var writtenCount: UInt64 { ledger?.counts.written ?? 0 }
  var rejectedCount: Int { ledger.map { max($0.rejects.count, Int($0.counts.rejected)) } ?? 0 }
  /// What is missing in the database, in words.
  var leftOutText: String {
    var parts: [String] = []
    if skippedCount > 0 {
      let count = Quantity.count(skippedCount, "line or value", "lines or values")
      parts.append("\(count) could not be read")
    }
    if rejectedCount > 0 {
      let verb = rejectedCount == 1 ? "was" : "were"
      parts.append("\(Quantity.count(rejectedCount, "value")) \(verb) rejected")
    }
    return parts.joined(separator: " and ")
  }
  private var perSecond: Double { seconds > 0 ? Double(readCount) / seconds : 0 }

  init(files: [String]) {
    self.files = files
  }

  /// "file:line:column" of a problem.
  func place(_ problem: InputProblem) -> String {
    let file = files[Int(problem.source.file)]
    let place = "\(file == "-" ? "standard input" : file):\(problem.source.line)"
    return problem.column.map { "\(place):\($0)" } ?? place
  }

  /// A table of two columns.
  func table() -> String {
    var table = Table(["", ""], alignments: [.left, .right])
    table.append(["points read", Quantity.grouped(readCount)])
    table.append(["points written", Quantity.grouped(writtenCount)])
    if let duplicate = ledger?.counts.duplicate, duplicate > 0 {
      table.append(["points already there", Quantity.grouped(duplicate)])
    }
    if earlierCount > 0 {
      table.append(["written by an earlier run", Quantity.grouped(earlierCount)])
    }
    table.append(["points rejected", Quantity.grouped(rejectedCount)])
    table.append(["skipped in the input", Quantity.grouped(skippedCount)])
    table.append(["read", Quantity.bytes(bytesRead)])
    table.append(["duration", Quantity.seconds(seconds)])
    table.append(["rate", Quantity.rate(perSecond, unit: "points")])
    if let latencies = ledger?.latencies, latencies.count > 0 {
      let texts = [latencies.median, latencies.percentile95, latencies.max].map {
        Quantity.seconds($0 / 1_000)
      }
      table.append(["ack latency, median", texts[0]])
      table.append(["ack latency, p95", texts[1]])
      table.append(["ack latency, longest", texts[2]])
    }
    if let count = ledger?.reopenings, count > 0 { table.append(["reconnects", "\(count)"]) }
    // The first line is the empty header.
    return table.render().split(separator: "\n").joined(separator: "\n") + "\n"
  }

  /// The first problems, a line each.
  func problemText() -> String {
    let problems = skipped + (ledger?.rejects.first ?? [])
    var text = ""
    for problem in problems.prefix(AckLedger.problemsMax) {
      // Names of columns and attributes are data.
      text += DisplayWidth.visible("\(place(problem)): \(problem.advice)") + "\n"
    }
    let rest = skippedCount + rejectedCount - min(problems.count, AckLedger.problemsMax)
    if rest > 0 { text += "… and \(Quantity.grouped(rest)) more\n" }
    return text
  }

  /// One object.
  func json() -> String {
    var json = JSONWriter(indentation: 2)
    json.beginObject()
    func add(_ key: String, _ write: (inout JSONWriter) -> Void) {
      json.key(key)
      write(&json)
    }
    add("points_read") { $0.value(readCount) }
    add("points_written") { $0.value(writtenCount) }
    add("points_duplicate") { $0.value(ledger?.counts.duplicate ?? 0) }
    add("points_written_earlier") { $0.value(earlierCount) }
    add("points_rejected") { $0.value(rejectedCount) }
    add("input_skipped") { $0.value(skippedCount) }
    add("bytes_read") { $0.value(bytesRead) }
    add("batches") { $0.value(batchCount) }
    add("seconds") { $0.value(seconds) }
    add("points_per_second") { $0.value(perSecond) }
    add("ack_latency_ms") { json in
      json.beginObject()
      json.key("p50")
      json.value(ledger?.latencies.median ?? 0)
      json.key("p95")
      json.value(ledger?.latencies.percentile95 ?? 0)
      json.key("max")
      json.value(ledger?.latencies.max ?? 0)
      json.endObject()
    }
    add("reconnects") { $0.value(ledger?.reopenings ?? 0) }
    add("token") { $0.value(Hexadecimal.text(ledger?.token ?? [])) }
    add("problems") { json in
      json.beginArray()
      for problem in skipped + (ledger?.rejects.first ?? []) {
        json.beginObject()
        json.key("file")
        json.value(files[Int(problem.source.file)])
        json.key("line")
        json.value(problem.source.line)
        json.key("column")
        if let column = problem.column { json.value(column) } else { json.null() }
        json.key("advice")
        json.value(problem.advice)
        json.endObject()
      }
      json.endArray()
    }
    json.endObject()
    return json.take()
  }
}
