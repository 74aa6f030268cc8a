/// Every limit of the wire, each with its reason, in one place.
public enum WireLimits {
  /// Longest frame body that is taken, set by ttrpc itself: the first byte of a length is always 0.
  public static let frameBodyBytesMax = 4_194_304

  /// Longest announced body that is thrown away and answered.
  ///
  /// From 16 MiB on the first byte of the length is not 0: the peer does not speak this protocol,
  /// and the connection closes.
  public static let discardedBodyBytesMax = 16_777_215

  /// All bodies thrown away on one connection: four of the longest.
  ///
  /// A client that has been told RESOURCE_EXHAUSTED four times and goes on costs bandwidth for
  /// nothing.
  public static let discardedConnectionBytesMax = 67_108_864

  /// Frames of an unknown type on one connection.
  ///
  /// They are ignored so that ttrpc may grow, but a peer that sends hundreds is lost in the byte
  /// stream.
  public static let unknownFramesMax = 100

  /// Frames on one connection that were answered with INVALID_ARGUMENT because no stream was
  /// theirs.
  ///
  /// Each costs an answer of some 150 bytes for 10 bytes received, so the amplification is bounded
  /// to 150 KB.
  public static let misplacedFramesMax = 1_000

  /// Streams (not unary calls) open at once on one connection: a write session each, and one is
  /// normal.
  public static let openStreamsMax = 256

  /// Unary calls in flight on one connection: 16 times what saturates a core in the benchmark (64).
  public static let unaryCallsMax = 1_024

  /// Sum of keys and values of a Request's metadata; HTTP/2 servers commonly take 8 KiB too.
  public static let metadataBytesMax = 8_192

  /// Entries of a Request's metadata.
  public static let metadataEntriesMax = 64

  /// Service and method name together: ours stay under 48 bytes.
  public static let methodBytesMax = 256

  /// Ended or refused streams remembered per connection, so that their late Data is dropped
  /// silently: as many as can be open at once, 1 KiB, allocated with the first one.
  public static let recentStreamsMax = 256

  /// Memory for one unpacked message.
  ///
  /// Our own messages grow at most 6-fold (a page of small hot values), hostile ones 44 to 60-fold;
  /// 32 MiB is 8 times the longest body.
  public static let arenaBytesMax = 33_554_432

  /// Memory an arena keeps between messages: a batch of 256 KiB, unpacked, fits four times.
  public static let arenaKeptBytesMax = 1_048_576

  /// Unknown fields in one message: room for a newer client's additions, none for a flood.
  public static let unknownFieldsMax = 8

  /// Longest `Batch.columns`.
  public static let batchBytesMax = 1_048_576

  /// Longest external key of an entity, in bytes.
  public static let externalKeyBytesMax = 512

  /// Longest name of an attribute, in bytes.
  public static let attributeNameBytesMax = 256

  /// Longest unit of an attribute, in bytes.
  public static let unitBytesMax = 64

  /// Capacity a `ByteQueue` keeps when it becomes empty; a larger block goes back to the system.
  public static let queueKeptBytesMax = 16_384

  /// Room in a 4 MiB frame for the envelope around the payload of a Response: tag and length of an
  /// empty status and of the payload are 8 bytes; the rest is reserve.
  public static let envelopeBytesMax = 64
}
