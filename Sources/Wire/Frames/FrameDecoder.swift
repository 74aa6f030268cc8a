/// Cuts received bytes into frames, without copying those that lie whole in the input.
///
/// Only the unfinished frame at the end of an input is copied, into a buffer that grows with the
/// bytes received and is given back when the frame is complete: an idle connection owns no buffer
/// (server rules 1 and 12).
public struct FrameDecoder: ~Copyable {
  private var state = State.collecting
  private var partial = ByteQueue()
  private var discardedBytes = 0

  private enum State: Equatable {
    /// Between frames or inside one, of which `partial` holds what has come.
    case collecting
    /// Throwing away the rest of a body that is too long.
    case discarding(bytesLeft: Int)
    /// The handler said stop, or the peer broke the protocol.
    case stopped
  }

  /// What the handler wants after a frame.
  public enum Decision: Sendable {
    /// Go on with the next frame.
    case `continue`
    /// The connection is closed: deliver nothing more, ever.
    case stop
  }

  /// A decoder at the start of a connection.
  public init() {}

  /// Bytes of memory held for an unfinished frame: what counts against the global budget.
  public var heldBytes: Int { partial.ownedBytes }

  /// Whether a frame has begun and not ended: what the slow-frame timeout watches.
  public var isMidFrame: Bool {
    switch state {
    case .collecting: !partial.isEmpty
    case .discarding: true
    case .stopped: false
    }
  }

  /// Takes received bytes and calls `handle` for every frame they complete, in order.
  ///
  /// A body is borrowed and valid only inside the call. A frame whose header says `isOversized` is
  /// delivered once, as soon as its header is known, with an empty body; its bytes are then thrown
  /// away.
  ///
  /// - Parameters:
  ///   - input: bytes as they came from the socket, in any pieces.
  ///   - handle: takes a frame and says whether to go on. Must not touch this decoder.
  /// - Throws: `FrameError` when the peer does not speak the protocol: the connection must be
  ///   closed; every frame before the bad one has been delivered.
  public mutating func receive(
    _ input: RawSpan,
    _ handle: (FrameHeader, RawSpan) -> Decision
  ) throws(FrameError) {
    var offset = 0
    while offset < input.byteCount {
      switch state {
      case .stopped:
        return
      case .discarding(let bytesLeft):
        let count = min(bytesLeft, input.byteCount - offset)
        offset += count
        state = count == bytesLeft ? .collecting : .discarding(bytesLeft: bytesLeft - count)
      case .collecting:
        if partial.isEmpty {
          offset += try takeInPlace(input.extracting(droppingFirst: offset), handle)
        } else {
          offset += try takeIntoPartial(input.extracting(droppingFirst: offset), handle)
        }
      }
    }
  }

  /// Takes one frame that starts at the start of `input`, or keeps the whole of it as the start of
  /// a frame.
  private mutating func takeInPlace(
    _ input: RawSpan,
    _ handle: (FrameHeader, RawSpan) -> Decision
  ) throws(FrameError) -> Int {
    guard input.byteCount >= FrameHeader.byteCount else {
      try checkFirstByte(input)
      partial.append(input)
      return input.byteCount
    }
    let header = try accepted(FrameHeader(decoding: input))
    if header.isOversized {
      beginDiscarding(header, handle)
      return FrameHeader.byteCount
    }
    let frameBytes = FrameHeader.byteCount + Int(header.length)
    guard input.byteCount >= frameBytes else {
      partial.append(input)
      return input.byteCount
    }
    deliver(header, input.extracting(FrameHeader.byteCount..<frameBytes), handle)
    return frameBytes
  }

  /// Continues the unfinished frame with what it still lacks: first the header, then the body.
  private mutating func takeIntoPartial(
    _ input: RawSpan,
    _ handle: (FrameHeader, RawSpan) -> Decision
  ) throws(FrameError) -> Int {
    if partial.count < FrameHeader.byteCount {
      let count = min(FrameHeader.byteCount - partial.count, input.byteCount)
      partial.append(input.extracting(0..<count))
      guard partial.count == FrameHeader.byteCount else { return count }
      let header = try accepted(FrameHeader(decoding: partial.pending))
      if header.isOversized {
        partial.reset()
        beginDiscarding(header, handle)
      } else if header.length == 0 {
        partial.reset()
        deliver(header, RawSpan(), handle)
      }
      return count
    }
    let header = FrameHeader(decoding: partial.pending)
    let frameBytes = FrameHeader.byteCount + Int(header.length)
    let count = min(frameBytes - partial.count, input.byteCount)
    partial.append(input.extracting(0..<count))
    guard partial.count == frameBytes else { return count }
    // Taken out first: the frame is over, whatever the handler asks about this decoder's
    // connection.
    let frame = exchange(&partial, with: ByteQueue())
    deliver(header, frame.pending.extracting(FrameHeader.byteCount..<frameBytes), handle)
    return count
  }

  private mutating func deliver(
    _ header: FrameHeader,
    _ body: RawSpan,
    _ handle: (FrameHeader, RawSpan) -> Decision
  ) {
    if handle(header, body) == .stop { stop() }
  }

  private mutating func beginDiscarding(
    _ header: FrameHeader,
    _ handle: (FrameHeader, RawSpan) -> Decision
  ) {
    discardedBytes += Int(header.length)
    state = .discarding(bytesLeft: Int(header.length))
    if handle(header, RawSpan()) == .stop { stop() }
  }

  private mutating func stop() {
    state = .stopped
    partial.reset()
  }

  /// Refuses a length whose first byte is not 0, as soon as that byte is there: 16 MiB or more are
  /// announced, or the peer speaks something else.
  private mutating func checkFirstByte(_ bytes: RawSpan) throws(FrameError) {
    guard bytes.byteCount > 0, bytes.byte(at: 0) != 0 else { return }
    stop()
    throw .notFramed
  }

  /// Refuses a header that is not worth reading on.
  private mutating func accepted(_ header: FrameHeader) throws(FrameError) -> FrameHeader {
    guard header.length >> 24 == 0 else {
      stop()
      throw .notFramed
    }
    guard header.isOversized,
      discardedBytes + Int(header.length) > WireLimits.discardedConnectionBytesMax
    else { return header }
    stop()
    throw .discardedTooMuch
  }
}

/// Why a byte stream is not, or no longer, worth reading; the connection must be closed.
public enum FrameError: Error, Equatable {
  /// The first byte of a length is not 0: not this protocol, out of step, or 16 MiB and more
  /// announced.
  case notFramed
  /// More than `WireLimits.discardedConnectionBytesMax` of bodies thrown away on this connection.
  case discardedTooMuch
}
