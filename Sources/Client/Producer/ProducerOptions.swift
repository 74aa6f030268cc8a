public import EventLoop
public import Wire

// What a producer is told when it is made.

/// Who a producer is and how it wants to be served.
public struct ProducerOptions: Sendable {
  /// 16 bytes that name the producer for ever: make them once with `RandomID.bytes()` and keep
  /// them.
  public var producerID: [UInt8]
  /// What an ack shall mean.
  public var durability: Durability
  /// Credentials; empty while the gateway asks for none.
  public var token: [UInt8]
  /// Shown to operators, at most 128 bytes.
  public var clientName: String
  /// Bytes of batches that may wait for confirmation, at least one batch; then `send` waits.
  public var windowBytesMax: Int
  /// Keeps batches on the disk until they are durable, over the end of the process: then `send`
  /// never waits for the gateway, and a gateway that is away is waited for without end.
  public var spool: Spool?
  /// Until when a first connection is tried; later ones are tried for ever.
  public var firstConnectDeadline: MonotonicTime

  /// Options for a producer.
  public init(
    producerID: [UInt8],
    durability: Durability = .durable,
    token: [UInt8] = [],
    clientName: String = "sluice-swift",
    windowBytesMax: Int = 32 << 20,
    connectWithin: Duration = .seconds(10)
  ) {
    precondition(producerID.count == 16, "a producer id is 16 bytes")
    self.producerID = producerID
    self.durability = durability
    self.token = token
    self.clientName = clientName
    self.windowBytesMax = windowBytesMax
    firstConnectDeadline = MonotonicTime.now() + connectWithin
  }
}

extension ProducerOptions {
  /// Options for a producer that keeps its batches, and its id, in a spool.
  public init(
    spool: Spool,
    durability: Durability = .durable,
    clientName: String = "sluice-swift",
    windowBytesMax: Int = 32 << 20
  ) {
    self.init(
      producerID: spool.producerID,
      durability: durability,
      clientName: clientName,
      windowBytesMax: windowBytesMax
    )
    self.spool = spool
  }
}

/// Random identifiers.
public enum RandomID {
  /// 16 bytes from the system's random number generator.
  public static func bytes() -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    return (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
  }
}
