/// Appends whole frames to an output queue: header first, then the body straight behind it.
extension ByteQueue {
  /// Appends a frame whose body the caller writes in place; what it leaves out is zero.
  ///
  /// - Throws: what `fill` throws; nothing is appended then.
  public mutating func appendFrame<E: Error>(
    streamID: UInt32,
    kind: FrameKind,
    flags: FrameFlags = [],
    bodyBytes: Int,
    _ fill: (inout MutableRawSpan) throws(E) -> Void
  ) throws(E) {
    appendHeader(FrameHeader(length: bodyBytes, streamID: streamID, kind: kind, flags: flags))
    do {
      try append(count: bodyBytes, fill)
    } catch {
      removeLast(FrameHeader.byteCount)
      throw error
    }
  }

  /// Appends a frame with a copy of `body`.
  public mutating func appendFrame(
    streamID: UInt32,
    kind: FrameKind,
    flags: FrameFlags = [],
    body: RawSpan
  ) {
    appendHeader(
      FrameHeader(length: body.byteCount, streamID: streamID, kind: kind, flags: flags)
    )
    append(body)
  }

  /// Appends the good end of a stream, or of this side of it: Data, flags 5, length 0.
  public mutating func appendDataEnd(streamID: UInt32) {
    appendHeader(FrameHeader(length: 0, streamID: streamID, kind: .data, flags: .end))
  }

  /// Appends a frame header; its body must follow.
  mutating func appendHeader(_ header: FrameHeader) {
    append(count: FrameHeader.byteCount) { header.encode(to: &$0) }
  }
}
