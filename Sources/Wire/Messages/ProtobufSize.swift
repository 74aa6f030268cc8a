/// Sizes and length prefixes of protobuf fields that are written without protobuf-c.
enum ProtobufSize {
  /// Bytes of `value` as a varint.
  static func varint(_ value: Int) -> Int {
    (max(1, Int.bitWidth - value.leadingZeroBitCount) + 6) / 7
  }

  /// Bytes of a whole length-delimited field with a number under 16.
  static func field(_ number: Int, bytes: Int) -> Int {
    1 + varint(bytes) + bytes
  }
}

extension ByteQueue {
  /// Appends `value` as a varint.
  mutating func append(varint value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      append(byte: UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    append(byte: UInt8(truncatingIfNeeded: rest))
  }

  /// Appends tag and length of a length-delimited field with a number under 16.
  mutating func appendLength(field: Int, _ count: Int) {
    append(byte: UInt8(truncatingIfNeeded: field << 3 | 2))
    append(varint: UInt64(count))
  }

  /// Appends a length-delimited field; nothing when `bytes` is empty.
  mutating func appendField(_ field: Int, _ bytes: RawSpan) {
    guard bytes.byteCount > 0 else { return }
    appendLength(field: field, bytes.byteCount)
    append(bytes)
  }

  /// Appends a length-delimited field with UTF-8; nothing when `text` is empty.
  mutating func appendField(_ field: Int, _ text: String) {
    var text = text
    text.withUTF8 { buffer in
      guard !buffer.isEmpty else { return }
      appendLength(field: field, buffer.count)
      unsafe append(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(buffer)))
    }
  }
}
