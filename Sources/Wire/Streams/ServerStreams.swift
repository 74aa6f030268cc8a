/// The streams of one server connection: decides what every frame means, and does nothing
/// (Proto/ttrpc/ttrpc.proto).
///
/// The caller acts on what `receive` returns and reports every ending of its own with `end`.
/// Whoever takes a stream out of the table first, a failure decided here or the end of the handler,
/// has the right to write its one ending.
public struct ServerStreams: Sendable {
  private var streams = StreamTable<Stream>()
  private var recent = RecentStreams()
  private var nextGeneration: UInt32 = 0
  private var unknownFrames = 0
  private var misplacedFrames = 0

  /// Unary calls that were dispatched and have not ended.
  public private(set) var unaryCallsInFlight = 0

  /// Streams that were opened and have not ended.
  public private(set) var openStreams = 0

  private struct Stream: Sendable {
    var generation: UInt32
    var isUnary: Bool
    var isRemoteClosed: Bool
  }

  /// A connection without streams.
  public init() {}

  /// Decides about one frame.
  ///
  /// - Parameters:
  ///   - header: as the `FrameDecoder` delivered it.
  ///   - body: likewise; the ranges in the answer count from its start.
  ///   - lookup: finds a method by the bytes of service and method name.
  /// - Returns: what to do. After `.close` the connection is over.
  @inlinable
  public mutating func receive<Method>(
    _ header: FrameHeader,
    _ body: RawSpan,
    lookup: (_ service: RawSpan, _ method: RawSpan) -> MethodLookup<Method>
  ) -> ServerAction<Method> {
    // Only this wrapper is generic, and specialised in the server's module.
    var found: Method?
    let decision = decide(header, body) { service, name in
      switch lookup(service, name) {
      case .found(let method, let kind):
        found = method
        return .found((), kind)
      case .unknownService: return .unknownService
      case .unknownMethod: return .unknownMethod
      }
    }
    switch decision {
    case .dispatchUnary(let token, _, let request):
      guard let found else { preconditionFailure("a call was dispatched without its method") }
      return .dispatchUnary(token, found, request)
    case .openStream(let token, _, let kind, let request, let remoteClosed):
      guard let found else { preconditionFailure("a stream was opened without its method") }
      return .openStream(token, found, kind, request, remoteClosed: remoteClosed)
    case .deliver(let token, let remoteClosed): return .deliver(token, remoteClosed: remoteClosed)
    case .halfClose(let token): return .halfClose(token)
    case .refuse(let id, let status): return .refuse(streamID: id, status)
    case .fail(let token, let status): return .fail(token, status)
    case .ignore: return .ignore
    case .close(let reason): return .close(reason)
    }
  }

  /// Takes a stream out because the caller ends it.
  ///
  /// - Returns: whether the ending may be written. `false`: the stream has already had its ending
  ///   (the client broke it, or the id lives on as another stream), and the late result must be
  ///   dropped.
  public mutating func end(_ token: StreamToken) -> Bool {
    guard let stream = streams[token.id], stream.generation == token.generation else {
      return false
    }
    // Data after a unary call is answered, data after a stream is a client that cannot know yet.
    remove(token.id, stream, remember: !stream.isUnary)
    return true
  }

  /// Whether the stream has had no ending yet, so that data may be written on it.
  public func isOpen(_ token: StreamToken) -> Bool {
    streams[token.id]?.generation == token.generation
  }

  /// Ends everything at once because the connection is gone; the tokens of what was open, in no
  /// order.
  public mutating func endAll() -> [StreamToken] {
    var tokens: [StreamToken] = []
    tokens.reserveCapacity(streams.count)
    streams.forEach { id, stream in
      tokens.append(StreamToken(id: id, generation: stream.generation))
    }
    streams.removeAll()
    openStreams = 0
    unaryCallsInFlight = 0
    return tokens
  }

  /// An action before its method is filled in.
  @usableFromInline typealias Decision = ServerAction<Void>

  @usableFromInline
  mutating func decide(
    _ header: FrameHeader,
    _ body: RawSpan,
    lookup: (_ service: RawSpan, _ method: RawSpan) -> MethodLookup<Void>
  ) -> Decision {
    switch header.kind {
    case .request: receiveRequest(header, body, lookup: lookup)
    case .data: receiveData(header)
    case .response, .unknown: receiveUnknown()
    }
  }

  private mutating func receiveRequest(
    _ header: FrameHeader,
    _ body: RawSpan,
    lookup: (_ service: RawSpan, _ method: RawSpan) -> MethodLookup<Void>
  ) -> Decision {
    let id = header.streamID
    guard id % 2 == 1 else { return misplaced(id, .evenStreamID) }
    if let stream = streams[id] {
      return fail(id, stream, header.isOversized ? .frameTooLong : .streamAlreadyOpen)
    }
    guard !header.isOversized else { return refuse(id, .frameTooLong) }
    let request: RequestEnvelope
    do {
      request = try RequestEnvelope(decoding: body)
    } catch {
      return refuse(id, error.status)
    }
    switch lookup(body.extracting(request.service), body.extracting(request.method)) {
    case .unknownService: return refuse(id, .unknownService)
    case .unknownMethod: return refuse(id, .unknownMethod)
    case .found(_, .unary):
      guard unaryCallsInFlight < WireLimits.unaryCallsMax else {
        return refuse(id, .tooManyUnaryCalls)
      }
      unaryCallsInFlight += 1
      let token = add(id, isUnary: true, isRemoteClosed: true)
      return .dispatchUnary(token, (), request)
    case .found(_, let kind):
      guard openStreams < WireLimits.openStreamsMax else { return refuse(id, .tooManyStreams) }
      openStreams += 1
      let isRemoteClosed = kind == .serverStreaming || header.flags.contains(.remoteClosed)
      let token = add(id, isUnary: false, isRemoteClosed: isRemoteClosed)
      return .openStream(token, (), kind, request, remoteClosed: isRemoteClosed)
    }
  }

  private mutating func receiveData(_ header: FrameHeader) -> Decision {
    let id = header.streamID
    guard var stream = streams[id] else {
      if recent.contains(id) { return .ignore }
      return misplaced(id, header.isOversized ? .frameTooLong : .streamNotOpen)
    }
    guard !header.isOversized else { return fail(id, stream, .frameTooLong) }
    guard !stream.isUnary else { return fail(id, stream, .dataOnUnaryCall) }
    guard !stream.isRemoteClosed else { return fail(id, stream, .dataAfterEnd) }
    let closes = header.flags.contains(.remoteClosed)
    if closes {
      stream.isRemoteClosed = true
      streams[id] = stream
    }
    let token = StreamToken(id: id, generation: stream.generation)
    guard header.flags.contains(.noData) else { return .deliver(token, remoteClosed: closes) }
    return closes ? .halfClose(token) : .ignore
  }

  private mutating func receiveUnknown() -> Decision {
    unknownFrames += 1
    return unknownFrames > WireLimits.unknownFramesMax ? .close(.tooManyUnknownFrames) : .ignore
  }

  private mutating func add(_ id: UInt32, isUnary: Bool, isRemoteClosed: Bool) -> StreamToken {
    nextGeneration &+= 1
    streams[id] = Stream(
      generation: nextGeneration,
      isUnary: isUnary,
      isRemoteClosed: isRemoteClosed
    )
    return StreamToken(id: id, generation: nextGeneration)
  }

  private mutating func remove(_ id: UInt32, _ stream: Stream, remember: Bool) {
    streams.remove(id)
    if stream.isUnary {
      unaryCallsInFlight -= 1
    } else {
      openStreams -= 1
    }
    if remember { recent.insert(id) }
  }

  /// A Request that never becomes a stream: later Data on it is dropped, the client may have sent
  /// it already.
  private mutating func refuse(_ id: UInt32, _ status: Status) -> Decision {
    recent.insert(id)
    return .refuse(streamID: id, status)
  }

  /// A frame that no stream can own; answered once per id, counted, and too many close the
  /// connection.
  private mutating func misplaced(_ id: UInt32, _ status: Status) -> Decision {
    misplacedFrames += 1
    guard misplacedFrames <= WireLimits.misplacedFramesMax else {
      return .close(.tooManyMisplacedFrames)
    }
    return refuse(id, status)
  }

  /// The client broke an open stream: its one ending is the error.
  private mutating func fail(
    _ id: UInt32,
    _ stream: Stream,
    _ status: Status
  ) -> Decision {
    remove(id, stream, remember: true)
    return .fail(StreamToken(id: id, generation: stream.generation), status)
  }
}

/// Names one stream of a connection for ever, also when its id is used again.
public struct StreamToken: Hashable, Sendable {
  /// The id on the wire.
  public let id: UInt32

  /// Counts the streams of the connection.
  public let generation: UInt32
}

/// What a server connection must do about a frame.
///
/// Ranges count from the start of the frame's body.
public enum ServerAction<Method> {
  /// Run a unary call; end it with one Response.
  case dispatchUnary(StreamToken, Method, RequestEnvelope)
  /// Open a stream, with the payload of its Request as first message where the kind has one.
  /// `remoteClosed`: no data will come.
  case openStream(StreamToken, Method, MethodKind, RequestEnvelope, remoteClosed: Bool)
  /// The body is one message of the stream; with `remoteClosed` it is the last.
  case deliver(StreamToken, remoteClosed: Bool)
  /// The client sends nothing more on the stream.
  case halfClose(StreamToken)
  /// Answer with a Response: no stream was opened.
  case refuse(streamID: UInt32, Status)
  /// Answer with a Response and abandon the handler: the stream has been taken out.
  case fail(StreamToken, Status)
  /// Nothing.
  case ignore
  /// Close the connection.
  case close(CloseReason)
}

extension ServerAction: Sendable where Method: Sendable {}
extension ServerAction: Equatable where Method: Equatable {}

/// Why a connection is closed although its frames are well formed.
public enum CloseReason: Equatable, Sendable {
  /// More than `WireLimits.unknownFramesMax` frames of unknown types.
  case tooManyUnknownFrames
  /// More than `WireLimits.misplacedFramesMax` frames on ids that no stream can have.
  case tooManyMisplacedFrames
}

/// The ids of streams that ended lately: a ring, searched only for Data without a stream.
struct RecentStreams: Sendable {
  private var ids: [UInt32] = []
  private var next = 0

  mutating func insert(_ id: UInt32) {
    if ids.count < WireLimits.recentStreamsMax {
      ids.append(id)
    } else {
      ids[next] = id
      next = (next + 1) % WireLimits.recentStreamsMax
    }
  }

  func contains(_ id: UInt32) -> Bool { ids.contains(id) }
}

/// The refusals of this layer.
extension Status {
  static let evenStreamID = invalid(
    "stream_id",
    "is even; a client opens streams with odd ids",
    reason: "BAD_STREAM_ID"
  )
  static let streamAlreadyOpen = invalid(
    "stream_id",
    "is open already, and a request came for it",
    reason: "STREAM_ALREADY_OPEN"
  )
  static let streamNotOpen = invalid(
    "stream_id",
    "is not open, and data came for it",
    reason: "STREAM_NOT_OPEN"
  )
  static let dataOnUnaryCall = invalid(
    "stream_id",
    "is a unary call, and data came for it",
    reason: "NOT_A_STREAM"
  )
  static let dataAfterEnd = invalid(
    "stream_id",
    "was closed by the client, and data came for it",
    reason: "STREAM_HALF_CLOSED"
  )
  static let frameTooLong = Status(
    .resourceExhausted,
    "a frame is longer than 4194304 bytes",
    reason: "FRAME_TOO_LONG",
    metadata: [KeyValue("max_bytes", "4194304")],
    retryAfterMilliseconds: 1_000
  )
  static let unknownService = Status(
    .unimplemented,
    "no such service",
    reason: "UNKNOWN_SERVICE"
  )
  static let unknownMethod = Status(.unimplemented, "no such method", reason: "UNKNOWN_METHOD")
  static let tooManyUnaryCalls = Status(
    .resourceExhausted,
    "too many unary calls in flight on this connection",
    reason: "TOO_MANY_CALLS",
    metadata: [KeyValue("max", "1024")],
    retryAfterMilliseconds: 100
  )
  static let tooManyStreams = Status(
    .resourceExhausted,
    "too many streams open on this connection",
    reason: "TOO_MANY_STREAMS",
    metadata: [KeyValue("max", "256")],
    retryAfterMilliseconds: 1_000
  )
}
