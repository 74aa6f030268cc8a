/// The five fields of a ttrpc Request, found in place: ranges of the frame's body, no copy (server
/// rule 8).
public struct RequestEnvelope: Equatable, Sendable {
  /// Where the full name of the service is in the body.
  public private(set) var service = 0..<0

  /// Where the bare name of the method is in the body.
  public private(set) var method = 0..<0

  /// Where the message is in the body.
  public private(set) var payload = 0..<0

  /// How long the caller waits, from receipt; 0 is no limit, negative has expired.
  public private(set) var timeoutNanoseconds: Int64 = 0

  /// Where key and value of every metadata entry are in the body.
  public private(set) var metadata: [MetadataEntry] = []

  /// One entry of the metadata, by its places in the body.
  public struct MetadataEntry: Equatable, Sendable {
    /// Where the key is.
    public var key: Range<Int>
    /// Where the value is.
    public var value: Range<Int>
  }

  /// Parses the body of a Request frame.
  ///
  /// Unknown fields are skipped, a repeated field's last one counts.
  ///
  /// - Throws: `EnvelopeError`: malformed protobuf, or over a limit of rule 11. The stream is
  ///   refused, the connection lives.
  public init(decoding body: RawSpan) throws(EnvelopeError) {
    var reader = FieldReader(0..<body.byteCount)
    var metadataBytes = 0
    while let field = try EnvelopeError.reading({ () throws(FieldReader.Failure) in
      try reader.next(in: body)
    }) {
      switch (field.number, field.value) {
      case (1, .bytes(let range)): service = range
      case (2, .bytes(let range)): method = range
      case (3, .bytes(let range)): payload = range
      case (4, .varint(let value)): timeoutNanoseconds = Int64(bitPattern: value)
      case (5, .bytes(let range)):
        let entry = try Self.metadataEntry(in: body, range)
        metadataBytes += entry.key.count + entry.value.count
        guard metadata.count < WireLimits.metadataEntriesMax else { throw .metadataTooMany }
        guard metadataBytes <= WireLimits.metadataBytesMax else { throw .metadataTooLong }
        metadata.append(entry)
      case (1...5, _): throw .malformed
      default: break
      }
    }
    guard service.count + method.count <= WireLimits.methodBytesMax else { throw .methodTooLong }
    guard !service.isEmpty, !method.isEmpty else { throw .methodMissing }
  }

  /// The value of the first metadata entry with this key, as a range of `body`.
  public func metadataValue(_ key: StaticString, in body: RawSpan) -> Range<Int>? {
    for entry in metadata where body.extracting(entry.key).equals(key) {
      return entry.value
    }
    return nil
  }

  private static func metadataEntry(
    in body: RawSpan,
    _ range: Range<Int>
  ) throws(EnvelopeError) -> MetadataEntry {
    var reader = FieldReader(range)
    var entry = MetadataEntry(key: 0..<0, value: 0..<0)
    while let field = try EnvelopeError.reading({ () throws(FieldReader.Failure) in
      try reader.next(in: body)
    }) {
      switch (field.number, field.value) {
      case (1, .bytes(let key)): entry.key = key
      case (2, .bytes(let value)): entry.value = value
      case (1...2, _): throw .malformed
      default: break
      }
    }
    return entry
  }
}

/// Why an envelope was refused.
public enum EnvelopeError: Error, Equatable {
  /// Not protobuf, or a field of another type.
  case malformed
  /// Ends in the middle of a field.
  case truncated
  /// Service and method together are over `WireLimits.methodBytesMax`.
  case methodTooLong
  /// Service or method is empty.
  case methodMissing
  /// Keys and values are over `WireLimits.metadataBytesMax`.
  case metadataTooLong
  /// More than `WireLimits.metadataEntriesMax` entries.
  case metadataTooMany

  /// The answer to the request.
  public var status: Status {
    switch self {
    case .malformed:
      .invalid("request", "is no envelope", reason: "BAD_ENVELOPE")
    case .truncated:
      .invalid("request", "is cut short", reason: "BAD_ENVELOPE")
    case .methodTooLong:
      .invalid("method", "is too long with the service", reason: "METHOD_TOO_LONG")
    case .methodMissing:
      .invalid("method", "is missing, or the service", reason: "METHOD_MISSING")
    case .metadataTooLong:
      .invalid("metadata", "is too long", reason: "METADATA_TOO_LONG")
    case .metadataTooMany:
      .invalid("metadata", "has too many entries", reason: "METADATA_TOO_LONG")
    }
  }

  static func reading<Result>(
    _ read: () throws(FieldReader.Failure) -> Result
  ) throws(EnvelopeError) -> Result {
    do {
      return try read()
    } catch {
      switch error {
      case .malformed: throw .malformed
      case .truncated: throw .truncated
      }
    }
  }
}
