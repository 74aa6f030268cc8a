/// Walks the fields of a protobuf message in place: tag, then number or range of bytes.
///
/// Copies nothing and never descends by itself, so nesting costs nothing.
struct FieldReader {
  private(set) var offset: Int
  private let end: Int

  /// One field of a message.
  struct Field: Equatable {
    var number: UInt32
    var value: Value
  }

  /// A field's content by wire type.
  enum Value: Equatable {
    case varint(UInt64)
    case fixed64(UInt64)
    case bytes(Range<Int>)
    case fixed32(UInt32)
  }

  /// What can be wrong with the encoding.
  enum Failure: Error, Equatable {
    case truncated
    case malformed
  }

  /// A reader of the message in `range` of the bytes that every call is given.
  init(_ range: Range<Int>) {
    offset = range.lowerBound
    end = range.upperBound
  }

  /// The next field, or `nil` at the end.
  ///
  /// Ranges count from the start of `bytes`.
  mutating func next(in bytes: RawSpan) throws(Failure) -> Field? {
    guard offset < end else { return nil }
    let tag = try varint(in: bytes)
    guard tag <= UInt64(UInt32.max), tag >> 3 != 0 else { throw .malformed }
    return Field(number: UInt32(tag >> 3), value: try value(wireType: tag & 7, in: bytes))
  }

  private mutating func value(wireType: UInt64, in bytes: RawSpan) throws(Failure) -> Value {
    switch wireType {
    case 0:
      return .varint(try varint(in: bytes))
    case 1:
      guard end - offset >= 8 else { throw .truncated }
      offset += 8
      return .fixed64(bytes.littleEndianUInt64(at: offset - 8))
    case 2:
      let length = try varint(in: bytes)
      guard length <= UInt64(end - offset) else { throw .truncated }
      let start = offset
      offset += Int(length)
      return .bytes(start..<offset)
    case 5:
      guard end - offset >= 4 else { throw .truncated }
      offset += 4
      return .fixed32(bytes.littleEndianUInt32(at: offset - 4))
    default:
      // 3 and 4 are the groups of proto2, which proto3 does not have; the others do not exist.
      throw .malformed
    }
  }

  private mutating func varint(in bytes: RawSpan) throws(Failure) -> UInt64 {
    var result: UInt64 = 0
    var shift: UInt64 = 0
    while shift < 64 {
      guard offset < end else { throw .truncated }
      let byte = bytes.byte(at: offset)
      offset += 1
      result |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 {
        // The tenth byte has room for one bit.
        guard shift < 63 || byte <= 1 else { throw .malformed }
        return result
      }
      shift += 7
    }
    throw .malformed
  }
}
