import Client
import EventLoop
import Glibc
import Synchronization
import Wire

// A producer whose values can be computed from their sequence numbers, for the fault matrix.

/// Sends numbers until it is told to stop (SIGTERM) and writes down every position it was promised.
///
/// Value `n` of a producer is observed at `base + n` microseconds and has the number `n * 0.5`; the
/// checker computes the same. A producer that was killed starts again under its id and goes on
/// where the database says: what it would have kept on disk it can compute.
///
///     faultproducer GATEWAYS PRODUCER-ID ENTITY ATTRIBUTE BASE durable|staged BATCH PAUSE-MS LOG
///
/// The log gets lines `durable N` and `staged N`, written before anything is built on them, and at
/// the end `finished N`: everything up to N is durable and the session was closed in order.
@main
struct FaultProducer {
  static func main() async {
    let words = CommandLine.arguments
    guard words.count == 10, let entity = Int64(words[3]), let attribute = UInt32(words[4]),
      let base = Int64(words[5]), let size = Int(words[7]), let pause = Int64(words[8])
    else {
      print("error: wrong arguments")
      exit(64)
    }
    let addresses = words[1].split(separator: ",").compactMap { SocketAddress(String($0)) }
    let log = unsafe open(words[9], O_WRONLY | O_CREAT | O_APPEND, 0o644)
    _ = signal(SIGTERM) { _ in isStopping.store(true, ordering: .relaxed) }
    do {
      let client = try SluiceClient(addresses)
      let options = ProducerOptions(
        producerID: bytes(words[2]),
        durability: words[6] == "staged" ? .staged : .durable,
        clientName: "faults",
        windowBytesMax: 4 << 20,
        connectWithin: .seconds(120)
      )
      let producer = await client.producer(options)
      try await producer.waitUntilOpen()
      let plan = Plan(entity: entity, attribute: attribute, base: base, size: size, log: log)
      try await plan.run(producer, pauseMilliseconds: pause)
    } catch {
      note(log, "error \(error)")
      print("error: \(error)")
      exit(1)
    }
  }

  private static func bytes(_ hex: String) -> [UInt8] {
    let digits = hex.compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count - 1, by: 2)
      .map { UInt8(digits[$0] * 16 + digits[$0 + 1]) }
  }
}

/// Set by the signal handler, read by the loop; an atomic store is all a handler may do.
private let isStopping = Atomic(false)

/// One line, with one write, so that a kill leaves whole lines only.
private func note(_ log: CInt, _ line: String) {
  let text = line + "\n"
  _ = unsafe write(log, text, text.utf8.count)
}

private struct Plan {
  let entity: Int64
  let attribute: UInt32
  let base: Int64
  let size: Int
  let log: CInt

  func run(_ producer: Producer, pauseMilliseconds pause: Int64) async throws {
    var noted: ProducerPosition?
    var next = await producer.position.produced + 1
    while !isStopping.load(ordering: .relaxed) {
      var columns = ColumnsBuilder()
      for sequence in next..<next + UInt64(size) { append(sequence, to: &columns) }
      let range = try await producer.send(columns)
      guard range.lowerBound == next else {
        throw ClientError.protocolViolation("numbered \(range.lowerBound), expected \(next)")
      }
      next = range.upperBound + 1
      if pause > 0 { usleep(UInt32(pause) * 1_000) }
      await noteAcks(producer, &noted)
    }
    let last = next - 1
    try await producer.waitUntilDurable(last)
    await noteAcks(producer, &noted)
    try await producer.finish()
    note(log, "finished \(last)")
  }

  private func append(_ sequence: UInt64, to columns: inout ColumnsBuilder) {
    columns.appendNumber(
      Double(sequence) * 0.5,
      entityID: entity,
      attributeID: attribute,
      observedAtMicroseconds: base + Int64(sequence)
    )
  }

  private func noteAcks(_ producer: Producer, _ noted: inout ProducerPosition?) async {
    let position = await producer.position
    if position.durable > noted?.durable ?? 0 { note(log, "durable \(position.durable)") }
    if position.staged > noted?.staged ?? 0 { note(log, "staged \(position.staged)") }
    noted = position
  }
}
