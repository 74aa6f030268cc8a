internal import Client
internal import Formats
internal import Wire

// What an agent has done, for people and for programs.

/// The sum of an agent's run.
struct AgentReport: Sendable {
  let entity: String
  var looks = 0
  /// Attributes in the largest look.
  var attributes = 0
  var sentCount = 0
  /// Values that could not be sent, for their attribute has no id or another type.
  var leftOutCount = 0
  var seconds = 0.0
  var ledger: LedgerProgress?
  /// Whether what is unconfirmed is in a spool.
  var isSpooled = false

  /// Values that the next start sends.
  var keptCount: UInt64 { isSpooled ? unconfirmedCount : 0 }

  /// Values that no gateway has confirmed.
  var unconfirmedCount: UInt64 {
    guard let position = ledger?.position, position.produced > position.durable else { return 0 }
    return position.produced - position.durable
  }

  init(entity: String) {
    self.entity = entity
  }

  /// Two lines.
  func text() -> String {
    let written = Quantity.grouped(ledger?.counts.written ?? 0)
    var text =
      "\(entity): \(written) values of \(attributes) attributes in \(Quantity.seconds(seconds))"
    if let rejected = ledger?.counts.rejected, rejected > 0 {
      text += ", \(Quantity.grouped(rejected)) rejected"
    }
    if let count = ledger?.reopenings, count > 0 { text += ", \(count) reconnects" }
    if leftOutCount > 0 { text += ", \(Quantity.grouped(leftOutCount)) left out" }
    text += "\n"
    if let latencies = ledger?.latencies, latencies.count > 0 {
      let texts = [latencies.median, latencies.percentile95, latencies.max].map {
        Quantity.seconds($0 / 1_000)
      }
      text += "ack latency: median \(texts[0]), p95 \(texts[1]), longest \(texts[2])\n"
    }
    return text
  }

  /// One object.
  func json() -> String {
    var json = JSONWriter(indentation: 2)
    json.beginObject()
    json.key("entity")
    json.value(entity)
    json.key("looks")
    json.value(looks)
    json.key("attributes")
    json.value(attributes)
    json.key("values_sent")
    json.value(sentCount)
    json.key("values_written")
    json.value(ledger?.counts.written ?? 0)
    json.key("values_rejected")
    json.value(ledger?.counts.rejected ?? 0)
    json.key("values_left_out")
    json.value(leftOutCount)
    json.key("values_unconfirmed")
    json.value(unconfirmedCount)
    json.key("values_in_spool")
    json.value(keptCount)
    json.key("values_lost_by_failover")
    json.value(ledger?.lostCount ?? 0)
    json.key("seconds")
    json.value(seconds)
    json.key("ack_latency_ms")
    json.beginObject()
    json.key("p50")
    json.value(ledger?.latencies.median ?? 0)
    json.key("p95")
    json.value(ledger?.latencies.percentile95 ?? 0)
    json.key("max")
    json.value(ledger?.latencies.max ?? 0)
    json.endObject()
    json.key("reconnects")
    json.value(ledger?.reopenings ?? 0)
    json.key("token")
    json.value(Hexadecimal.text(ledger?.token ?? []))
    json.endObject()
    return json.take()
  }
}
