// A 64-bit sum of bytes and numbers, to recognise what was altered; guards against nothing else.

/// FNV-1a: any change of one byte changes it, and somebody who wants to can still forge it.
struct Fingerprint {
  private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

  mutating func add(_ byte: UInt8) { value = (value ^ UInt64(byte)) &* 0x100_0000_01b3 }

  mutating func add(_ bytes: some Sequence<UInt8>) { for byte in bytes { add(byte) } }

  /// Adds eight bytes in network order.
  mutating func add(_ number: Int64) { add(ByteWriter.bytes(UInt64(bitPattern: number))) }

  /// Adds a length and the bytes, so that neighbours cannot be shifted into each other.
  mutating func add(_ text: String) {
    add(Int64(text.utf8.count))
    add(text.utf8)
  }
}

/// Numbers as bytes in network order.
enum ByteWriter {
  static func bytes<T: FixedWidthInteger>(_ number: T) -> [UInt8] {
    (0..<T.bitWidth / 8).reversed().map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) }
  }
}

/// Takes numbers and texts out of bytes, nil past the end.
struct ByteReader {
  private let bytes: ArraySlice<UInt8>
  /// How many have been read.
  ///
  /// The slice stays as it is: to cut it for each read would cost more than the reading.
  private var position = 0

  init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }

  var isAtEnd: Bool { position == bytes.count }

  mutating func integer<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type) -> T? {
    let end = position + T.bitWidth / 8
    guard bytes.count >= end else { return nil }
    defer { position = end }
    return unsafe bytes.span.bytes.extracting(position..<end).bigEndian()
  }

  /// So many bytes; nil when there are fewer.
  mutating func bytes(_ count: Int) -> ArraySlice<UInt8>? {
    guard bytes.count - position >= count else { return nil }
    defer { position += count }
    return bytes.dropFirst(position).prefix(count)
  }

  mutating func rest() -> ArraySlice<UInt8> {
    defer { position = bytes.count }
    return bytes.dropFirst(position)
  }
}
