/// The streams of one client connection: gives out ids and decides what every frame of the server
/// means, and does nothing.
///
/// The counterpart of `ServerStreams`.
public struct ClientStreams: Sendable {
  private var streams = StreamTable<Stream>()
  private var misplacedFrames = 0

  /// Where the search for the next free id starts; only the test of wrapping sets it.
  var nextID: UInt32 = 1

  /// Unary calls without an answer.
  public private(set) var unaryCallsInFlight = 0

  /// Streams that have not ended.
  public private(set) var openStreams = 0

  private struct Stream: Sendable {
    var isUnary: Bool
  }

  /// A connection without streams.
  public init() {}

  /// Highest id: 31 bits, as the stock implementations read it.
  private static let idMax: UInt32 = 0x7fff_ffff

  /// Opens a stream and gives it an id.
  ///
  /// - Returns: the id for the Request frame, or `nil` when as many are open as a server allows;
  ///   try again after one has ended.
  public mutating func open(_ kind: MethodKind) -> UInt32? {
    if kind == .unary {
      guard unaryCallsInFlight < WireLimits.unaryCallsMax else { return nil }
      unaryCallsInFlight += 1
    } else {
      guard openStreams < WireLimits.openStreamsMax else { return nil }
      openStreams += 1
    }
    while streams[nextID] != nil { advance() }
    let id = nextID
    advance()
    streams[id] = Stream(isUnary: kind == .unary)
    return id
  }

  /// Whether an answer is still awaited on the stream.
  public func isOpen(_ id: UInt32) -> Bool { streams[id] != nil }

  /// Gives a stream up, because of a deadline or because nobody waits; what still comes on it is
  /// dropped.
  ///
  /// - Returns: whether it was open.
  public mutating func abandon(_ id: UInt32) -> Bool { remove(id) != nil }

  /// Decides about one frame of the server.
  ///
  /// - Parameter header: as the `FrameDecoder` delivered it; its body belongs to the action.
  /// - Returns: what to do. After `.close` the connection is over.
  public mutating func receive(_ header: FrameHeader) -> ClientAction {
    let id = header.streamID
    switch header.kind {
    case .unknown, .request: return misplaced()
    case .response:
      guard remove(id) != nil else { return late(id) }
      return header.isOversized ? .fail(id, .frameTooLong) : .respond(id)
    case .data:
      guard let stream = streams[id] else { return late(id) }
      guard !header.isOversized else { return fail(id, .frameTooLong) }
      guard !stream.isUnary else { return fail(id, .dataInsteadOfResponse) }
      let ends = header.flags.contains(.remoteClosed)
      if ends { remove(id) }
      guard header.flags.contains(.noData) else { return .deliver(id, ended: ends) }
      return ends ? .end(id) : .ignore
    }
  }

  /// Ends everything at once because the connection is gone; the ids of what was open, in no order.
  public mutating func endAll() -> [UInt32] {
    var ids: [UInt32] = []
    ids.reserveCapacity(streams.count)
    streams.forEach { id, _ in ids.append(id) }
    streams.removeAll()
    openStreams = 0
    unaryCallsInFlight = 0
    return ids
  }

  private mutating func advance() {
    nextID = nextID == Self.idMax ? 1 : nextID + 2
  }

  @discardableResult
  private mutating func remove(_ id: UInt32) -> Stream? {
    guard let stream = streams.remove(id) else { return nil }
    if stream.isUnary {
      unaryCallsInFlight -= 1
    } else {
      openStreams -= 1
    }
    return stream
  }

  private mutating func fail(_ id: UInt32, _ status: Status) -> ClientAction {
    remove(id)
    return .fail(id, status)
  }

  /// A frame on a stream that was given up, or that the server made up: odd ids get the benefit of
  /// the doubt.
  private mutating func late(_ id: UInt32) -> ClientAction {
    id % 2 == 1 ? .ignore : misplaced()
  }

  private mutating func misplaced() -> ClientAction {
    misplacedFrames += 1
    return misplacedFrames > WireLimits.unknownFramesMax ? .close(.tooManyUnknownFrames) : .ignore
  }
}

/// What a client connection must do about a frame.
public enum ClientAction: Equatable, Sendable {
  /// The body is a Response envelope, and the last of the stream.
  case respond(UInt32)
  /// The body is one message of the stream; with `ended` it is the last and the stream has ended
  /// well.
  case deliver(UInt32, ended: Bool)
  /// The stream has ended well.
  case end(UInt32)
  /// The server broke the stream: it has been taken out.
  case fail(UInt32, Status)
  /// Nothing.
  case ignore
  /// Close the connection.
  case close(CloseReason)
}

extension Status {
  static let dataInsteadOfResponse = Status(
    .internal,
    "data came as the answer to a unary call",
    reason: "UNEXPECTED_DATA"
  )
}
