/// A ttrpc Response read in place: the status, and where the payload is in the frame's body.
public struct ResponseEnvelope: Equatable, Sendable {
  /// How the call ended.
  public private(set) var status = Status.ok

  /// Where the message is in the body; empty with an error.
  public private(set) var payload = 0..<0

  /// Parses the body of a Response frame.
  ///
  /// A missing status is success.
  public init(decoding body: RawSpan, arena: MessageArena) throws(MessageError) {
    var reader = FieldReader(0..<body.byteCount)
    while let field = try MessageError.reading({ () throws(FieldReader.Failure) in
      try reader.next(in: body)
    }) {
      switch (field.number, field.value) {
      case (1, .bytes(let range)) where range.isEmpty: status = .ok
      case (1, .bytes(let range)):
        status = try Status(decoding: body.extracting(range), arena: arena)
      case (2, .bytes(let range)): payload = range
      case (1...2, _): throw .malformed
      default: break
      }
    }
  }
}
