internal import ArgumentParser
internal import Formats
internal import Wire

// `sluice producers`: where every producer stands.

struct ProducersCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "producers",
    abstract: "List producers: epoch, durable position, last write, rejected and lost values.",
    discussion: """
      A lost value was acknowledged, and then lost by a failover to a replica that had not got it, \
      while its producer did not hold it any more: Opened.lost_from_seq of the protocol.

      Examples:
        sluice producers
        sluice producers --json
        sluice producers 5f0c1d3a9b7e4c2d8a6f1e2d3c4b5a69

      Exit codes: 0 done; 66 there is no such producer; 69 no gateway answers.
      """
  )

  @Argument(help: "Only this one: 32 hexadecimal digits.", transform: OptionText.producerID)
  var producer: [UInt8]?

  @OptionGroup(title: "Output") var output: OutputOptions
  @OptionGroup(title: "Gateway") var gateway: GatewayOptions

  func run() throws {
    let format = output.format
    let producerID = producer ?? []
    try GatewaySession.run(gateway) { session in
      var printer = ListPrinter(
        format,
        ["producer", "epoch", "durable", "staged", "rejected", "lost", "opened", "last write"],
        "producers",
        singular: "producer"
      )
      var request = ListProducersRequest(producerID: producerID)
      repeat {
        let page = try await session.listProducers(request)
        guard producerID.isEmpty || !page.producers.isEmpty else {
          throw CommandFailure(
            "there is no producer '\(Hexadecimal.text(producerID))'; 'sluice producers' lists them",
            .notFound
          )
        }
        for producer in page.producers {
          printer.add(Self.cells(producer)) { Self.write(producer, to: &$0) }
        }
        try printer.flush()
        request.pageToken = page.nextPageToken
      } while !request.pageToken.isEmpty
      try printer.end()
    }
  }

  private static func cells(_ producer: ProducerStatus) -> [String] {
    [
      Hexadecimal.text(producer.producerID), "\(producer.epoch)", "\(producer.durableSeq)",
      "\(producer.stagedValues)", "\(producer.rejectedValues)", "\(producer.lostValues)",
      Timestamp(microseconds: producer.openedAtMicroseconds).description,
      Timestamp(microseconds: producer.updatedAtMicroseconds).description,
    ]
  }

  private static func write(_ producer: ProducerStatus, to json: inout JSONWriter) {
    json.beginObject()
    json.key("producer_id")
    json.value(Hexadecimal.text(producer.producerID))
    for (name, value) in [
      ("epoch", producer.epoch), ("durable_seq", producer.durableSeq),
      ("staged_values", producer.stagedValues), ("rejected_values", producer.rejectedValues),
      ("lost_values", producer.lostValues),
    ] {
      json.key(name)
      json.value(Int64(clamping: value))
    }
    json.key("opened_at")
    json.value(Timestamp(microseconds: producer.openedAtMicroseconds).description)
    json.key("updated_at")
    json.value(Timestamp(microseconds: producer.updatedAtMicroseconds).description)
    json.endObject()
  }
}
