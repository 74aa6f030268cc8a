import Client
import EventLoop
import Glibc
import Wire

// Producers whose values can be computed from their sequence numbers, for the fault matrix.

/// Sends numbers until it is told to stop (SIGTERM) and writes down every position it was promised.
///
/// Value `n` is observed at `base + n` microseconds and has the number `n * 0.5`; the checker
/// computes the same. A producer that was killed starts again under its id and goes on where the
/// database says: what it would have kept on disk it can compute. With `--spool` it keeps its
/// values there, and its id is the spool's.
///
/// Lines of the log: see `PromiseNotes`; `finished INDEX N` at the end says that everything up to N
/// is durable and the session was closed in order.
@main
struct FaultProducer {
  static func main() async {
    guard let arguments = ProducerArguments(CommandLine.arguments) else {
      print("error: wrong arguments")
      exit(64)
    }
    let log = ProducerLog(arguments.log)
    stopOnSIGTERM()
    do {
      let client = try SluiceClient(arguments.addresses)
      try await withThrowingDiscardingTaskGroup { group in
        for index in 0..<arguments.count {
          let producer = await client.producer(try options(arguments, index))
          group.addTask {
            try await producer.waitUntilOpen()
            try await ProducerPlan(arguments, index: index, log: log).run(producer)
          }
        }
      }
    } catch {
      log.note("error 0 \(error)")
      print("error: \(error)")
      exit(1)
    }
  }

  private static func options(
    _ arguments: ProducerArguments,
    _ index: Int
  ) throws -> ProducerOptions {
    let durability = arguments.isStaged ? Durability.staged : .durable
    guard let folder = arguments.spool else {
      return ProducerOptions(
        producerID: arguments.producerID(index),
        durability: durability,
        clientName: "faults",
        windowBytesMax: arguments.windowBytes,
        connectWithin: .seconds(120)
      )
    }
    let claim = try Spool.claim(SpoolOptions(folder: folder, name: "faults-\(index)"))
    return ProducerOptions(
      spool: claim.spool,
      durability: durability,
      clientName: "faults",
      windowBytesMax: arguments.windowBytes
    )
  }
}
