/// The ten bytes before every frame body: length, stream, kind, flags.
public struct FrameHeader: Equatable, Sendable {
  /// Size of an encoded header.
  public static let byteCount = 10

  /// Bytes of the body that follows.
  public var length: UInt32

  /// The stream; odd when the client opened it.
  public var streamID: UInt32

  /// What the body is.
  public var kind: FrameKind

  /// What the frame says about the state of the stream.
  public var flags: FrameFlags

  /// Makes a header.
  public init(length: Int, streamID: UInt32, kind: FrameKind, flags: FrameFlags = []) {
    precondition(length >= 0 && length <= WireLimits.frameBodyBytesMax, "a frame body is too long")
    self.length = UInt32(length)
    self.streamID = streamID
    self.kind = kind
    self.flags = flags
  }

  /// Reads the header at the start of `bytes`, which must hold at least `byteCount` bytes.
  ///
  /// Judges nothing.
  public init(decoding bytes: RawSpan) {
    length = bytes.bigEndianUInt32(at: 0)
    streamID = bytes.bigEndianUInt32(at: 4)
    kind = FrameKind(code: bytes.byte(at: 8))
    flags = FrameFlags(rawValue: bytes.byte(at: 9))
  }

  /// Whether the body is longer than a frame may be; it is then never delivered.
  public var isOversized: Bool {
    length > UInt32(WireLimits.frameBodyBytesMax)
  }

  /// Writes the header to the first ten bytes of `bytes`.
  public func encode(to bytes: inout MutableRawSpan) {
    bytes.storeBytes(of: length.bigEndian, toByteOffset: 0, as: UInt32.self)
    bytes.storeBytes(of: streamID.bigEndian, toByteOffset: 4, as: UInt32.self)
    bytes.storeBytes(of: kind.code, toByteOffset: 8, as: UInt8.self)
    bytes.storeBytes(of: flags.rawValue, toByteOffset: 9, as: UInt8.self)
  }
}

/// What a frame carries.
public enum FrameKind: Equatable, Sendable {
  /// Opens a stream; the body is a Request envelope.
  case request
  /// Ends a stream; the body is a Response envelope.
  case response
  /// The body is a bare message of the stream.
  case data
  /// Of a later protocol; ignored and counted.
  case unknown(UInt8)

  init(code: UInt8) {
    switch code {
    case 1: self = .request
    case 2: self = .response
    case 3: self = .data
    default: self = .unknown(code)
    }
  }

  var code: UInt8 {
    switch self {
    case .request: 1
    case .response: 2
    case .data: 3
    case .unknown(let code): code
    }
  }
}

/// What a frame says about the state of its stream.
public struct FrameFlags: OptionSet, Sendable {
  /// The byte on the wire.
  public let rawValue: UInt8

  /// Wraps the byte of the wire; unknown bits are kept.
  public init(rawValue: UInt8) {
    self.rawValue = rawValue
  }

  /// The sender will send nothing more on this stream.
  public static let remoteClosed = FrameFlags(rawValue: 0x01)

  /// The sender will send more on this stream.
  public static let remoteOpen = FrameFlags(rawValue: 0x02)

  /// The frame carries no message.
  public static let noData = FrameFlags(rawValue: 0x04)

  /// How a stream ends well: remote closed, no data.
  public static let end: FrameFlags = [.remoteClosed, .noData]
}
