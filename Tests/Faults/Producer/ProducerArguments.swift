import EventLoop

// What the fault matrix asks of a producer.

/// The options of `faultproducer`, each as `--name value`.
struct ProducerArguments {
  /// Gateways to try in turn.
  let addresses: [SocketAddress]
  /// Id of the first producer; the others have their index in its last four bytes.
  let producerID: [UInt8]
  let entity: Int64
  let attribute: UInt32
  /// Microseconds; value `n` of producer `i` is observed at `base + i * spacing + n`.
  let base: Int64
  let isStaged: Bool
  let batchValues: Int
  let pauseMilliseconds: Int
  let windowBytes: Int
  /// Producers in this process.
  let count: Int
  /// Folder of a spool; nil keeps everything in memory.
  let spool: String?
  /// File that every promise is written to.
  let log: String

  /// Microseconds between the first values of two producers of one process.
  static let spacing: Int64 = 1_000_000_000

  /// Reads the command line; nil when something is missing or is no number.
  init?(_ words: [String]) {
    var values: [String: String] = [:]
    for index in stride(from: 1, to: words.count - 1, by: 2) {
      values[words[index]] = words[index + 1]
    }
    guard let entity = values["--entity"].flatMap({ Int64($0) }),
      let attribute = values["--attribute"].flatMap({ UInt32($0) }),
      let base = values["--base"].flatMap({ Int64($0) }),
      let gateways = values["--gateways"], let log = values["--log"],
      let producerID = values["--producer"].map(ProducerArguments.bytes), producerID.count == 16
    else { return nil }
    addresses = gateways.split(separator: ",").compactMap { SocketAddress(String($0)) }
    self.producerID = producerID
    self.entity = entity
    self.attribute = attribute
    self.base = base
    isStaged = values["--lane"] == "staged"
    batchValues = values["--batch"].flatMap { Int($0) } ?? 100
    pauseMilliseconds = values["--pause-ms"].flatMap { Int($0) } ?? 5
    windowBytes = values["--window"].flatMap { Int($0) } ?? 4 << 20
    count = values["--count"].flatMap { Int($0) } ?? 1
    spool = values["--spool"]
    self.log = log
  }

  /// Id of one of the producers.
  func producerID(_ index: Int) -> [UInt8] {
    guard index > 0 else { return producerID }
    return producerID[..<12] + (0..<4).map { UInt8(truncatingIfNeeded: index >> (24 - 8 * $0)) }
  }

  private static func bytes(_ hex: String) -> [UInt8] {
    let digits = hex.compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count - 1, by: 2)
      .map { UInt8(digits[$0] * 16 + digits[$0 + 1]) }
  }
}
