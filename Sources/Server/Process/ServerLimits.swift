// Every limit of the server that is not a setting, each with its reason, in one place.

/// Limits per connection, session and worker; ARCHITECTURE.md adds them up.
enum ServerLimits {
  /// Bytes read from one connection before the next one has its turn: what a worker handles in
  /// about 1 ms.
  static let readBytesPerTurn = 1 << 20

  /// Size of the buffer that all connections of a worker read into.
  static let readBufferBytes = 256 << 10

  /// Output waiting on a connection at which it is no longer read (rule 10).
  static let outputSoftBytes = 1 << 20

  /// Output waiting on a connection at which it is closed: the soft limit and the answers of what
  /// was in flight when it was reached.
  static let outputHardBytes = 16 << 20

  /// A connection that takes nothing of its output for so long is closed.
  static let outputStallSeconds = 30

  /// A frame that has begun must be complete within this time (rule 12).
  static let slowFrameSeconds = 30

  /// Memory for unfinished frames, per worker: 32 of the longest ones.
  static let partialFrameBytesMax = 128 << 20

  /// Longest time a unary call may take, whatever its caller says.
  static let unaryTimeMax = Duration.seconds(300)

  /// Memory for the requests of unary calls in flight, per worker.
  ///
  /// Those of 4 KiB or less do not count: a connection's 1,024 are as much as one frame.
  static let requestBytesMax = 64 << 20
  static let requestBytesFree = 4 << 10

  /// How long reads go on of a client that has shut down its side: it may wait, or be gone.
  static let halfClosedReadTimeMax = Duration.seconds(2)

  /// Longest time a batch waits for the catalog to be asked for its ids.
  static let learnTimeMax = Duration.seconds(20)

  /// A write session must be opened within this time.
  static let openSeconds = 10

  /// Most values in one batch: 1 MiB of the smallest values.
  static let batchValuesMax = 65_536

  /// When sessions wait for a grant for so long, it is taken from others that have not used theirs
  /// for so long.
  static let grantWaitMax = Duration.seconds(1)
  static let grantIdleMax = Duration.seconds(10)

  /// Sequence numbers a session may be ahead of what is durable.
  static let valuesAheadMax: UInt64 = 1_000_000

  /// Rejects named in one Ack; more follow in the next ones.
  static let rejectsPerAckMax = 10_000

  /// Longest label, in bytes.
  static let labelBytesMax = 64 << 10

  /// Longest document, in bytes.
  static let documentBytesMax = 512 << 10

  /// Longest client name in Open.
  static let clientNameBytesMax = 128

  /// How often a worker looks for what takes too long.
  static let janitorSeconds = 1

  /// A fault that goes on is logged again after this time.
  static let complaintPause = Duration.seconds(10)

  /// Delay that clients are told to wait before they try again.
  static let retryMilliseconds: Int64 = 500
}
