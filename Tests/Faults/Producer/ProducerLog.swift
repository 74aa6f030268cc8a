import Client
import Glibc

// What a producer was promised, in a file that survives its death.

/// Appends lines; each with one write, so that a kill leaves whole lines only.
struct ProducerLog: Sendable {
  private let file: CInt

  init(_ path: String) {
    file = unsafe open(path, O_WRONLY | O_CREAT | O_APPEND, 0o644)
  }

  func note(_ line: String) {
    let text = line + "\n"
    _ = unsafe write(file, text, text.utf8.count)
  }
}

/// Writes down the promises to one producer, as `durable INDEX N`, `staged INDEX N` and
/// `lost INDEX FROM TO`, each once.
struct PromiseNotes {
  let log: ProducerLog
  let index: Int
  private var noted: ProducerPosition?
  private var lostCount = 0

  init(_ log: ProducerLog, index: Int) {
    self.log = log
    self.index = index
  }

  mutating func update(_ producer: Producer) async {
    let lost = await producer.lostRanges
    for range in lost[lostCount...] {
      log.note("lost \(index) \(range.lowerBound) \(range.upperBound)")
    }
    lostCount = lost.count
    let position = await producer.position
    if position.durable > noted?.durable ?? 0 { log.note("durable \(index) \(position.durable)") }
    if position.staged > noted?.staged ?? 0 { log.note("staged \(index) \(position.staged)") }
    noted = position
  }
}
